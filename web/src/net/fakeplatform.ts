import type { ClientFrame, ServerFrame } from "../wire/wire.gen";
import type { Platform, Socket, SocketEvents } from "./platform";

interface Timer {
  readonly at: number; // of the machine's own time
  readonly run: () => void;
}

/**
 * A platform for tests: time moves only by pass, chance is what the test says, sockets lead to the test. It counts what is left over.
 */
export class FakePlatform implements Platform {
  readonly sockets: FakeSocket[] = []; // every one that was opened, in order
  readonly requests: { readonly path: string; readonly init: RequestInit }[] = [];
  /** What fetch answers. */
  respond: (path: string, init: RequestInit) => Promise<Response> = () => Promise.reject(new TypeError("no network"));
  /** What random gives. */
  chance: () => number = () => 0.5;
  reachable = true; // what online says
  refuses = false; // socket throws

  private time = 0; // the machine's own, which only moves forward
  private shift = Date.UTC(2026, 0, 2); // from it to the clock on the wall
  private readonly timers = new Set<Timer>();
  private readonly wakes = new Set<() => void>();

  now(): number {
    return this.shift + this.time;
  }

  setTimer(run: () => void, ms: number): () => void {
    if (!(ms >= 0)) throw new RangeError(`a timer of ${ms} ms`);
    const timer = { at: this.time + ms, run };
    this.timers.add(timer);
    return () => this.timers.delete(timer);
  }

  random(): number {
    return this.chance();
  }

  fetch(path: string, init: RequestInit): Promise<Response> {
    this.requests.push({ path, init });
    return this.respond(path, init);
  }

  socket(url: string, events: SocketEvents): FakeSocket {
    if (this.refuses) throw new DOMException("no sockets here", "SecurityError");
    const socket = new FakeSocket(url, events);
    this.sockets.push(socket);
    return socket;
  }

  online(): boolean {
    return this.reachable;
  }

  onWake(run: () => void): () => void {
    this.wakes.add(run);
    return () => this.wakes.delete(run);
  }

  device(): string {
    return "Firefox on Linux";
  }

  /** Lets ms milliseconds pass: every timer that is due runs, in order, and what it started gets as far as it can. */
  async pass(ms: number): Promise<void> {
    const until = this.time + ms;
    await settled();
    for (let next = this.next(until); next !== undefined; next = this.next(until)) {
      this.time = Math.max(this.time, next.at);
      this.timers.delete(next);
      next.run();
      await settled();
    }
    this.time = until;
  }

  /** The machine sleeps: the clock on the wall moves on, timers do not; then it wakes. */
  async sleep(ms: number): Promise<void> {
    this.shift += ms;
    await this.wake();
  }

  /** Somebody sets the clock, and nobody is told. */
  setClock(ms: number): void {
    this.shift += ms;
  }

  /** The network comes or goes, the page is seen again. */
  async wake(): Promise<void> {
    for (const run of [...this.wakes]) run();
    await settled();
  }

  /** The socket opened last. */
  get newest(): FakeSocket {
    const socket = this.sockets.at(-1);
    if (socket === undefined) throw new Error("no socket was opened");
    return socket;
  }

  /** What is left over: timers that run, sockets that are open, listeners. */
  get left(): { readonly timers: number; readonly sockets: number; readonly wakes: number } {
    return { timers: this.timers.size, sockets: this.sockets.filter((socket) => !socket.over).length, wakes: this.wakes.size };
  }

  private next(until: number): Timer | undefined {
    let first: Timer | undefined;
    for (const timer of this.timers) {
      if (timer.at <= until && (first === undefined || timer.at < first.at)) first = timer;
    }
    return first;
  }
}

/** One side of a WebSocket; the test is the other. */
export class FakeSocket implements Socket {
  buffered = 0;
  readonly sent: ClientFrame[] = [];
  over = false;
  private opened = false;

  constructor(
    readonly url: string,
    private readonly events: SocketEvents,
  ) {}

  send(text: string): void {
    if (!this.opened) throw new DOMException("still connecting", "InvalidStateError"); // as browsers do
    if (!this.over) this.sent.push(JSON.parse(text) as ClientFrame);
  }

  close(): void {
    this.over = true;
  }

  /** The server takes the connection. */
  async open(): Promise<void> {
    this.opened = true;
    if (!this.over) this.events.opened();
    await settled();
  }

  /** The server says something: a frame, or any text or bytes. */
  async say(...said: (ServerFrame | string | ArrayBuffer)[]): Promise<void> {
    for (const one of said) {
      if (this.over) break;
      this.events.message(typeof one === "string" || one instanceof ArrayBuffer ? one : JSON.stringify(one));
    }
    await settled();
  }

  /** The connection ends from over there, or on the way. */
  async end(code = 1006): Promise<void> {
    if (!this.over) {
      this.over = true;
      this.events.closed(code);
    }
    await settled();
  }
}

/** Resolves when every promise that could settle by itself has. */
export function settled(): Promise<void> {
  return new Promise((resolve) => {
    setImmediate(resolve);
  });
}
