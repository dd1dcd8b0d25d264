import type { ServerFrame } from "../wire/wire.gen";
import type { ChangesFrame, EntriesFrame, WelcomeFrame } from "../wire/wire.gen";
import { FakePlatform, type FakeSocket } from "./fakeplatform";
import { Link, type LinkState } from "./link";

export const welcome: WelcomeFrame = {
  t: "welcome",
  user: { id: "u1", handle: "ann", name: "Ann" },
  device: { id: "d1", name: "Firefox on Linux", current: true },
  epoch: "e1",
  server: "parley/1.0",
  limits: { frame: 65_536, text: 1_000, body_bytes: 16_384, members: 1_000 },
};

/** No rows, up to that position. */
export function changes(pos: number, more = false): ChangesFrame {
  return { t: "changes", rows: [], cursor: `e1.${pos}`, more };
}

/** A push of one message. */
export function entries(conversation: string, seq: number, text = "hi"): EntriesFrame {
  const entry = { conversation, seq, kind: "message", id: `m${seq}`, sender: "u2", device: "d2", at: "2026-01-02T03:04:05.006Z" };
  return { t: "entries", conversation, entries: [{ ...entry, body: { type: "text/plain", text } }], head: seq };
}

/** A link and the world it lives in. */
export class LinkWorld {
  readonly states: LinkState[] = [];
  readonly frames: ServerFrame[] = []; // handed on, in order
  cursor: string | null = null;
  hello: () => Promise<{ cursor: string | null; client: string }> = async () => ({ cursor: this.cursor, client: "test/1" });
  handle: (frame: ServerFrame) => void | Promise<void> = () => {};
  told: (state: LinkState) => void = () => {};
  readonly link: Link;

  constructor(readonly platform = new FakePlatform()) {
    this.link = new Link(platform, {
      url: "ws://parley.test/v1/connect",
      hello: () => this.hello(),
      frame: (frame) => {
        this.frames.push(frame);
        return this.handle(frame);
      },
      state: (state) => {
        this.states.push(state);
        this.told(state);
      },
    });
  }

  get state(): LinkState | undefined {
    return this.states.at(-1);
  }

  get socket(): FakeSocket {
    return this.platform.newest;
  }

  /** How many connections were tried. */
  get tries(): number {
    return this.platform.sockets.length;
  }

  /** Starts the link, if need be, and brings its newest socket as far as online. */
  async online(): Promise<FakeSocket> {
    this.link.start();
    await this.platform.pass(0);
    const socket = this.socket;
    await socket.open();
    await socket.say(welcome, changes(1));
    return socket;
  }

  /** How long the link waits for its next try, in milliseconds: passes the time until then, at most the limit. */
  async wait(limit = 3_600_000): Promise<number> {
    const before = this.tries;
    const from = this.platform.now();
    const state = this.state;
    const due = state?.state === "waiting" ? state.until - from : limit;
    await this.platform.pass(due - 1);
    if (this.tries > before) throw new Error("it tried too early");
    await this.platform.pass(1);
    return this.tries > before ? this.platform.now() - from : Infinity;
  }
}

/** A world whose link has been online for a while and heard something just now. luck is its chance: 0 the shortest of every wait, 0.999 nearly the longest. */
export async function steady(luck = 0.5): Promise<LinkWorld> {
  const world = new LinkWorld();
  world.platform.chance = () => luck;
  const socket = await world.online();
  await world.platform.pass(20_000);
  await socket.say(entries("c1", 1));
  return world;
}

/** A world whose link failed so often that it waits for half a minute, of which five seconds passed. Its tries are counted from one again. */
export async function lost(): Promise<LinkWorld> {
  const world = new LinkWorld();
  world.platform.chance = () => 0.999;
  world.link.start();
  await world.platform.pass(0);
  for (let i = 0; i < 8; i++) {
    await world.socket.end();
    await world.wait();
  }
  await world.socket.end();
  await world.platform.pass(5_000);
  world.platform.sockets.splice(0, world.platform.sockets.length - 1);
  return world;
}
