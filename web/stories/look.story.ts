/// <reference types="node" />
/** Dark and light, phone and tablet, German and right-to-left. */
import { devices } from "playwright-core";
import { expect } from "vitest";
import { soon, story, type Tab } from "./harness";

/** How light the paper is, from 0 (black) to 1. */
const lightness = (tab: Tab): Promise<number> =>
  tab.page.evaluate(() => {
    const element = [document.querySelector("main"), document.body, document.documentElement].find(
      (el) => el && !/^(transparent|rgba\(0, 0, 0, 0\))$/.test(getComputedStyle(el).backgroundColor),
    );
    const canvas = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
    if (!element || !canvas) return 1;
    canvas.fillStyle = getComputedStyle(element).backgroundColor;
    canvas.fillRect(0, 0, 1, 1);
    const [r = 0, g = 0, b = 0] = canvas.getImageData(0, 0, 1, 1).data;
    return (0.2126 * r + 0.7152 * g + 0.0722 * b) / 255;
  });

/** Nothing is wider than the window. */
async function fits(tab: Tab): Promise<void> {
  const [wide, window] = await tab.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth] as const);
  expect(wide).toBeLessThanOrEqual(window);
}

story("dark by the system, and by choice, which outlives a reload", async (w) => {
  const ada = await w.person("Ada", { colorScheme: "light" });
  expect(await lightness(ada.tab)).toBeGreaterThan(0.7);
  await ada.tab.page.emulateMedia({ colorScheme: "dark" });
  await expect.poll(() => lightness(ada.tab), { timeout: soon }).toBeLessThan(0.3);
  await ada.tab.settings();
  await ada.tab.page.getByRole("radio", { name: "Light" }).check({ force: true });
  await expect.poll(() => lightness(ada.tab), { timeout: soon }).toBeGreaterThan(0.7);
  await ada.tab.page.reload();
  await ada.tab.page.waitForLoadState();
  await expect.poll(() => lightness(ada.tab), { timeout: soon }).toBeGreaterThan(0.7);
  await ada.tab.page.emulateMedia({ colorScheme: "light" });
  await ada.tab.goto("#/settings");
  await ada.tab.page.getByRole("radio", { name: "Dark" }).check({ force: true });
  await expect.poll(() => lightness(ada.tab), { timeout: soon }).toBeLessThan(0.3);
  await ada.tab.page.getByRole("radio", { name: "System" }).check({ force: true });
  await expect.poll(() => lightness(ada.tab), { timeout: soon }).toBeGreaterThan(0.7);
});

story("on a phone there is one column, with a way back", async (w) => {
  const bo = await w.terminal("bo");
  const { defaultBrowserType: _, ...phone } = devices["Pixel 7"] ?? { defaultBrowserType: "chromium" };
  const ada = await w.person("Ada", { ...phone, locale: "en-GB" });
  await bo.send(`@${ada.handle}`, "hello, phone");
  await ada.tab.row(bo.handle).waitFor();
  expect(await ada.tab.composer.count()).toBe(0);
  await fits(ada.tab);
  await ada.tab.row(bo.handle).tap();
  await ada.tab.message("hello, phone").waitFor();
  expect(await ada.tab.row(bo.handle).isVisible()).toBe(false);
  await fits(ada.tab);
  await ada.tab.button("Accept", ada.tab.main).tap(); // a stranger wrote
  await ada.tab.composer.fill("hello, terminal");
  await ada.tab.button("Send").tap();
  await ada.tab.receipt("hello, terminal", "Sent").waitFor();
  await ada.tab.button("Back").tap();
  await ada.tab.row(bo.handle).waitFor();
  await ada.tab.row(bo.handle).tap();
  await ada.tab.composer.waitFor();
  await ada.tab.page.goBack(); // the system's way back is the same
  await ada.tab.row(bo.handle).waitFor();
  for (const control of await ada.tab.side.getByRole("button").all()) {
    const box = await control.boundingBox();
    expect(Math.min(box?.width ?? 0, box?.height ?? 0)).toBeGreaterThanOrEqual(40); // a thumb finds it
  }
});

for (const [name, width, columns] of [
  ["a tablet upright", 820, 2],
  ["just above one column", 720, 2],
  ["just below two columns", 719, 1],
  ["a small phone", 320, 1],
] as const) {
  story(`${name}, ${width} px: ${columns === 2 ? "list and conversation side by side" : "one column"}`, async (w) => {
    const bo = await w.terminal("bo");
    const ada = await w.person("Ada", { viewport: { width, height: 900 } });
    await bo.send(`@${ada.handle}`, "hello");
    await ada.tab.open(bo.handle);
    await ada.tab.message("hello").waitFor();
    expect(await ada.tab.row(bo.handle).isVisible()).toBe(columns === 2);
    expect(await ada.tab.button("Back").isVisible()).toBe(columns === 1);
    await fits(ada.tab);
    await ada.tab.goto("#/settings");
    await ada.tab.page.getByRole("heading", { level: 2, name: "Profile" }).waitFor();
    await fits(ada.tab);
  });
}

story("in German when the browser is, or when it was chosen", async (w) => {
  const gerd = await w.visitor("Gerd", { locale: "de-DE" });
  await gerd.tab.goto();
  const german = /Anmelden|Passwort|Konto/;
  await gerd.tab.page.getByText(german).first().waitFor();
  expect(await gerd.tab.page.locator("html").getAttribute("lang")).toMatch(/^de/);
  expect(await gerd.tab.page.getByText("Password", { exact: true }).count()).toBe(0);

  const ada = await w.person("Ada");
  await ada.tab.settings();
  const language = ada.tab.page.getByRole("combobox", { name: "Language" });
  await language.selectOption({ label: "Deutsch" });
  await ada.tab.page.getByText("Einstellungen").first().waitFor();
  await ada.tab.page.reload();
  await ada.tab.until(() => document.documentElement.lang.startsWith("de"));
  await ada.tab.goto("#/");
  await ada.tab.page.getByText(/Unterhaltung|Gespräch|Chat/).first().waitFor({ state: "attached" });
});

story("Arabic and Hebrew read from the right, in messages, names and drafts, and a mirrored page fits", async (w) => {
  const salma = await w.person("سلمى");
  const ada = await w.person("Ada");
  await salma.tab.startDirect(ada.handle, "Ada");
  await salma.tab.sayAndSee("مرحبا، كيف حالك؟");
  await salma.tab.sayAndSee("hello (in English)");
  await ada.tab.open("سلمى");
  const direction = (text: string) => ada.tab.message(text).locator(".text").evaluate((el) => getComputedStyle(el.matches("[dir]") ? el : (el.querySelector("[dir]") ?? el)).direction);
  expect(await direction("مرحبا، كيف حالك؟")).toBe("rtl");
  expect(await direction("hello (in English)")).toBe("ltr");
  await ada.tab.composer.fill("שלום");
  expect(await ada.tab.composer.evaluate((el) => getComputedStyle(el).direction)).toBe("rtl");

  const side = async () => (await ada.tab.side.boundingBox())?.x ?? -1;
  const left = await side();
  await ada.tab.page.evaluate(() => (document.documentElement.dir = "rtl"));
  await expect.poll(side, { timeout: soon }).toBeGreaterThan(left + 300); // the list is on the other side
  await fits(ada.tab);
  const mine = ada.tab.message("hello (in English)");
  const [list, box] = [await ada.tab.log.boundingBox(), await mine.locator(".text").boundingBox()];
  expect((box?.x ?? 0) + (box?.width ?? 0)).toBeLessThanOrEqual((list?.x ?? 0) + (list?.width ?? 0));
});

story("nothing moves while the app starts", async (w) => {
  const ada = await w.person("Ada");
  const bo = await w.terminal("bo");
  await ada.tab.startDirect(bo.handle);
  await ada.tab.sayAndSee("hello");
  await ada.context.addInitScript(() => {
    const shifts: number[] = [];
    Object.assign(globalThis, { shifts });
    new PerformanceObserver((seen) => {
      for (const entry of seen.getEntries()) shifts.push((entry as PerformanceEntry & { value: number }).value);
    }).observe({ type: "layout-shift", buffered: true });
  });
  await ada.tab.page.reload();
  await ada.tab.message("hello").waitFor();
  await ada.tab.row(bo.handle).waitFor();
  const moved = await ada.tab.page.evaluate(() => (globalThis as unknown as { shifts: number[] }).shifts.reduce((sum, x) => sum + x, 0));
  expect(moved).toBeLessThan(0.02);
});
