/// <reference types="node" />
/**
 * Measuring a timeline from within: what moves when older messages come, and how long a frame takes.
 */
import type { ElementHandle, Page } from "playwright-core";
import type { Tab } from "./tab";

type Box = ElementHandle<HTMLElement>;

/** The element that scrolls the messages. */
export async function scroller(tab: Tab): Promise<Box> {
  const handle = await tab.log.evaluateHandle((log) => {
    const scrolls = (el: Element) => /auto|scroll/.test(getComputedStyle(el).overflowY) && el.scrollHeight > el.clientHeight;
    for (let el: Element | null = log.querySelector("article"); el; el = el.parentElement) if (scrolls(el)) return el as HTMLElement;
    throw new Error("nothing scrolls the messages");
  });
  return handle as Box;
}

/**
 * Goes to the oldest message that is loaded and watches one of those on the screen, frame by frame, until older ones came and some frames
 * more. moved is how far it was ever from where it stood at first, in pixels.
 */
export async function anchored(list: Box): Promise<{ moved: number; oldest: number; milliseconds: number }> {
  return list.evaluate(async (el) => {
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const articles = () => [...el.querySelectorAll<HTMLElement>("article")];
    const seq = (article: Element) => Number(article.getAttribute("data-seq"));
    const oldest = () => Math.min(...articles().map(seq));
    const began = performance.now();
    let height = el.scrollHeight;
    const patience = began + 20_000;
    el.scrollTop = 0;
    await frame();
    await frame();
    // The list may have older ones before the first frame is over; then this is the top no more, and what stands here is watched all the same.
    const edge = el.getBoundingClientRect();
    const anchor = articles().find((article) => article.getBoundingClientRect().top >= edge.top + 1);
    if (!anchor) throw new Error("no message is on the screen");
    const key = anchor.dataset["key"] ?? "";
    const first = oldest();
    const at = anchor.getBoundingClientRect().top;
    let moved = 0;
    let calm = 0;
    while (calm < 12) {
      await frame();
      if (performance.now() > patience) throw new Error(`nothing older came than ${first}`);
      const now = articles().find((article) => article.dataset["key"] === key);
      if (!now) throw new Error(`the message under the eye (${seq(anchor)}) left the page`);
      moved = Math.max(moved, Math.abs(now.getBoundingClientRect().top - at));
      const grew = el.scrollHeight !== height;
      const older = oldest() < first || el.scrollTop > el.clientHeight;
      if (older && !grew) calm++;
      else calm = 0;
      height = el.scrollHeight;
    }
    return { moved, oldest: oldest(), milliseconds: performance.now() - began };
  });
}

export interface Frames {
  readonly p50: number;
  readonly p95: number;
  readonly p99: number;
  readonly longest: number;
  readonly count: number;
  /** most articles on the page at once */
  readonly articles: number;
}

/** Turns the wheel up and down over the messages, notch by notch, and returns the times between frames in milliseconds. */
export async function frames(page: Page, list: Box, notches: number): Promise<Frames> {
  const box = await list.boundingBox();
  if (!box) throw new Error("the messages are not on the screen");
  await page.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
  await list.evaluate((el) => {
    const watch = { times: [] as number[], articles: 0, on: true };
    Object.assign(globalThis, { watch });
    let last = 0;
    const step = (now: number) => {
      if (last > 0) watch.times.push(now - last);
      last = now;
      watch.articles = Math.max(watch.articles, el.querySelectorAll("article").length);
      if (watch.on) requestAnimationFrame(step);
    };
    requestAnimationFrame(step);
  });
  for (let i = 0; i < notches; i++) await page.mouse.wheel(0, (i < notches / 2 ? 1 : -1) * 240);
  return page.evaluate(() => {
    const { watch } = globalThis as unknown as { watch: { times: number[]; articles: number; on: boolean } };
    watch.on = false;
    const sorted = [...watch.times].sort((a, b) => a - b);
    const at = (share: number) => sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0;
    return { p50: at(0.5), p95: at(0.95), p99: at(0.99), longest: at(1), count: sorted.length, articles: watch.articles };
  });
}
