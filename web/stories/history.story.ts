/// <reference types="node" />
/** A conversation of 100,000 messages, and a group of 2,000. */
import { afterAll, beforeAll, expect } from "vitest";
import { soon, type Person, story, type World } from "./harness";
import { longGroup, type Long, veryLong } from "./long";
import { anchored, frames, scroller } from "./scroll";
import { Server } from "./server";

const count = 100_000;
const few = 150; // articles on the page at any time, whatever the conversation holds

let server: Server;
let long: Long;
let group: Long;

beforeAll(async () => {
  server = await Server.start();
  long = await veryLong(server, count);
  group = await longGroup(server, 2_000);
}, 240_000);

afterAll(() => server?.remove());

/** The reader of a long conversation, who has just opened it on a new device. */
async function reader(w: World, of: Long): Promise<Person> {
  const visitor = await w.visitor("Ada", {}, server.url);
  await visitor.tab.goto();
  await visitor.tab.signIn(of.reader);
  await visitor.tab.inside();
  await visitor.tab.open(of.title);
  await visitor.tab.articles.first().waitFor();
  await visitor.tab.toNewest(); // an earlier story may have left the "new" line further up
  await visitor.tab.message(of.newest).waitFor();
  return { ...visitor, ...of.reader };
}

story("a new device shows the newest of 100,000 messages at once, and few are on the page", async (w) => {
  const before = Date.now();
  const ada = await reader(w, long);
  expect(Date.now() - before).toBeLessThan(soon);
  expect(await ada.tab.articles.count()).toBeLessThan(few);
});

for (const [name, of, pages] of [
  ["100,000 messages", () => long, 12],
  ["a group, where names and faces stand beside them", () => group, 12],
] as const) {
  story(
    `scrolling up through ${name} brings older ones, and what is on the screen does not move`,
    async (w) => {
      const ada = await reader(w, of());
      const list = await scroller(ada.tab);
      let oldest = Infinity;
      const moved: number[] = [];
      for (let i = 0; i < pages; i++) {
        const seen = await anchored(list);
        moved.push(seen.moved);
        expect(seen.oldest).toBeLessThan(oldest);
        oldest = seen.oldest;
      }
      expect(Math.max(...moved), `pixels, page by page: ${moved.map((m) => m.toFixed(1)).join(", ")}`).toBeLessThanOrEqual(2);
      const times = await frames(ada.tab.page, list, 60);
      expect(times.articles).toBeLessThan(few);
      expect(times.p50).toBeLessThan(50); // on a machine that does other things as well; docs/bench/web.md has figures

      // Every number is there once and in order.
      const seqs = await ada.tab.articles.evaluateAll((all) => all.map((el) => Number(el.getAttribute("data-seq"))));
      expect(seqs.length).toBeGreaterThan(3);
      seqs.slice(1).forEach((seq, i) => expect(seq).toBe((seqs[i] ?? 0) + 1));
    },
    { trace: false, within: 120_000 },
  );
}

story("\"Jump to newest\" counts what came meanwhile, and leads there", async (w) => {
  const ada = await reader(w, long);
  const list = await scroller(ada.tab);
  for (let i = 0; i < 2; i++) await anchored(list);
  const jump = ada.tab.page.getByRole("button", { name: /^Jump to newest/ });
  await jump.waitFor();
  for (const text of ["news 1", "news 2"]) await long.writer.send(long.conversation, text);
  await expect.poll(() => jump.getAttribute("aria-label"), { timeout: soon }).toBe("Jump to newest, 2 new messages");
  expect(await ada.tab.message("news 2").count()).toBe(0); // what one reads stays where it is
  await jump.click();
  await ada.tab.message("news 2").waitFor();
  await jump.waitFor({ state: "hidden" });
});
