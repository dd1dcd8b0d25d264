/**
 * A world for tests of the model: time that moves only when told, a network that loses what it is told to lose, and a browser with tabs that
 * share a database, a lock and a channel. A tab can be closed, killed in the middle of a transaction, or frozen and thawed.
 */
import type { Engine, Tx } from "../db/engine";
import { Memory, MemoryEngine } from "../db/memory";
import type { StoreName, Stores } from "../db/schema";
import type { Socket, SocketEvents } from "../net/platform";
import type { ClientFrame, ServerFrame } from "../wire/wire.gen";
import { FakeServer, FakeSession } from "./fakeserver";
import { createModel } from "./index";
import type { Model } from "./model";
import type { Channel, Locks, Outside } from "./outside";

/** Lets everything that needs no time happen. */
export function settled(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}

/** Chance that is the same for the same seed. */
export function chance(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), 1 | seed);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

interface Timer {
  readonly at: number;
  readonly run: () => void;
}

export class Clock {
  now = Date.UTC(2026, 0, 1);
  private timers: Timer[] = [];

  /** Timers that are still to run. */
  get left(): number {
    return this.timers.length;
  }

  at(ms: number, run: () => void): () => void {
    const timer = { at: this.now + ms, run };
    let i = this.timers.length;
    while (i > 0 && this.timers[i - 1]!.at > timer.at) i--;
    this.timers.splice(i, 0, timer);
    return () => {
      const i = this.timers.indexOf(timer);
      if (i >= 0) this.timers.splice(i, 1);
    };
  }

  /** Waits until nothing that needs no time is left to happen. */
  idle: () => Promise<void> = settled;

  /** Lets ms milliseconds pass. */
  async pass(ms: number): Promise<void> {
    const until = this.now + ms;
    await this.idle();
    for (let next = this.timers[0]; next && next.at <= until; next = this.timers[0]) {
      this.now = Math.max(this.now, next.at);
      // What is due at one moment happens at once.
      while (this.timers[0] && this.timers[0].at <= this.now) this.timers.shift()!.run();
      await this.idle();
    }
    this.now = until;
  }
}

/** The seams at which a test breaks things that must not break. */
export interface Seams {
  /** Every frame a page sends; what it returns is sent instead, undefined: nothing. */
  sends?(frame: ClientFrame, browser: Browser): ClientFrame | undefined;
  /** Every frame a page is about to handle. */
  hears?(frame: ServerFrame, browser: Browser): void;
  /** Instead of the engine of a tab. */
  engine?(memory: Memory, tab: Tab): Engine;
  /** Every tab gets the lock at once. */
  noLocks?: boolean;
}

/** A record that was committed. */
export type Put = { [S in StoreName]: { readonly store: S; readonly record: Stores[S] } }[StoreName];

/** A browser with one profile: what its tabs share. */
export class Browser {
  readonly memory = new Memory();
  readonly tabs: Tab[] = [];
  network = true;
  loss = 0; // the chance of a fetch to fail before the server hears of it, and the same after
  user: string | undefined; // whose session the cookie is
  /** Told at each commit of what it put. */
  committed: (puts: readonly Put[]) => void = () => {};
  private holder: Tab | undefined;
  private readonly queue: { tab: Tab; grant: () => void }[] = [];

  constructor(
    readonly clock: Clock,
    readonly server: FakeServer,
    readonly random: () => number,
    readonly seams: Seams = {},
  ) {}

  open(): Tab {
    const tab = new Tab(this);
    this.tabs.push(tab);
    return tab;
  }

  get living(): Tab[] {
    return this.tabs.filter((tab) => tab.alive);
  }

  /** Ends every connection, from the outside. */
  cut(code = 1006): void {
    for (const tab of this.living) tab.wires.forEach((wire) => wire.end(code));
  }

  setNetwork(on: boolean): void {
    this.network = on;
    if (!on) this.cut();
    for (const tab of this.living) tab.wake();
  }

  broadcast(from: Tab, message: unknown): void {
    if (!from.alive) return;
    for (const tab of this.living) if (tab !== from) tab.later(0, () => tab.hear?.(message));
  }

  lock(tab: Tab, grant: () => void): void {
    if (this.seams.noLocks) return void tab.later(0, grant);
    this.queue.push({ tab, grant });
    this.pass();
  }

  /** tab holds no lock any more, and waits for none. */
  unlock(tab: Tab): void {
    for (let i = this.queue.length - 1; i >= 0; i--) if (this.queue[i]!.tab === tab) this.queue.splice(i, 1);
    if (this.holder === tab) this.holder = undefined;
    this.pass();
  }

  /** tab holds no lock any more, and goes on waiting if it waits. */
  release(tab: Tab): void {
    if (this.holder === tab) this.holder = undefined;
    this.pass();
  }

  /** The lock goes to the next who can take it. */
  pass(): void {
    const next = this.queue.findIndex(({ tab }) => !tab.frozen);
    if (this.holder || next < 0) return;
    const [{ tab, grant }] = this.queue.splice(next, 1) as [{ tab: Tab; grant: () => void }];
    this.holder = tab;
    tab.later(0, grant);
  }
}

/** One tab, and the world as it sees it. */
export class Tab implements Outside {
  readonly url = "ws://fake/v1/connect";
  readonly model: Model;
  readonly wires = new Set<Wire>();
  alive = true;
  frozen = false;
  skew = 0; // of its clock
  hear: ((message: unknown) => void) | undefined;
  private readonly held: (() => void)[] = []; // what happens when it thaws
  private readonly wakes = new Set<() => void>();

  constructor(readonly browser: Browser) {
    this.model = createModel(this);
  }

  /** It goes as a crash takes it: nothing of it runs any more, its transactions do not commit. */
  kill(): void {
    this.alive = false;
    for (const wire of this.wires) wire.drop();
    this.browser.unlock(this);
  }

  async close(): Promise<void> {
    const closing = this.model.close();
    await closing;
    this.kill();
  }

  /** It stops where it is, and the browser takes its lock. */
  freeze(): void {
    this.frozen = true;
    this.browser.release(this);
  }

  thaw(): void {
    this.frozen = false;
    for (const run of this.held.splice(0)) run();
    this.browser.pass();
    this.wake();
  }

  wake(): void {
    this.later(0, () => this.wakes.forEach((run) => run()));
  }

  /** Runs something in this tab, when it runs at all. */
  later(ms: number, run: () => void): () => void {
    return this.browser.clock.at(ms, () => this.run(run));
  }

  run(run: () => void): void {
    if (!this.alive) return;
    if (this.frozen) this.held.push(run);
    else run();
  }

  // --- Outside ---

  now = (): number => this.browser.clock.now + this.skew;
  setTimer = (run: () => void, ms: number): (() => void) => {
    let off = false;
    const callOff = this.later(ms, () => off || run());
    return () => {
      off = true; // also of one that is held while the tab is frozen
      callOff();
    };
  };
  random = (): number => this.browser.random();
  online = (): boolean => this.browser.network;
  device = (): string => "Firefox on Linux";
  bytes = (n: number): Uint8Array => Uint8Array.from({ length: n }, () => Math.floor(this.browser.random() * 256));

  onWake = (run: () => void): (() => void) => {
    this.wakes.add(run);
    return () => void this.wakes.delete(run);
  };

  engine = (): Engine => this.browser.seams.engine?.(this.browser.memory, this) ?? new TabEngine(this.browser.memory, this);

  readonly locks: Locks = {
    request: (_name, signal, held) =>
      new Promise((resolve, reject) => {
        const refuse = (): void => reject(signal.reason as Error);
        signal.addEventListener("abort", refuse);
        this.browser.lock(this, () => {
          if (signal.aborted) return;
          signal.removeEventListener("abort", refuse);
          void held().then(() => {
            this.browser.release(this);
            resolve();
          });
        });
      }),
  };

  channel = (): Channel => ({
    post: (message) => this.browser.broadcast(this, message),
    listen: (run) => (this.hear = run),
    close: () => (this.hear = undefined),
  });

  socket = (_url: string, events: SocketEvents): Socket => {
    const wire = new Wire(this, events);
    this.wires.add(wire);
    return wire;
  };

  fetch = (path: string, init: RequestInit): Promise<Response> =>
    new Promise((resolve, reject) => {
      const { clock, server } = this.browser;
      const user = this.browser.user;
      const fail = (): void => this.run(() => reject(new TypeError("failed to fetch")));
      init.signal?.addEventListener("abort", fail);
      clock.at(5, () => {
        if (!this.alive) return;
        if (!this.browser.network || this.browser.random() < this.browser.loss) return fail();
        const { status, body } = server.call(user, init.method ?? "GET", path, init.body ? JSON.parse(init.body as string) : undefined);
        if (status === 201 && path === "/v1/sessions") this.browser.user = (body as { user: { id: string } }).user.id;
        clock.at(5 + Math.floor(this.browser.random() * 30), () => {
          if (!this.browser.network || this.browser.random() < this.browser.loss) return fail();
          this.run(() => resolve(response(status, body)));
        });
      });
    });
}

function response(status: number, body: unknown): Response {
  const text = body === undefined ? "" : JSON.stringify(body);
  const type = status < 400 ? "application/json" : "application/problem+json";
  const headers = { get: (name: string) => (name === "Content-Type" ? type : null) };
  return { status, ok: status < 300, headers, text: async () => text } as unknown as Response;
}

/** A connection between a tab and the server. Frames take a moment, keep their order, and go with the connection. */
export class Wire implements Socket {
  readonly buffered = 0;
  deaf = false; // frames to the page are lost from here: the connection is to be ended after that
  mute = false; // frames of the page are lost from here, likewise
  private session: FakeSession | undefined;
  private over = false;

  constructor(
    private readonly tab: Tab,
    private readonly events: SocketEvents,
  ) {
    const { server, clock, network, user } = tab.browser;
    clock.at(3, () => {
      if (this.over) return;
      if (!network || !tab.browser.network) return this.end(1006);
      if (user === undefined) return this.end(4001);
      this.session = server.connect(user, (frame) => this.say(frame), (code) => this.end(code));
      this.tab.run(() => this.over || events.opened());
    });
  }

  send(text: string): void {
    const { clock, seams } = this.tab.browser;
    const frame = JSON.parse(text) as ClientFrame;
    const sent = seams.sends ? seams.sends(frame, this.tab.browser) : frame;
    if (sent) clock.at(3, () => (this.session?.open && !this.mute ? this.session.receive(sent) : undefined));
  }

  /** The page ends it. */
  close(): void {
    this.over = true;
    this.drop();
  }

  /** It ends on the way, or from over there. */
  end(code: number): void {
    if (this.over) return;
    this.drop();
    this.tab.later(1, () => {
      if (this.over) return;
      this.over = true;
      this.events.closed(code);
    });
  }

  drop(): void {
    if (this.session) this.tab.browser.server.gone(this.session);
    this.session = undefined;
    this.tab.wires.delete(this);
  }

  private say(frame: ServerFrame): void {
    if (this.deaf) return;
    const text = JSON.stringify(frame);
    // What has left the server arrives even if the connection ends right after, unless the page ended it.
    this.tab.later(3, () => {
      if (this.over) return;
      this.tab.browser.seams.hears?.(frame, this.tab.browser);
      this.events.message(text);
    });
  }
}

/** The engine of a tab: what a tab that is gone writes is not committed. */
export class TabEngine extends MemoryEngine {
  protected puts: readonly Put[] = [];

  constructor(
    memory: Memory,
    protected readonly tab: Tab,
  ) {
    super(memory);
  }

  override read<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return super.read((tx) => this.living(() => work(tx)));
  }

  override write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return super.write((tx) => {
      const puts: Put[] = [];
      this.puts = puts;
      return this.living(() => work(noting(tx, puts)));
    });
  }

  protected override async commit(tx: { commit(): void }): Promise<void> {
    await Promise.resolve(); // it takes a moment
    if (!this.tab.alive) throw new Error("killed");
    tx.commit();
    this.tab.browser.committed(this.puts);
  }

  private living<T>(work: () => Promise<T>): Promise<T> {
    return this.tab.alive ? work() : Promise.reject(new Error("killed"));
  }
}

/** The same transaction, noting what it puts. Records are frozen: nobody may change one. */
function noting(tx: Tx, puts: Put[]): Tx {
  return {
    get: (store, key) => tx.get(store, key),
    all: (store) => tx.all(store),
    of: (store, conversation) => tx.of(store, conversation),
    between: (store, conversation, from, to) => tx.between(store, conversation, from, to),
    put: (store, record) => {
      puts.push({ store, record: Object.freeze(record) } as unknown as Put);
      tx.put(store, record);
    },
    delete: (store, key) => tx.delete(store, key),
    deleteBetween: (store, conversation, from, to) => tx.deleteBetween(store, conversation, from, to),
    clear: (store) => tx.clear(store),
  };
}
