import { describe, expect, test } from "vitest";
import { changes, entries, LinkWorld, lost, steady } from "./fakelink";

const HOUR = 3_600_000;

describe("silence", () => {
  test("of half a minute makes it ask, and of ten seconds more makes it go", async () => {
    const world = new LinkWorld();
    const socket = await world.online();
    await socket.say(entries("c7", 1));
    await world.platform.pass(29_999);
    expect(socket.sent).toHaveLength(1);
    await world.platform.pass(1);
    expect(socket.sent.at(-1)).toEqual({ t: "read", ref: expect.any(Number), conversation: "c7", limit: 1 });
    await world.platform.pass(9_999);
    expect(world.state).toEqual({ state: "online" });
    await world.platform.pass(1);
    expect(world.state?.state).toBe("waiting");
    expect(socket.over).toBe(true);
    await world.platform.pass(500);
    expect(world.tries).toBe(2);
  });

  test("ends with whatever is heard, and begins again", async () => {
    const world = new LinkWorld();
    const socket = await world.online();
    for (let i = 0; i < 10; i++) {
      await world.platform.pass(35_000);
      expect(socket.sent).toHaveLength(2 + i);
      const asked = socket.sent.at(-1);
      if (asked?.t !== "read") throw new Error("nothing was asked");
      await socket.say({ t: "error", ref: asked.ref, code: "not_found", message: "" });
    }
    expect(world.tries).toBe(1);
    expect(world.frames.map((frame) => frame.t)).toEqual(["welcome", "changes"]); // nobody else hears of it
  });

  test("is measured from what was heard last", async () => {
    const world = new LinkWorld();
    const socket = await world.online();
    for (let i = 2; i < 20; i++) {
      await world.platform.pass(20_000);
      await socket.say(changes(i));
    }
    expect(socket.sent).toHaveLength(1);
    await world.platform.pass(29_999);
    expect(socket.sent).toHaveLength(1);
    await world.platform.pass(1);
    expect(socket.sent).toHaveLength(2);
  });

  // Kills silence measured with a clock that somebody may set: an hour back, and a dead link would be noticed in an hour.
  test("is noticed though the clock was set", async () => {
    for (const by of [-HOUR, HOUR]) {
      const world = new LinkWorld();
      const socket = await world.online();
      world.platform.setClock(by);
      await world.platform.pass(30_000);
      expect(socket.sent).toHaveLength(2);
      await world.platform.pass(10_000);
      expect(socket.over).toBe(true);
    }
  });
});

describe("sleep", () => {
  // Kills a link that looks online for 40 s after a laptop was opened.
  test("makes it ask at once, and go after five seconds", async () => {
    const world = await steady();
    await world.platform.sleep(HOUR);
    expect(world.socket.sent.at(-1)).toMatchObject({ t: "read" });
    await world.platform.pass(4_999);
    expect(world.state).toEqual({ state: "online" });
    await world.platform.pass(1);
    expect(world.state?.state).toBe("waiting");
  });

  // Kills wakes that put the end off, one after another.
  test("ends with the first answer that is due, however often the page wakes", async () => {
    const world = await steady();
    await world.platform.sleep(HOUR);
    for (let i = 0; i < 5; i++) {
      await world.platform.pass(1_000);
      await world.platform.wake();
    }
    expect(world.socket.over || world.tries > 1).toBe(true);
    expect(world.platform.sockets[0]?.over).toBe(true);
    expect(world.platform.sockets[0]?.sent.filter((frame) => frame.t === "read")).toHaveLength(1);
  });

  test("does no harm to a link that lives", async () => {
    const world = await steady();
    await world.platform.sleep(HOUR);
    await world.socket.say(changes(2));
    await world.platform.pass(20_000);
    expect(world.tries).toBe(1);
    expect(world.state).toEqual({ state: "online" });
  });

  test("tries at once what waited, though the wait has hours to go by the clock", async () => {
    for (const by of [HOUR, -HOUR]) {
      const world = await lost();
      await world.platform.sleep(by);
      await world.platform.pass(1_000);
      expect(world.tries).toBe(2);
    }
  });

  test("ends what was being connected, and connects anew", async () => {
    const world = new LinkWorld();
    world.link.start();
    await world.platform.pass(0);
    await world.platform.sleep(HOUR);
    expect(world.platform.sockets[0]?.over).toBe(true);
    await world.platform.pass(1_000);
    expect(world.tries).toBe(2);
  });

  test("a wake asks nothing when something was heard a moment ago, and lets a young connection be", async () => {
    const world = await steady();
    await world.platform.wake();
    expect(world.socket.sent).toHaveLength(1);
    await world.socket.end();
    await world.platform.pass(1_000);
    await world.platform.wake();
    expect(world.tries).toBe(2);
    expect(world.socket.over).toBe(false);
  });
});
