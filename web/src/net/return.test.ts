import { describe, expect, test } from "vitest";
import { changes, LinkWorld, lost, steady, welcome } from "./fakelink";
import { FakePlatform } from "./fakeplatform";

const HOUR = 3_600_000;

/** Chance that is the same in every run. */
function seeded(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

describe("a close code", () => {
  // Each kills another reading of the code: hammering a server that is too busy, staying away from one that restarts.
  test.each<[number, string, number, number]>([
    [1000, "is like a loss", 0, 500],
    [1001, "is like a loss", 0, 500],
    [1005, "is like a loss", 0, 500],
    [1006, "of a loss is followed by a try within half a second", 0, 500],
    [1011, "is like a loss", 0, 500],
    [1012, "of a restart is followed by a try within half a second", 0, 500],
    [1013, "of a busy server keeps us away for some seconds", 5_000, 11_000],
    [1002, "of a refusal keeps us away for minutes", 150_000, 301_000],
    [1003, "of a refusal keeps us away for minutes", 150_000, 301_000],
    [1007, "of a refusal keeps us away for minutes", 150_000, 301_000],
    [1008, "of a refusal keeps us away for minutes", 150_000, 301_000],
    [1009, "of a refusal keeps us away for minutes", 150_000, 301_000],
  ])("%i %s", async (code, _, least, most) => {
    const waits: number[] = [];
    for (const luck of [0, 0.999]) {
      const world = await steady(luck);
      await world.socket.end(code);
      waits.push(await world.wait());
    }
    const [shortest = 0, longest = 0] = waits;
    expect(shortest).toBeGreaterThanOrEqual(least);
    expect(longest).toBeLessThanOrEqual(most);
    expect(longest - shortest).toBeGreaterThan((most - least) * 0.7); // spread
  });

  test("4001 means signed out: nothing tries again, whatever happens", async () => {
    const world = await steady();
    await world.socket.end(4001);
    expect(world.state).toEqual({ state: "signed out" });
    world.link.retryNow();
    await world.platform.sleep(HOUR);
    await world.platform.pass(24 * HOUR);
    expect(world.tries).toBe(1);
    expect(world.state).toEqual({ state: "signed out" });
  });

  test("4003 means too old: only a person tries again", async () => {
    const world = await steady();
    await world.socket.end(4003);
    expect(world.state).toEqual({ state: "too old" });
    await world.platform.sleep(HOUR);
    await world.platform.pass(24 * HOUR);
    expect(world.tries).toBe(1);
    world.link.retryNow();
    expect(world.state).toEqual({ state: "connecting" });
    await world.online();
    expect(world.tries).toBe(2);
    expect(world.state).toEqual({ state: "online" });
  });
});

describe("the wait", () => {
  test("is told, until when", async () => {
    const world = await steady();
    await world.socket.end();
    expect(world.state).toEqual({ state: "waiting", until: world.platform.now() + 250 });
  });

  test("doubles while nothing works, up to half a minute, and is spread", async () => {
    const world = new LinkWorld();
    world.platform.chance = () => 1;
    world.link.start();
    await world.platform.pass(0);
    const waits: number[] = [];
    for (let i = 0; i < 9; i++) {
      await world.socket.end();
      waits.push(await world.wait());
    }
    expect(waits).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  });

  // Kills a reset of the waits by the welcome alone: a server that takes everybody and drops them would be hammered.
  test.each<[string, number, (world: LinkWorld) => Promise<void>]>([
    ["refuses", 1006, async () => {}],
    ["takes the connection, and closes it", 1006, async (world) => world.socket.open()],
    ["lets catch up, and closes", 1006, async (world) => void (await world.online())],
    ["lets catch up, and restarts", 1012, async (world) => void (await world.online())],
    [
      "lets catch up, says goaway, and restarts",
      1012,
      async (world) => {
        await world.online();
        await world.socket.say({ t: "goaway", after_ms: 0 });
      },
    ],
    [
      "stays for some seconds",
      1006,
      async (world) => {
        await world.online();
        await world.platform.pass(5_000);
      },
    ],
  ])("bounds how often a server is asked that %s", async (_, code, so) => {
    const world = new LinkWorld();
    world.platform.chance = seeded(7);
    const begun = world.platform.now();
    world.link.start();
    await world.platform.pass(0);
    while (world.platform.now() - begun < HOUR) {
      await so(world);
      await world.socket.end(code);
      await world.wait();
    }
    expect(world.tries).toBeLessThan(300); // a try every 12 s or so
    expect(world.tries).toBeGreaterThan(100); // and it never gives up
  });

  test("is short again after the link was online for a while", async () => {
    const world = new LinkWorld();
    world.platform.chance = () => 0.999;
    world.link.start();
    await world.platform.pass(0);
    for (let i = 0; i < 8; i++) {
      await world.socket.end();
      await world.wait();
    }
    const socket = await world.online();
    await world.platform.pass(11_000);
    await socket.end();
    expect(await world.wait()).toBeLessThanOrEqual(500);
  });

  // Kills a herd: a thousand pages that lost their server in the same moment.
  test("differs from page to page", async () => {
    const chance = seeded(42);
    const waits: number[] = [];
    for (let i = 0; i < 500; i++) {
      const world = new LinkWorld();
      world.platform.chance = chance;
      world.link.start();
      await world.platform.pass(0);
      await world.socket.end();
      if (world.state?.state !== "waiting") throw new Error("it does not wait");
      waits.push(world.state.until - world.platform.now());
    }
    for (let fifth = 0; fifth < 5; fifth++) {
      const within = waits.filter((wait) => wait >= fifth * 100 && wait < (fifth + 1) * 100).length;
      expect(within).toBeGreaterThan(70);
      expect(within).toBeLessThan(130);
    }
  });
});

describe("goaway", () => {
  test("says how long to stay away, and the return is spread", async () => {
    const waits: number[] = [];
    for (const luck of [0, 0.999]) {
      const world = await steady(luck);
      await world.socket.say({ t: "goaway", after_ms: 4_000 });
      expect(world.state).toEqual({ state: "online" }); // the close follows
      await world.socket.end(1012);
      waits.push(await world.wait());
    }
    const [shortest = 0, longest = 0] = waits;
    expect(shortest).toBeGreaterThanOrEqual(4_000);
    expect(longest).toBeLessThanOrEqual(4_500);
    expect(longest - shortest).toBeGreaterThan(400);
  });

  test("counts also if the close was lost, and before a welcome", async () => {
    const world = await steady();
    await world.socket.say({ t: "goaway", after_ms: 4_000 });
    await world.socket.end(1006);
    expect(await world.wait()).toBeGreaterThanOrEqual(4_000);
    await world.socket.open();
    await world.socket.say({ t: "goaway", after_ms: 6_000 });
    await world.socket.end(1012);
    expect(await world.wait()).toBeGreaterThanOrEqual(6_000);
  });

  test("counts once", async () => {
    const world = await steady();
    await world.socket.say({ t: "goaway", after_ms: 40_000 });
    await world.socket.end(1012);
    await world.wait();
    await world.socket.end();
    expect(await world.wait()).toBeLessThan(5_000);
  });

  // Kills a server, or what claims to be one, that sends every page away for a year.
  test("cannot keep us away for longer than some minutes", async () => {
    const world = await steady();
    await world.socket.say({ t: "goaway", after_ms: 2 ** 52 });
    await world.socket.end(1012);
    expect(await world.wait()).toBeLessThanOrEqual(601_000);
  });

  test("is kept to when the page wakes, and a person may cut it short", async () => {
    const world = await steady();
    await world.socket.say({ t: "goaway", after_ms: 20_000 });
    await world.socket.end(1012);
    await world.platform.wake();
    await world.platform.pass(10_000);
    expect(world.tries).toBe(1);
    world.link.retryNow();
    await world.platform.pass(0);
    expect(world.tries).toBe(2);
  });
});

test("an error before the welcome says how long to stay away", async () => {
  const world = new LinkWorld();
  world.link.start();
  await world.platform.pass(0);
  await world.socket.open();
  await world.socket.say({ t: "error", code: "overloaded", message: "", retry_after_ms: 60_000 });
  await world.socket.end(1013);
  expect(await world.wait()).toBeGreaterThanOrEqual(60_000);
});

describe("a wake", () => {
  test("tries at once what waits", async () => {
    const world = await lost();
    await world.platform.wake();
    expect(world.tries).toBe(2);
    expect(world.state).toEqual({ state: "connecting" });
  });

  // Kills one long wait after the network came back but names could not be looked up yet.
  test("makes the waits that follow short", async () => {
    const world = new LinkWorld();
    world.platform.chance = () => 1;
    world.link.start();
    await world.platform.pass(0);
    for (let i = 0; i < 8; i++) {
      await world.socket.end();
      await world.wait();
    }
    await world.socket.end();
    await world.platform.pass(5_000);
    await world.platform.wake();
    await world.socket.end();
    expect(await world.wait()).toBe(500);
  });

  // Kills a page that tries with every flap of a network or switch of a tab.
  test.each(["wakes", "a person's clicks"])("bounds how often %s make it try", async (what) => {
    const world = new LinkWorld();
    world.link.start();
    for (let i = 0; i < 600; i++) {
      await world.platform.pass(100);
      if (world.tries > 0) await world.socket.end();
      if (what === "wakes") await world.platform.wake();
      else world.link.retryNow();
    }
    expect(world.tries).toBeLessThanOrEqual(120); // in a minute
    const before = world.tries;
    for (let i = 0; i < 50; i++) {
      if (what === "wakes") await world.platform.wake();
      else world.link.retryNow();
    }
    expect(world.tries - before).toBeLessThanOrEqual(1);
  });

  // Kills 1008 and 1013 that a switch of the tab makes useless.
  test.each([1008, 1013])("does not cut short what the server wants: %i", async (code) => {
    const world = await steady();
    await world.socket.end(code);
    const state = world.state;
    await world.platform.wake();
    expect(world.tries).toBe(1);
    expect(world.state).toEqual(state);
    world.link.retryNow();
    expect(world.state).toEqual({ state: "connecting" });
  });
});

describe("without a network", () => {
  test("it is offline, which is not hidden by tries, and a wake does not try", async () => {
    const world = await steady();
    world.platform.reachable = false;
    await world.socket.end();
    expect(world.state).toEqual({ state: "offline" });
    const told = world.states.length;
    await world.platform.wake();
    expect(world.tries).toBe(1);
    await world.platform.pass(60_000); // now and then it tries: a server on this machine needs no network
    expect(world.tries).toBeGreaterThan(1);
    expect(world.states).toHaveLength(told);
  });

  test("it is told when the network goes while it waits, and tries when it is back", async () => {
    const world = await lost();
    expect(world.state?.state).toBe("waiting");
    world.platform.reachable = false;
    await world.platform.wake();
    expect(world.state).toEqual({ state: "offline" });
    world.platform.reachable = true;
    await world.platform.wake();
    expect(world.state).toEqual({ state: "connecting" });
    expect(world.tries).toBe(2);
  });

  test("a person may try", async () => {
    const world = await lost();
    world.platform.reachable = false;
    await world.platform.wake();
    world.link.retryNow();
    await world.platform.pass(0);
    expect(world.tries).toBe(2);
    await world.online();
    expect(world.state).toEqual({ state: "online" });
  });

  // Kills half a minute of "online" after the network was pulled.
  test("a link that is online is asked at once, even if it was heard a moment ago", async () => {
    const world = await steady();
    world.platform.reachable = false;
    await world.platform.wake();
    expect(world.socket.sent.at(-1)).toMatchObject({ t: "read", limit: 1 });
    await world.platform.pass(5_000);
    expect(world.state).toEqual({ state: "offline" });
  });
});

test("a person's wish to try does nothing to a link that is well, and wakes one that connects for too long", async () => {
  const world = new LinkWorld(new FakePlatform());
  world.link.retryNow(); // before the start
  expect(world.tries).toBe(0);
  world.link.start();
  await world.platform.pass(6_000);
  world.link.retryNow();
  await world.platform.pass(1_000);
  expect(world.tries).toBe(2);
  await world.socket.open();
  await world.socket.say(welcome, changes(1));
  world.link.retryNow();
  await world.platform.pass(1_000);
  expect(world.tries).toBe(2);
  expect(world.state).toEqual({ state: "online" });
});
