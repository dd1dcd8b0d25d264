/// <reference types="node" />
/**
 * The figures of docs/bench/web.md:
 *
 *   PARLEY_BIN=../bin/parley npx vitest run --config stories/tools.config.ts bench
 */
import { readdir, readFile } from "node:fs/promises";
import { gzipSync } from "node:zlib";
import type { CDPSession } from "playwright-core";
import { afterAll, expect, test } from "vitest";
import { story, type Tab } from "./harness";
import { veryLong } from "./long";
import { frames, scroller } from "./scroll";

const report: string[] = [];
const row = (...cells: (string | number)[]) => report.push(`| ${cells.join(" | ")} |`);
const kb = (bytes: number) => `${(bytes / 1024).toFixed(1)} KB`;

afterAll(() => process.stdout.write(`\n${report.join("\n")}\n`));

/** What JavaScript the first load may take, gzipped; the worker and more.js come when the screen is there. */
const budget = 110 * 1024;

test("sizes", async () => {
  const dist = new URL("../dist/", import.meta.url);
  report.push("| file | plain | gzip |", "|---|---|---|");
  let scripts = 0;
  for (const name of (await readdir(dist, { recursive: true })).sort()) {
    if (!/\.(js|css|html)$/.test(name)) continue;
    const plain = await readFile(new URL(name, dist));
    const gzip = gzipSync(plain, { level: 9 }).length;
    if (name.endsWith(".js") && !/(more|sw)\.js$/.test(name)) scripts += gzip;
    row(`\`${name}\``, kb(plain.length), kb(gzip));
  }
  row("JavaScript of the first load", "", `**${kb(scripts)}** of ${kb(budget)}`);
  expect(scripts).toBeLessThanOrEqual(budget);
});

/** A mid-range phone on a bad day: a processor four times slower than this, and the fast 3G of Chromium's developer tools. */
async function phone(devtools: CDPSession): Promise<void> {
  await devtools.send("Network.enable");
  await devtools.send("Network.emulateNetworkConditions", { offline: false, latency: 562.5, downloadThroughput: (1.44 * 1024 * 1024) / 8, uploadThroughput: (675 * 1024) / 8 });
  await devtools.send("Emulation.setCPUThrottlingRate", { rate: 4 });
}

/** Milliseconds from the start of the navigation until that field holds what was typed. */
async function typed(tab: Tab): Promise<number> {
  const field = tab.field("Handle");
  await field.waitFor();
  await field.press("a");
  await tab.page.waitForFunction(() => [...document.querySelectorAll("input")].some((input) => input.value.includes("a")), undefined, { polling: "raf" });
  return tab.page.evaluate(() => performance.now());
}

const median = (all: number[]) => [...all].sort((a, b) => a - b)[Math.floor(all.length / 2)] ?? 0;
const seconds = (ms: number) => `${(ms / 1000).toFixed(2)} s`;
const rounds = 5;

story(
  "interactive",
  async (w) => {
    const first: number[] = [];
    let bytes = 0;
    for (let i = 0; i < rounds; i++) {
      const visitor = await w.visitor("Ada", { viewport: { width: 390, height: 844 } });
      const devtools = await visitor.context.newCDPSession(visitor.tab.page);
      await phone(devtools);
      let got = 0;
      devtools.on("Network.loadingFinished", (e) => (got += e.encodedDataLength));
      await visitor.tab.page.goto(`${w.server.url}/`, { waitUntil: "commit" });
      first.push(await typed(visitor.tab));
      bytes = got;
      await visitor.context.close();
    }
    const bo = await w.terminal("bo");
    const ada = await w.person("Ada", { viewport: { width: 390, height: 844 } });
    for (let i = 0; i < 30; i++) await bo.send(`@${ada.handle}`, `message ${i}`);
    await ada.tab.row(bo.handle).waitFor();
    await ada.tab.installed();
    const again: number[] = [];
    for (let i = 0; i < rounds; i++) {
      const tab = await w.tab(ada.context);
      await phone(await ada.context.newCDPSession(tab.page));
      await tab.page.goto(`${w.server.url}/`, { waitUntil: "commit" });
      await tab.row(bo.handle).waitFor();
      again.push(await tab.page.evaluate(() => performance.now()));
      await tab.page.close();
    }
    report.push("", "| interactive | median | worst of five |", "|---|---|---|");
    row("first visit: the sign-in form holds what is typed", seconds(median(first)), seconds(Math.max(...first)));
    row("a returning user: the list is there", seconds(median(again)), seconds(Math.max(...again)));
    row("bytes of the first visit until then, as transferred", kb(bytes), "");
    expect(median(first)).toBeLessThanOrEqual(3_000);
    expect(median(again)).toBeLessThanOrEqual(3_000);
  },
  { trace: false, within: 300_000 },
);

story(
  "scrolling 100,000 messages",
  async (w) => {
    const count = Number(process.env["LONG"] ?? 100_000);
    const began = Date.now();
    const long = await veryLong(w.server, count);
    const filled = Date.now() - began;
    const ada = await w.visitor("Ada");
    const devtools = await ada.context.newCDPSession(ada.tab.page);
    await devtools.send("Performance.enable");
    await ada.tab.goto();
    await ada.tab.signIn(long.reader);
    await ada.tab.inside();
    const before = Date.now();
    await ada.tab.open(long.title);
    await ada.tab.message(long.newest).waitFor();
    const opened = Date.now() - before;
    const list = await scroller(ada.tab);
    report.push("", "| 100,000 messages | | |", "|---|---|---|");
    row("written by `parley bench history`", seconds(filled), `${Math.round((count / filled) * 1000)} a second`);
    row("opened on a new device: the newest is on the screen", seconds(opened), "");

    const measure = async (what: string) => {
      const f = await frames(ada.tab.page, list, 400);
      await devtools.send("HeapProfiler.collectGarbage");
      const { metrics } = await devtools.send("Performance.getMetrics");
      const metric = (name: string) => metrics.find((m) => m.name === name)?.value ?? 0;
      row(
        what,
        `frames p50 ${f.p50.toFixed(1)} ms, p95 ${f.p95.toFixed(1)} ms, p99 ${f.p99.toFixed(1)} ms, longest ${f.longest.toFixed(1)} ms of ${f.count}`,
        `${f.articles} articles, ${metric("Nodes")} nodes, ${kb(metric("JSHeapUsedSize"))} of heap`,
      );
    };
    await measure("scrolling the newest page");
    const climb = await list.evaluate(async (el) => {
      const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
      const oldest = () => Math.min(...[...el.querySelectorAll("article")].map((a) => Number(a.getAttribute("data-seq"))));
      const began = performance.now();
      let last = began;
      const passed: [number, number][] = [];
      let seq = oldest();
      while (oldest() > 2) {
        el.scrollTop = 0;
        await frame();
        if (oldest() < seq) {
          seq = oldest();
          last = performance.now();
          passed.push([seq, last - began]);
        }
        if (performance.now() - last > 30_000) throw new Error(`nothing older came than ${seq}`);
      }
      const all = performance.now() - began;
      const at = (wanted: number) => passed.find(([seq]) => seq <= wanted)?.[1] ?? 0;
      const newest = passed[0]?.[0] ?? 0;
      return { all, first: at(newest - 5_000), last: all - at(5_000) };
    });
    row("scrolled up to the first, all of it loaded", seconds(climb.all), `the newest 5,000 took ${seconds(climb.first)}, the oldest 5,000 ${seconds(climb.last)}`);
    await measure("scrolling the oldest page, all loaded");
    await list.evaluate((el) => (el.scrollTop = el.scrollHeight / 2));
    await measure("scrolling in the middle, all loaded");
  },
  { trace: false, within: 900_000 },
);
