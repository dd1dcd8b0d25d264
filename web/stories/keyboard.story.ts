/// <reference types="node" />
/** Without a mouse. */
import { expect } from "vitest";
import { soon, story, type Tab } from "./harness";

/** Presses Tab until the focus is on something of that role and name; as a person does who cannot see where it will go. */
async function tabTo(tab: Tab, role: string, name: string | RegExp): Promise<void> {
  const there = tab.page.getByRole(role as "button", { name, exact: true });
  const seen: string[] = [];
  for (let i = 0; i < 40; i++) {
    await tab.page.keyboard.press("Tab");
    const focus = await tab.page.evaluate(() => {
      const el = document.activeElement;
      if (!el || el === document.body) return { what: "the page", visible: true };
      const style = getComputedStyle(el);
      const box = el.getBoundingClientRect();
      // A focus that cannot be seen is none: an outline or a shadow, on something that has a size.
      const ring = (s: CSSStyleDeclaration) => (s.outlineStyle !== "none" && parseFloat(s.outlineWidth) > 0) || s.boxShadow !== "none";
      const around = el.parentElement ? getComputedStyle(el.parentElement) : style;
      return { what: `${el.tagName} ${el.getAttribute("aria-label") ?? el.textContent?.trim().slice(0, 30) ?? ""}`, visible: box.width > 0 && (ring(style) || ring(around)) };
    });
    seen.push(focus.what);
    expect(focus.visible, `the focus on ${focus.what} cannot be seen`).toBe(true);
    for (const found of await there.all()) {
      if (await found.evaluate((el) => el === document.activeElement)) return;
    }
  }
  throw new Error(`Tab never came to ${role} ${name}; it was on ${seen.join(" → ")}`);
}

story("a whole conversation, from signing up to reading the answer", async (w) => {
  const bo = await w.terminal("bo");
  const ada = await w.visitor("Ada");
  const { page } = ada.tab;
  await ada.tab.goto();
  await page.getByRole("heading", { level: 1, name: "Sign in to Parley" }).waitFor();
  await tabTo(ada.tab, "button", "Create an account");
  await page.keyboard.press("Enter");
  await page.getByRole("heading", { level: 1, name: "Create your account" }).waitFor();
  const onHandle = () => ada.tab.field("Handle").evaluate((el) => el === document.activeElement);
  if (!(await onHandle())) await tabTo(ada.tab, "textbox", "Handle");
  await page.keyboard.type(ada.handle);
  await tabTo(ada.tab, "textbox", "Password");
  await page.keyboard.type(ada.password);
  await page.keyboard.press("Enter");
  await ada.tab.inside();

  await tabTo(ada.tab, "button", "New conversation");
  await page.keyboard.press("Enter");
  await ada.tab.dialog("New conversation").waitFor();
  if (!(await onHandle())) await tabTo(ada.tab, "textbox", "Handle");
  await page.keyboard.type(bo.handle);
  await page.keyboard.press("Enter");
  await ada.tab.heading(bo.handle).waitFor();
  const onMessage = () => ada.tab.composer.evaluate((el) => el === document.activeElement);
  if (!(await onMessage())) await tabTo(ada.tab, "textbox", "Message");
  await page.keyboard.type("typed, all of it");
  await page.keyboard.press("Enter");
  await ada.tab.receipt("typed, all of it", "Sent").waitFor();
  await bo.send(`@${ada.handle}`, "and answered");
  await ada.tab.message("and answered").waitFor();
  expect(await onMessage()).toBe(true);
});

story("shortcuts: the sheet, the search, the next conversation, and Escape", async (w) => {
  const ada = await w.person("Ada");
  const { page } = ada.tab;
  const [bo, cleo] = await Promise.all([w.terminal("bo"), w.terminal("cleo")]);
  await bo.send(`@${ada.handle}`, "from bo");
  await ada.tab.row(bo.handle).waitFor();
  await ada.tab.open(bo.handle);
  await cleo.send(`@${ada.handle}`, "from cleo");
  await ada.tab.open(cleo.handle);
  await ada.tab.goto();
  await ada.tab.row(cleo.handle).waitFor();

  await page.keyboard.press("?");
  const sheet = ada.tab.dialog("Keyboard shortcuts");
  await sheet.waitFor();
  await page.keyboard.press("Escape");
  await sheet.waitFor({ state: "hidden" });

  await page.keyboard.press("Control+k");
  await expect.poll(() => ada.tab.search.evaluate((el) => el === document.activeElement), { timeout: soon }).toBe(true);
  await page.keyboard.type("?"); // in a field it is a character
  expect(await ada.tab.search.inputValue()).toBe("?");
  expect(await sheet.isVisible()).toBe(false);
  await ada.tab.search.fill("");
  await page.keyboard.press("Escape");

  await ada.tab.open(cleo.handle);
  await page.keyboard.press("Alt+ArrowDown");
  await ada.tab.heading(bo.handle).waitFor();
  expect(await ada.tab.row(bo.handle).getAttribute("aria-current")).toBe("page");
  await page.keyboard.press("Alt+ArrowUp");
  await ada.tab.heading(cleo.handle).waitFor();

  await page.keyboard.press("Control+j");
  const dialog = ada.tab.dialog("New conversation");
  await dialog.waitFor();
  await page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });

  await ada.tab.settings();
  await ada.tab.button("Keyboard shortcuts").click();
  await sheet.waitFor();
  await ada.tab.button("Close", sheet).click();
  await sheet.waitFor({ state: "hidden" });
});

story("a dialog holds the focus and gives it back", async (w) => {
  const ada = await w.person("Ada");
  const opener = ada.tab.button("New conversation", ada.tab.side);
  await opener.focus();
  await ada.tab.page.keyboard.press("Enter");
  const dialog = ada.tab.dialog("New conversation");
  await dialog.waitFor();
  for (let i = 0; i < 12; i++) {
    await ada.tab.page.keyboard.press("Tab");
    const inside = await dialog.evaluate((el) => document.activeElement === document.body || el.contains(document.activeElement));
    expect(inside).toBe(true); // the body stands for the browser's own bar
  }
  await ada.tab.page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  await expect.poll(() => opener.evaluate((el) => el === document.activeElement), { timeout: soon }).toBe(true);
});
