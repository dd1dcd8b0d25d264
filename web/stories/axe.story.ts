/// <reference types="node" />
/** axe-core finds nothing to complain of, on any screen, in light and in dark. */
import { readFile } from "node:fs/promises";
import { createRequire } from "node:module";
import { expect } from "vitest";
import { story, type Tab, type World } from "./harness";

const source = readFile(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");

interface Axe {
  run(context: Document, options: object): Promise<{ violations: { id: string; help: string; nodes: { html: string; failureSummary?: string }[] }[] }>;
}

/** Asks axe about what is on the screen; what it complains of. */
async function complaints(tab: Tab): Promise<string[]> {
  await tab.page.evaluate(await source);
  // Colours are measured when they have come to rest.
  await tab.page.evaluate(() => Promise.allSettled(document.getAnimations().map((a) => a.finished)));
  return tab.page.evaluate(async () => {
    const { violations } = await (globalThis as unknown as { axe: Axe }).axe.run(document, {
      runOnly: ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"],
    });
    return violations.map((v) => `${v.id}: ${v.help}: ${v.nodes.map((n) => `${n.html.slice(0, 160)} ${n.failureSummary?.replace(/\s+/g, " ").slice(0, 200)}`).join(" | ")}`);
  });
}

async function sound(tab: Tab, screen: string): Promise<void> {
  expect(await complaints(tab), screen).toEqual([]);
}

story("axe would complain: of a button without a name, and of grey on grey", async (w) => {
  const ada = await w.visitor("Ada");
  await ada.tab.goto();
  await ada.tab.page.getByRole("heading", { level: 1 }).waitFor();
  await ada.tab.page.evaluate(() => {
    const main = document.querySelector("main") ?? document.body;
    const faint = Object.assign(document.createElement("p"), { textContent: "hardly to be read" });
    faint.style.color = "#aaa";
    faint.style.background = "#bbb";
    main.append(document.createElement("button"), faint);
  });
  const found = (await complaints(ada.tab)).join("\n");
  for (const rule of ["button-name", "color-contrast"]) expect(found).toContain(rule);
});

for (const colorScheme of ["light", "dark"] as const) {
  story(`every screen, ${colorScheme}`, (w) => tour(w, { colorScheme }), { trace: false, within: 120_000 });
}
story("every screen, on a phone", (w) => tour(w, { colorScheme: "light", viewport: { width: 390, height: 844 } }), { trace: false, within: 120_000 });

async function tour(w: World, options: { colorScheme: "light" | "dark"; viewport?: { width: number; height: number } }): Promise<void> {
  w.allow(/status of 40[14]/, /ERR_INTERNET_DISCONNECTED/, /WebSocket/);
  const narrow = (options.viewport?.width ?? 1280) < 720;
  const bo = await w.terminal("bo");
  const ada = await w.visitor("Ada", options);
  const { tab } = ada;
  const { page } = tab;
  await tab.goto();
  await page.getByRole("heading", { level: 1 }).waitFor();
  await sound(tab, "sign in");
  await tab.signIn({ handle: bo.handle, password: "wrong, all of it" });
  await tab.alert.first().waitFor();
  await sound(tab, "sign in, refused");
  await tab.button("Create an account").click();
  await page.getByRole("heading", { level: 1, name: "Create your account" }).waitFor();
  await sound(tab, "sign up");
  await tab.signUp({ ...ada });
  await tab.inside();
  await sound(tab, "empty list");

  const dialog = await tab.newConversation();
  await sound(tab, "new conversation");
  await tab.button("New group", dialog).click();
  await tab.dialog("New group").waitFor();
  await sound(tab, "new group");
  await page.keyboard.press("Escape");
  await tab.dialog("New group").waitFor({ state: "hidden" });

  for (const text of ["**Hello** there, see https://example.org and `code`", "> quoted\n\nanswer", "```\ncode\n```", "🎉", "unread"]) await bo.send(`@${ada.handle}`, text);
  await tab.row(bo.handle).waitFor();
  await sound(tab, "list with unread");
  await tab.open(bo.handle);
  await tab.message("unread").waitFor();
  await tab.say("mine");
  await tab.message("mine").waitFor();
  await sound(tab, "conversation");
  await tab.composer.fill("x".repeat(1010));
  await sound(tab, "conversation, too long");
  await tab.composer.fill("");
  await tab.button("Emoji").click();
  await sound(tab, "emoji picker");
  await page.keyboard.press("Escape");
  await ada.context.setOffline(true);
  await tab.status("Offline").waitFor();
  await tab.say("waiting");
  await tab.receipt("waiting", "Waiting to be sent").waitFor();
  await sound(tab, "offline");
  await ada.context.setOffline(false);
  await tab.receipt("waiting", "Sent").waitFor();
  if (narrow) await tab.button("Back").click();

  await tab.createGroup("Picnic", [bo.handle]);
  await tab.button("Members").click();
  await tab.dialog("Members").waitFor();
  await sound(tab, "members");
  await page.keyboard.press("Escape");
  await tab.goto("#/settings");
  await page.getByRole("heading", { level: 2, name: "Profile" }).waitFor();
  await sound(tab, "settings");
  await tab.button("Keyboard shortcuts").click();
  await tab.dialog("Keyboard shortcuts").waitFor();
  await sound(tab, "shortcuts");
  await page.keyboard.press("Escape");
  await tab.goto("#/c/g00000000000000000000000000");
  await tab.until(() => !document.querySelector("dialog[open]"));
  await sound(tab, "a conversation that is not there");
}
