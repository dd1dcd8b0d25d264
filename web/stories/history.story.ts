/// <reference types="node" />
/** A conversation of 100,000 messages. */
import { afterAll, beforeAll, expect } from "vitest";
import { soon, type Person, story, Terminal, type World } from "./harness";
import { fill, type Long } from "./long";
import { anchored, frames, scroller, toTop } from "./scroll";
import { Server } from "./server";

const count = Number(process.env["LONG"] ?? 100_000);
let server: Server;
let long: Long;

beforeAll(async () => {
  server = await Server.start();
  long = await fill(server, count);
}, 240_000);

afterAll(() => server?.remove());

/** The reader of the long conversation, who has just opened it on a new device. */
async function reader(w: World): Promise<Person> {
  const visitor = await w.visitor("Ada", {}, server.url);
  await visitor.tab.goto();
  await visitor.tab.signIn(long.reader);
  await visitor.tab.inside();
  await visitor.tab.open(long.title);
  await visitor.tab.message(long.text(count)).waitFor();
  return { ...visitor, ...long.reader };
}

const few = 150; // articles on the page at any time, whatever the conversation holds

story("a new device shows the newest of 100,000 messages at once, and few are on the page", async (w) => {
  const before = Date.now();
  const ada = await reader(w);
  expect(Date.now() - before).toBeLessThan(soon);
  expect(await ada.tab.articles.count()).toBeLessThan(few);
});

story(
  "scrolling up brings older messages, and what is on the screen does not move",
  async (w) => {
    const ada = await reader(w);
    const { page } = ada.tab;
    const list = await scroller(ada.tab);
    let oldest = count + 1;
    for (let i = 0; i < 12; i++) {
      const seen = await anchored(list);
      expect(seen.moved, `the message under the eye moved ${seen.moved} px when page ${i + 1} came`).toBeLessThanOrEqual(2);
      expect(seen.oldest).toBeLessThan(oldest);
      oldest = seen.oldest;
    }
    expect(oldest).toBeLessThan(count - 600);
    const times = await frames(page, list, 60);
    expect(times.articles).toBeLessThan(few);
    expect(times.p50).toBeLessThan(50); // on a machine that does other things as well; docs/bench/web.md has figures

    // Every number is there once and in order, wherever one looks.
    await toTop(list);
    const seqs = await ada.tab.articles.evaluateAll((all) => all.map((el) => Number(el.getAttribute("data-seq"))));
    expect(seqs.length).toBeGreaterThan(3);
    seqs.slice(1).forEach((seq, i) => expect(seq).toBe((seqs[i] ?? 0) + 1));
  },
  { trace: false, within: 120_000 },
);

story("\"Jump to newest\" counts what came meanwhile, and leads there", async (w) => {
  const ada = await reader(w);
  const friend = await Terminal.open(server, long.writer.handle, long.writer.password, "there").catch(() => undefined);
  const list = await scroller(ada.tab);
  await toTop(list);
  await toTop(list);
  const jump = ada.tab.page.getByRole("button", { name: /^Jump to newest/ });
  await jump.waitFor();
  for (const text of ["news 1", "news 2"]) await friend?.send(long.conversation, text);
  await expect.poll(() => jump.innerText().then(async (text) => text + (await jump.getAttribute("aria-label"))), { timeout: soon }).toContain("2");
  expect(await ada.tab.message("news 2").count()).toBe(0); // what one reads stays where it is
  await jump.click();
  await ada.tab.message("news 2").waitFor();
  await jump.waitFor({ state: "hidden" });
});
