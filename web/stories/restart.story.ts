/// <reference types="node" />
/** The server goes and comes back; nobody reloads anything. */
import { join } from "node:path";
import { expect } from "vitest";
import { type Person, soon, story, unreachable } from "./harness";
import { parley } from "./server";

const allow = [unreachable, /status of 50\d/];

story(
  "kill -9 of the server in mid-conversation: what was said around it arrives once",
  async (w) => {
    const [ada, bo] = await Promise.all([w.person("Ada"), w.person("Bo")]);
    await ada.tab.startDirect(bo.handle, "Bo");
    await ada.tab.sayAndSee("0");
    await bo.tab.open("Ada");
    const texts = ["0"];
    for (let cycle = 1; cycle <= 3; cycle++) {
      // The last of these are on their way when the server dies.
      for (let i = 0; i < 5; i++) {
        texts.push(`${cycle}.${i} before the end`);
        await ada.tab.say(`${cycle}.${i} before the end`);
      }
      await w.server.kill();
      texts.push(`${cycle} while nobody listens`);
      await ada.tab.say(`${cycle} while nobody listens`);
      await w.server.resume();
      await hurried(ada, bo);
      await bo.tab.message(`${cycle} while nobody listens`).waitFor();
    }
    for (const { tab } of [ada, bo]) {
      await tab.log.hover();
      await tab.message("3 while nobody listens").waitFor();
    }
    await ada.tab.receipt("3 while nobody listens", "Read").waitFor();
    const bos = await w.terminalOf(bo);
    expect(await bos.texts(`@${ada.handle}`)).toEqual(texts);
    for (const { tab } of [ada, bo]) await tab.shows(texts);
  },
  { server: {}, allow },
);

story(
  "a restart of the server heals by itself, and is told quietly",
  async (w) => {
    const [ada, bo] = await Promise.all([w.person("Ada"), w.person("Bo")]);
    await ada.tab.startDirect(bo.handle, "Bo");
    await ada.tab.sayAndSee("before");
    const born = await ada.tab.page.evaluate(() => performance.timeOrigin);
    await w.server.stop();
    await ada.tab.status(/Reconnecting in \d+ s|Connecting…/).first().waitFor();
    const top = await ada.tab.composer.boundingBox();
    await ada.tab.button("Retry now").waitFor();
    await w.server.resume();
    await ada.tab.button("Retry now").click().catch(() => undefined); // it may be back before one gets there
    await ada.tab.button("Retry now").waitFor({ state: "detached" });
    expect(await ada.tab.composer.boundingBox()).toEqual(top); // nothing moved
    await ada.tab.sayAndSee("after");
    await bo.tab.open("Ada");
    await bo.tab.shows(["before", "after"]);
    expect(await ada.tab.page.evaluate(() => performance.timeOrigin)).toBe(born); // it was not reloaded
  },
  { server: {}, allow },
);

story(
  "a server restored from a backup: devices start over, and what waits is sent",
  async (w) => {
    const [ada, bo] = await Promise.all([w.person("Ada"), w.person("Bo")]);
    await ada.tab.startDirect(bo.handle, "Bo");
    for (const text of ["kept 1", "kept 2"]) await ada.tab.sayAndSee(text);
    await bo.tab.open("Ada");
    await bo.tab.shows(["kept 1", "kept 2"]);

    const copy = join(w.server.home, "copy");
    await parley(["backup", copy, "--data", w.server.data]);
    for (const text of ["after the backup 1", "after the backup 2"]) await ada.tab.sayAndSee(text);
    await bo.tab.message("after the backup 2").waitFor();
    await w.server.stop();
    await ada.tab.say("while it is restored");
    w.server.data = join(w.server.home, "restored");
    await parley(["restore", copy, "--data", w.server.data]);
    await w.server.resume();
    await hurried(ada, bo);

    // What the server does not have any more is gone; what it never had is sent.
    const now = ["kept 1", "kept 2", "while it is restored"];
    for (const { tab } of [ada, bo]) await tab.shows(now);
    await bo.tab.say("welcome back");
    for (const { tab } of [ada, bo]) await tab.shows([...now, "welcome back"]);
    expect(await (await w.terminalOf(ada)).texts(`@${bo.handle}`)).toEqual([...now, "welcome back"]);
  },
  { server: {}, allow },
);

/** Has nobody wait for the next try. */
async function hurried(...people: Person[]): Promise<void> {
  await Promise.all(
    people.map(async ({ tab }) => {
      const retry = tab.button("Retry now");
      await expect
        .poll(
          async () => {
            if ((await retry.count()) === 0) return "in touch";
            await retry.click({ timeout: 500 }).catch(() => undefined);
            return "waiting";
          },
          { timeout: soon, interval: 200 },
        )
        .toBe("in touch");
    }),
  );
}
