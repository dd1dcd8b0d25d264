// Draws the icons that must be pixels from public/icon.svg: node build/icons.mjs. It needs the system's Chromium.
import { readFile } from "node:fs/promises";
import { chromium } from "playwright-core";

const svg = await readFile(new URL("../public/icon.svg", import.meta.url), "utf8");
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ["--no-sandbox", "--disable-gpu"] });
const page = await browser.newPage();

/** A maskable icon is cut to any shape by the system: its ground has no corners of its own, and its drawing stays in the middle. */
const maskable = svg.replace('rx="112"', "").replace('viewBox="0 0 512 512"', 'viewBox="-64 -64 640 640" style="background:#0b6e4f"');

for (const [name, size, drawing] of [
  ["icon-192.png", 192, svg],
  ["icon-512.png", 512, svg],
  ["icon-maskable.png", 512, maskable],
  ["apple-touch-icon.png", 180, svg.replace('rx="112"', "")],
]) {
  await page.setViewportSize({ width: size, height: size });
  await page.setContent(`<body style="margin:0">${drawing.replace("<svg ", `<svg width="${size}" height="${size}" `)}</body>`);
  await page.screenshot({ path: new URL(`../public/${name}`, import.meta.url).pathname, omitBackground: true });
}
await browser.close();
