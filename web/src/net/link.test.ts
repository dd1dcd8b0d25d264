import { describe, expect, test } from "vitest";
import { Failure } from "../wire/failure";
import type { ServerFrame } from "../wire/wire.gen";
import { CloseSignedOut } from "../wire/wire.gen";
import { changes, entries, LinkWorld, welcome } from "./fakelink";
import { settled } from "./fakeplatform";
import type { Post } from "./link";

const hi: Post = { conversation: "c1", id: "m1", body: { type: "text/plain", text: "hi" } };

/** What became of a promise until now: what it rejected with, "pending", or "done". */
function fate(promise: Promise<unknown>): () => Promise<unknown> {
  let now: unknown = "pending";
  promise.then(
    () => (now = "done"),
    (why: unknown) => (now = why),
  );
  return async () => {
    await settled();
    return now;
  };
}

/** A handler that settles when the test says so, and what it began with. */
function gate() {
  const begun: string[] = [];
  const ends: { resolve: () => void; reject: (why: Error) => void }[] = [];
  const handle = (frame: ServerFrame): Promise<void> => {
    begun.push(frame.t);
    return new Promise((resolve, reject) => {
      ends.push({ resolve, reject });
    });
  };
  return { begun, ends, handle };
}

describe("the beginning", () => {
  test("hello is the first frame, with the cursor and without a token", async () => {
    const world = new LinkWorld();
    world.cursor = "e1.7";
    world.link.start();
    await world.platform.pass(0);
    expect(world.socket.url).toBe("ws://parley.test/v1/connect");
    expect(world.socket.sent).toEqual([]);
    await world.socket.open();
    expect(world.socket.sent).toEqual([{ t: "hello", token: "", cursor: "e1.7", client: "test/1" }]);
  });

  test("a device that has nothing says null", async () => {
    const world = new LinkWorld();
    await world.online();
    expect(world.socket.sent[0]).toMatchObject({ t: "hello", cursor: null });
  });

  test("it is online when it has caught up, and not before", async () => {
    const world = new LinkWorld();
    world.link.start();
    await world.platform.pass(0);
    await world.socket.open();
    expect(world.states).toEqual([{ state: "connecting" }]);
    await world.socket.say(welcome, entries("c1", 1), changes(1, true));
    expect(world.states).toEqual([{ state: "connecting" }, { state: "catching up" }]);
    await world.socket.say(changes(2));
    expect(world.states.slice(2)).toEqual([{ state: "online" }]);
    expect(world.frames.map((frame) => frame.t)).toEqual(["welcome", "entries", "changes", "changes"]);
  });

  // Kills telling before the commit: "online" with the last rows still on their way into the database.
  test("it is online when what it caught up with was handled", async () => {
    const world = new LinkWorld();
    const { ends, handle } = gate();
    world.handle = handle;
    await world.online();
    ends[0]?.resolve();
    await settled();
    expect(world.state).toEqual({ state: "catching up" });
    ends[1]?.resolve();
    await settled();
    expect(world.state).toEqual({ state: "online" });
  });

  test("after a resync it catches up again", async () => {
    const world = new LinkWorld();
    const socket = await world.online();
    await socket.say({ t: "resync", epoch: "e2" });
    expect(world.state).toEqual({ state: "catching up" });
    await socket.say(changes(1));
    expect(world.state).toEqual({ state: "online" });
  });

  // Each kills a link that waits for ever.
  test.each([
    ["the socket does not open", 15_000, async () => {}],
    ["there is no welcome", 10_000, async (world: LinkWorld) => world.socket.open()],
    [
      "there is something, but no welcome",
      10_000,
      async (world: LinkWorld) => {
        await world.socket.open();
        await world.platform.pass(9_000);
        await world.socket.say({ t: "error", code: "overloaded", message: "" });
      },
    ],
  ])("it gives up when %s", async (_, limit, so) => {
    const world = new LinkWorld();
    world.link.start();
    await world.platform.pass(0);
    const from = world.platform.now();
    await so(world);
    await world.platform.pass(from + limit - 1 - world.platform.now());
    expect(world.state?.state).toBe("connecting");
    await world.platform.pass(1);
    expect(world.state?.state).toBe("waiting");
    expect(world.socket.over).toBe(true);
  });

  test("it gives up when nobody says where the device stands, and does not use what is said later", async () => {
    const world = new LinkWorld();
    let late = (): void => {};
    world.hello = () => new Promise((resolve) => (late = () => resolve({ cursor: null, client: "test/1" })));
    world.link.start();
    await world.platform.pass(15_000);
    expect(world.state?.state).toBe("waiting");
    late();
    await settled();
    expect(world.tries).toBe(0);
  });

  test("it tries again when the database cannot say where the device stands, or no socket can be made", async () => {
    const world = new LinkWorld();
    world.hello = () => Promise.reject(new Failure("unreadable", ""));
    world.link.start();
    await settled();
    expect(world.state?.state).toBe("waiting");
    world.hello = async () => ({ cursor: null, client: "test/1" });
    world.platform.refuses = true;
    await world.platform.pass(1_000);
    expect(world.tries).toBe(0);
    expect(world.state?.state).toBe("waiting");
    world.platform.refuses = false;
    await world.platform.pass(30_000);
    expect(world.tries).toBeGreaterThan(0);
  });

  // Kills taking anything for a welcome.
  test.each<[string, ServerFrame]>([
    ["changes", changes(1)],
    ["entries", entries("c1", 1)],
    ["ack", { t: "ack", ref: 1, conversation: "c1", id: "m1", seq: 1, at: "" }],
  ])("%s before the welcome ends the connection", async (_, frame) => {
    const world = new LinkWorld();
    world.link.start();
    await world.platform.pass(0);
    await world.socket.open();
    await world.socket.say(frame);
    expect(world.socket.over).toBe(true);
    expect(world.frames).toEqual([]);
    expect(world.state?.state).toBe("waiting");
  });
});

describe("frames", () => {
  // Kills handling a frame while the one before is being committed: a cursor could overtake its entries.
  test("are handled one after another, in order", async () => {
    const world = new LinkWorld();
    const { begun, ends, handle } = gate();
    world.handle = handle;
    const socket = await world.online();
    await socket.say(entries("c1", 1), changes(2));
    for (let i = 0; i < 4; i++) {
      expect(begun).toHaveLength(i + 1);
      ends[i]?.resolve();
      await settled();
    }
    expect(begun).toEqual(["welcome", "changes", "entries", "changes"]);
  });

  // Kills asking for the cursor while frames of the connection before are still to be handled: what they hold would come twice.
  test("of a connection that is gone are handled before the next one says where the device stands", async () => {
    const world = new LinkWorld();
    const { ends, handle } = gate();
    world.handle = (frame) => {
      if (frame.t === "changes") world.cursor = frame.cursor;
      return handle(frame);
    };
    const socket = await world.online();
    await socket.say(changes(2));
    await socket.end();
    await world.platform.pass(5_000);
    expect(world.tries).toBe(1);
    for (let i = 0; i < 3; i++) {
      ends[i]?.resolve();
      await settled();
    }
    expect(world.tries).toBe(2);
    expect(world.states.map(({ state }) => state)).toEqual(["connecting", "waiting", "connecting"]); // nobody is online by what is over
    await world.socket.open();
    expect(world.socket.sent[0]).toMatchObject({ cursor: "e1.2" });
  });

  // Kills going on after a commit failed: the next cursor would stand for what was never stored.
  test("that cannot be handled end the connection, and what followed is asked for again", async () => {
    const world = new LinkWorld();
    const { begun, ends, handle } = gate();
    world.handle = handle;
    const socket = await world.online();
    await socket.say(changes(2));
    ends[0]?.reject(new Error("the disk is full"));
    await settled();
    expect(begun).toEqual(["welcome"]);
    expect(socket.over).toBe(true);
    expect(world.state?.state).toBe("waiting");
    await world.platform.pass(1_000);
    expect(world.tries).toBe(2);
  });

  // Kills an unbounded queue, one that drops a frame in its middle, and one that drops silently.
  test("that come faster than they can be handled cut the connection, and what waits is handled", async () => {
    const world = new LinkWorld();
    const { begun, ends, handle } = gate();
    world.handle = handle;
    const socket = await world.online();
    const long = entries("c1", 1, "x".repeat(60_000));
    let said = 0;
    while (!socket.over && said < 1_000) {
      await socket.say(long);
      said++;
    }
    expect(said * 60_000).toBeGreaterThan(4_000_000);
    expect(said * 60_000).toBeLessThan(5_000_000);
    expect(world.state?.state).toBe("waiting");
    for (let i = 0; i < said + 1; i++) {
      ends[i]?.resolve();
      await settled();
    }
    expect(begun).toHaveLength(said + 1); // the welcome and the changes; of the entries all but the one too many
    await world.platform.pass(1_000);
    expect(world.tries).toBe(2);
  });

  test.each(["{", "null", `{"t":"changes","rows":null,"cursor":"e1.2","more":false}`, new ArrayBuffer(8)])(
    "that are broken end the connection: %s",
    async (said) => {
      const world = new LinkWorld();
      const socket = await world.online();
      await socket.say(said);
      expect(socket.over).toBe(true);
      expect(world.state?.state).toBe("waiting");
    },
  );

  test("of a later version are ignored, before the welcome too", async () => {
    const world = new LinkWorld();
    world.link.start();
    await world.platform.pass(0);
    await world.socket.open();
    await world.socket.say(`{"t":"confetti"}`, welcome, `{"t":"confetti"}`, changes(1));
    expect(world.frames.map((frame) => frame.t)).toEqual(["welcome", "changes"]);
    expect(world.state).toEqual({ state: "online" });
  });

  test("that say what is wrong with something unasked are handed on", async () => {
    const world = new LinkWorld();
    const socket = await world.online();
    await socket.say({ t: "error", code: "not_found", message: "" });
    expect(world.frames.at(-1)).toMatchObject({ t: "error", code: "not_found" });
  });
});

describe("send", () => {
  test("says whether the frame went", async () => {
    const world = new LinkWorld();
    const mark = { t: "mark", conversation: "c1", read: 3 } as const;
    expect(world.link.send(mark)).toBe(false);
    world.link.start();
    await world.platform.pass(0);
    await world.socket.open();
    expect(world.link.send(mark)).toBe(false); // there was no welcome
    await world.socket.say(welcome);
    expect(world.link.send(mark)).toBe(true);
    expect(world.socket.sent.slice(1)).toEqual([mark]);
    await world.socket.end();
    expect(world.link.send(mark)).toBe(false);
  });

  // Kills an unbounded buffer behind a slow network.
  test("stops when too much waits to leave, and goes on when it left", async () => {
    const world = new LinkWorld();
    const socket = await world.online();
    socket.buffered = 300_000;
    expect(world.link.send({ t: "watch", users: [] })).toBe(false);
    socket.buffered = 0;
    expect(world.link.send({ t: "watch", users: [] })).toBe(true);
  });

  // Kills counting characters: the server counts bytes, and closes.
  test("keeps back what is more than a frame", async () => {
    const world = new LinkWorld();
    const socket = await world.online();
    expect(world.link.send({ t: "watch", users: ["ä".repeat(33_000)] })).toBe(false);
    expect(world.link.send({ t: "watch", users: ["ä".repeat(32_000)] })).toBe(true);
    expect(socket.sent).toHaveLength(2);
  });
});

describe("requests", () => {
  test("are answered by ref, in any order", async () => {
    const world = new LinkWorld();
    const socket = await world.online();
    const posted = world.link.post({ ...hi, base: 4 });
    const read = world.link.read({ conversation: "c1", after: 1, limit: 50 });
    const [post, question] = socket.sent.slice(1);
    expect(post).toEqual({ t: "post", ref: expect.any(Number), ...hi, base: 4 });
    expect(question).toEqual({ t: "read", ref: expect.any(Number), conversation: "c1", after: 1, limit: 50 });
    if (post?.t !== "post" || question?.t !== "read") throw new Error("something else was sent");
    const page = { ...entries("c1", 2), ref: question.ref };
    const ack = { t: "ack", ref: post.ref, conversation: "c1", id: "m1", seq: 5, at: "" } as const;
    await socket.say(page, ack);
    expect(await posted).toEqual(ack);
    expect(await read).toEqual(page);
    expect(world.frames.map((frame) => frame.t)).toEqual(["welcome", "changes"]); // answers are for who asked
    expect(world.platform.left.timers).toBe(1); // that of silence
  });

  // Kills an answer that waits behind frames: a frame's handler that asks something would wait for ever.
  test("are answered while a frame is being handled", async () => {
    const world = new LinkWorld();
    await world.online();
    world.handle = async (frame) => {
      if (frame.t === "entries") await world.link.read({ conversation: "c1", after: 0 });
    };
    await world.socket.say(entries("c1", 9), changes(9));
    const asked = world.socket.sent.at(-1);
    if (asked?.t !== "read") throw new Error("nothing was asked");
    await world.socket.say({ ...entries("c1", 1), ref: asked.ref });
    expect(world.frames.at(-1)).toMatchObject({ t: "changes", cursor: "e1.9" });
  });

  test("fail as the server says", async () => {
    const world = new LinkWorld();
    const socket = await world.online();
    const posted = fate(world.link.post(hi));
    await socket.say({ t: "error", ref: 1, code: "rate_limited", message: "Slowly.", retry_after_ms: 200 });
    const why = await posted();
    expect(why).toBeInstanceOf(Failure);
    expect(why).toMatchObject({ code: "rate_limited", detail: "Slowly.", retryAfter: 200 });
    const again = fate(world.link.post(hi));
    await socket.say({ t: "error", ref: 2, code: "internal", message: "" });
    expect(await again()).toMatchObject({ code: "internal", retryAfter: 0 });
  });

  // Kills a post that hangs when its connection goes: it would never be sent again.
  test("fail when the connection goes, and a new connection answers none of them", async () => {
    const world = new LinkWorld();
    const socket = await world.online();
    const posted = fate(world.link.post(hi));
    expect(await posted()).toBe("pending");
    await socket.end();
    expect(await posted()).toMatchObject({ code: "offline" });
    await world.platform.pass(1_000);
    await world.online();
    const second = fate(world.link.post(hi));
    await world.socket.say({ t: "ack", ref: 1, conversation: "c1", id: "m1", seq: 5, at: "" });
    expect(await second()).toBe("pending"); // a ref is never used twice
  });

  test("fail when there is no connection, when too much waits, and when they fit no frame", async () => {
    const world = new LinkWorld();
    expect(await fate(world.link.post(hi))()).toMatchObject({ code: "offline" });
    const socket = await world.online();
    socket.buffered = 300_000;
    expect(await fate(world.link.read({ conversation: "c1" }))()).toMatchObject({ code: "offline" });
    socket.buffered = 0;
    const long = fate(world.link.post({ ...hi, body: { type: "text/plain", text: "\u{1f600}".repeat(16_384) } }));
    expect(await long()).toMatchObject({ code: "too_large" });
    expect(socket.sent).toHaveLength(1);
    expect(world.platform.left.timers).toBe(1); // that of silence
  });

  test("fail when the server lives and does not answer", async () => {
    const world = new LinkWorld();
    const socket = await world.online();
    const posted = fate(world.link.post(hi));
    await world.platform.pass(20_000);
    await socket.say(entries("c1", 1));
    await world.platform.pass(9_999);
    expect(await posted()).toBe("pending");
    await world.platform.pass(1);
    expect(await posted()).toMatchObject({ code: "offline" });
    await socket.say({ t: "ack", ref: 1, conversation: "c1", id: "m1", seq: 5, at: "" }); // too late for anybody
    expect(world.state).toEqual({ state: "online" });
  });

  test("fail when the answer is to something else", async () => {
    const world = new LinkWorld();
    const socket = await world.online();
    const posted = fate(world.link.post(hi));
    await socket.say({ ...entries("c1", 1), ref: 1 });
    expect(await posted()).toMatchObject({ code: "internal" });
  });

  test("fail as unauthorized when the session ends", async () => {
    const world = new LinkWorld();
    const socket = await world.online();
    const posted = fate(world.link.post(hi));
    await socket.end(CloseSignedOut);
    expect(await posted()).toMatchObject({ code: "unauthorized" });
  });
});

describe("stop", () => {
  const nothing = { timers: 0, sockets: 0, wakes: 0 };

  // Kills a timer, a socket or a listener that outlives its link, at every stage of its life.
  test.each<[string, (world: LinkWorld) => Promise<unknown>]>([
    ["before the start", async () => {}],
    ["while it asks where the device stands", async (world) => world.link.start()],
    [
      "while it connects",
      async (world) => {
        world.link.start();
        await world.platform.pass(0);
      },
    ],
    ["online, with requests", (world) => world.online().then(() => void world.link.post(hi).catch(() => {}))],
    ["while it asks whether the server is there", (world) => world.online().then(() => world.platform.pass(35_000))],
    ["while it waits", (world) => world.online().then((socket) => socket.end())],
    ["when it was signed out", (world) => world.online().then((socket) => socket.end(CloseSignedOut))],
    ["when it is too old", (world) => world.online().then((socket) => socket.end(4003))],
  ])("leaves nothing behind %s", async (_, so) => {
    const world = new LinkWorld();
    await so(world);
    await world.link.stop();
    await settled();
    expect(world.platform.left).toEqual(nothing);
    const { tries, states } = world;
    const told = states.length;
    await world.platform.wake();
    world.link.retryNow();
    world.link.start();
    await world.platform.pass(600_000);
    expect(world.tries).toBe(tries);
    expect(states).toHaveLength(told);
    expect(world.platform.left).toEqual(nothing);
  });

  test("fails what waits for an answer", async () => {
    const world = new LinkWorld();
    await world.online();
    const posted = fate(world.link.post(hi));
    await world.link.stop();
    expect(await posted()).toMatchObject({ code: "offline" });
    expect(await fate(world.link.post(hi))()).toMatchObject({ code: "offline" });
    expect(world.platform.left).toEqual(nothing);
  });

  // Kills an erased database that a frame is still written to.
  test("waits for the frame that is being handled, and hands on no other", async () => {
    const world = new LinkWorld();
    const { begun, ends, handle } = gate();
    world.handle = handle;
    await world.online();
    const stopped = fate(world.link.stop());
    expect(await stopped()).toBe("pending");
    ends[0]?.resolve();
    expect(await stopped()).toBe("done");
    expect(begun).toEqual(["welcome"]);
    expect(world.states).toEqual([{ state: "connecting" }]);
  });

  // Kills a wake that ends what takes too long, tells, and connects anew though it was stopped by who was told.
  test.each(["wake", "sleep without a network", "wish"])("works from within what a %s makes it tell", async (what) => {
    const world = new LinkWorld();
    world.link.start();
    await world.platform.pass(6_000);
    world.platform.reachable = what !== "sleep without a network";
    world.told = () => void world.link.stop();
    if (what === "wish") world.link.retryNow();
    else await world.platform.wake();
    expect(world.states).toHaveLength(2);
    expect(world.platform.left).toEqual(nothing);
  });

  test.each(["connecting", "online", "waiting"])("works from within what is told: %s", async (when) => {
    const world = new LinkWorld();
    world.told = ({ state }) => {
      if (state === when) void world.link.stop();
    };
    world.link.start();
    await world.platform.pass(0);
    if (when !== "connecting") {
      await world.online();
      await world.socket.end();
    }
    await world.platform.pass(60_000);
    expect(world.state).toMatchObject({ state: when });
    expect(world.platform.left).toEqual(nothing);
  });
});
