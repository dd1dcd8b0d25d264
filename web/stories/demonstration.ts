/// <reference types="node" />
/**
 * Two browsers and a terminal in one group replay a real hour of chat; then one of them loses the network, writes three messages, reloads,
 * and gets the network back. Each of the three has everything once, in one order. Pictures of it go to a directory that is printed.
 *
 *   PARLEY_BIN=../bin/parley npx vitest run --config stories/tools.config.ts demonstration
 */
import { mkdtemp, readFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "vitest";
import { soon, story, type Tab, unreachable } from "./harness";

/** The texts of an hour, and which of so many speakers says each: a nickname is always the same one. */
async function hour(speakers: number): Promise<{ speaker: number; text: string }[]> {
  const lines = (await readFile(new URL("../../testdata/ubuntu-irc/hour.tsv", import.meta.url), "utf8")).trimEnd().split("\n");
  const nicknames: string[] = [];
  return lines.map((line) => {
    const [, nickname = "", text = ""] = line.split("\t");
    if (!nicknames.includes(nickname)) nicknames.push(nickname);
    return { speaker: nicknames.indexOf(nickname) % speakers, text };
  });
}

/** The texts of a conversation that a browser's database holds, in the order of their numbers. */
function held(tab: Tab, conversation: string): Promise<string[]> {
  return tab.page.evaluate(
    (id) =>
      new Promise<string[]>((resolve, reject) => {
        const opened = indexedDB.open("parley");
        opened.onerror = () => reject(opened.error);
        opened.onsuccess = () => {
          const all = opened.result.transaction("entries").objectStore("entries").getAll(IDBKeyRange.bound([id, 0], [id, Infinity]));
          all.onerror = () => reject(all.error);
          all.onsuccess = () => {
            opened.result.close();
            resolve((all.result as { kind: string; text?: string }[]).filter((e) => e.kind === "message").map((e) => e.text ?? ""));
          };
        };
      }),
    conversation,
  );
}

story(
  "a real hour, and a tunnel",
  async (w) => {
    const pictures = await mkdtemp(join(tmpdir(), "parley-demonstration-"));
    const anna = await w.person("Anna", { colorScheme: "light", viewport: { width: 1120, height: 720 } });
    const ben = await w.person("Ben", { colorScheme: "dark", viewport: { width: 390, height: 780 } });
    const cleo = await w.terminal("Cleo");
    await anna.tab.createGroup("The hour", [ben.handle, cleo.handle]);
    const group = anna.tab.conversation();
    await ben.tab.open("The hour");

    const said: string[] = [];
    const tabs = [anna.tab, ben.tab];
    for (const { speaker, text } of await hour(3)) {
      const tab = tabs[speaker];
      await (tab ? tab.say(text) : cleo.send(group, text));
      said.push(text);
      // The next one speaks when this was heard: else there is no one order to compare with.
      await expect.poll(async () => (await anna.tab.articles.last().locator(".text").innerText()).length > 0 && (await held(anna.tab, group)).length, { timeout: soon, interval: 20 }).toBe(said.length);
    }
    await expect.poll(() => held(ben.tab, group), { timeout: soon }).toEqual(said);
    expect(await held(anna.tab, group)).toEqual(said);
    expect(await cleo.texts(group)).toEqual(said);
    await anna.tab.page.screenshot({ path: join(pictures, "light.png") });
    await anna.tab.page.emulateMedia({ colorScheme: "dark" });
    await anna.tab.page.screenshot({ path: join(pictures, "dark.png") });
    await ben.tab.page.screenshot({ path: join(pictures, "phone.png") });

    await anna.tab.installed();
    w.allow(unreachable);
    await anna.context.setOffline(true);
    const written = ["In a tunnel.", "Still in it.", "What a long tunnel!"];
    for (const text of written) {
      await anna.tab.say(text);
      await anna.tab.receipt(text, "Waiting to be sent").waitFor();
    }
    await anna.tab.page.reload();
    for (const text of written) await anna.tab.receipt(text, "Waiting to be sent").waitFor();
    await anna.tab.page.screenshot({ path: join(pictures, "tunnel.png") });
    await anna.context.setOffline(false);
    for (const text of written) await anna.tab.message(text).getByRole("img", { name: /^(Sent|Delivered|Read)$/ }).waitFor();
    said.push(...written);
    await expect.poll(() => held(ben.tab, group), { timeout: soon }).toEqual(said);
    expect(await cleo.texts(group)).toEqual(said);
    console.log(`${said.length} messages, each once and in one order at all three; pictures in ${pictures}`);
  },
  { within: 900_000, trace: false },
);
