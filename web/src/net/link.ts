import { Failure } from "../wire/failure";
import {
  CloseBadUTF8,
  ClosePolicy,
  CloseProtocolOld,
  CloseRetryLater,
  CloseSignedOut,
  CloseTooBig,
  MaxFrame,
  type AckFrame,
  type EntriesFrame,
  type ReadOp,
} from "../wire/wire.gen";
import type { ClientFrame, PostOp, ServerFrame } from "../wire/wire.gen";
import { Backoff } from "./backoff";
import { Connection, type End } from "./connection";
import { Lane } from "./lane";
import type { Platform } from "./platform";
import { Requests } from "./requests";

/** How the link stands. */
export type LinkState =
  | { readonly state: "connecting" | "catching up" | "online" }
  | { readonly state: "offline" } // the system says that there is no network; it is tried now and then all the same
  | { readonly state: "waiting"; readonly until: number } // for the next try, milliseconds since 1970
  | { readonly state: "too old" } // the server speaks another version; only retryNow tries again
  | { readonly state: "signed out" }; // the session is no longer good; nothing tries again

/** What a link needs and tells. */
export interface LinkOptions {
  readonly url: string; // of the WebSocket: see connectURL
  /** Where this device stands, asked anew for each connection, when every frame of the one before has been handled. */
  hello(): Promise<{ readonly cursor: string | null; readonly client: string }>;
  /**
   * Takes the next frame that is no answer to a request; the first of a connection is welcome. The following one waits until what this returns
   * settles, so it must settle. If it fails, the connection ends, what came after the frame is dropped, and a new connection asks again from
   * hello's cursor.
   */
  frame(frame: ServerFrame): void | Promise<void>;
  state(state: LinkState): void;
}

/** Requests, without the ref that the link gives them. */
export type Post = Omit<PostOp, "t" | "ref">;
export type Read = Omit<ReadOp, "t" | "ref">;

/** Times, in milliseconds. */
const STEADY = 10_000; // online for so long, and the next loss begins with short waits again; so do wakes, once in this time
const APART = 1_000; // between the beginnings of two tries that anything but the end of a wait brought about
const LATER = 5_000; // at the least, when the server said that it is too busy
const LONG = 150_000; // at the least, when the server said not to return
const LONGEST = 600_000; // a server cannot send us away for longer

/** Characters of frames that may wait to be handled. Above it the connection is cut, and made again when they are handled. */
const WAITING = 4 << 20;

/** Codes that say that what this page does is wrong, and would be again. 1002 and 1003 are the WebSocket protocol's own. */
const refusals: readonly number[] = [1002, 1003, CloseBadUTF8, ClosePolicy, CloseTooBig];

/**
 * The one WebSocket of this device, with its whole life: it connects, says hello, hands on what comes, notices when the other side is gone, and
 * connects again, spread over time, until stop. Start it once, stop it once.
 */
export class Link {
  private readonly lane: Lane<{ readonly frame: ServerFrame; readonly of: Connection }>;
  private readonly requests: Requests;
  private readonly backoff: Backoff;

  private phase: "new" | "trying" | "too old" | "signed out" | "stopped" = "new";
  private told: LinkState | undefined; // the state told last
  private connection: Connection | undefined; // while there is one, or one is being made
  private caughtUp: number | undefined; // when the connection had caught up for the first time
  private tried = 0; // when the last try began
  private due = 0; // when the next one is, while there is no connection
  private roused = 0; // when a wake last made the waits short
  private firm = false; // the wait is the server's wish, which only a person cuts short
  private callOff: () => void = () => {}; // the wait
  private sleep: () => void = () => {}; // no more wakes

  constructor(
    private readonly platform: Platform,
    private readonly options: LinkOptions,
  ) {
    this.lane = new Lane(
      WAITING,
      ({ frame, of }) => this.handle(frame, of),
      ({ of }) => of.fail(),
    );
    this.requests = new Requests(platform);
    this.backoff = new Backoff(() => platform.random());
  }

  start(): void {
    if (this.phase !== "new") return;
    this.phase = "trying";
    this.sleep = this.platform.onWake(() => this.wake());
    this.try();
  }

  /** Ends it for good: neither frame nor state is called any more. Resolves when the frame being handled, if any, is. */
  async stop(): Promise<void> {
    this.phase = "stopped";
    this.callOff();
    this.sleep();
    this.connection?.close();
    this.connection = undefined;
    this.requests.fail(gone());
    this.lane.drop();
    await this.lane.idle();
  }

  /** Sends a frame that has no answer. False: there is no connection, or too much waits to leave, or it is too large; nothing was sent. */
  send(frame: ClientFrame): boolean {
    const text = JSON.stringify(frame);
    return fits(text) && (this.connection?.send(text) ?? false);
  }

  /** A person wants it tried now, whatever it waits for. */
  retryNow(): void {
    if (this.phase === "too old") this.phase = "trying";
    if (this.phase !== "trying") return;
    this.connection?.check(false);
    if (this.connection === undefined) this.hasten();
  }

  /**
   * Posts, and resolves with the ack. Rejects with a Failure: the server's; "unauthorized"; "too_large" when it fits no frame; or "offline" when
   * it could not be sent, the connection went, or no answer came. After "offline" the outcome is unknown: send the same id again.
   */
  async post(op: Post): Promise<AckFrame> {
    const ref = this.requests.ref();
    return this.request({ t: "post", ref, ...op }, this.requests.answer(ref, "ack"));
  }

  /** Reads a stretch of a conversation, ascending. Rejects as post does. */
  async read(op: Read): Promise<EntriesFrame> {
    const ref = this.requests.ref();
    return this.request({ t: "read", ref, ...op }, this.requests.answer(ref, "entries"));
  }

  private request<T>(frame: PostOp | ReadOp, answer: Promise<T>): Promise<T> {
    if (!fits(JSON.stringify(frame))) this.requests.refuse(frame.ref, new Failure("too_large", "This is more than goes into one frame."));
    else if (!this.send(frame)) this.requests.refuse(frame.ref, gone());
    return answer;
  }

  /** Begins a connection. */
  private try(): void {
    this.callOff();
    this.firm = false;
    this.tried = this.platform.now();
    this.tell(this.platform.online() ? { state: "connecting" } : { state: "offline" });
    if (this.phase !== "trying") return; // whoever was told stopped it
    const connection: Connection = new Connection(this.platform, {
      url: this.options.url,
      hello: async () => {
        await this.lane.idle(); // what waits may move the cursor
        return this.options.hello();
      },
      frame: (frame, size) => this.lane.push({ frame, of: connection }, size),
      answer: (ref, answer) => this.requests.settle(ref, answer),
      ref: () => this.requests.ref(),
      ended: (end) => this.ended(end),
    });
    this.connection = connection;
    void connection.open();
  }

  /** Handles one frame; the lane sees to the order. */
  private async handle(frame: ServerFrame, of: Connection): Promise<void> {
    await this.options.frame(frame);
    if (of !== this.connection) return;
    if (frame.t === "welcome" || frame.t === "resync" || (frame.t === "changes" && frame.more)) {
      this.tell({ state: "catching up" });
    } else if (frame.t === "changes") {
      this.caughtUp ??= this.platform.now();
      this.tell({ state: "online" });
    }
  }

  private ended(end: End): void {
    this.connection = undefined;
    // One that was online only for a moment does not count: else a server that takes everybody and drops them would be hammered.
    if (this.caughtUp !== undefined && this.platform.now() - this.caughtUp >= STEADY) this.backoff.reset();
    this.caughtUp = undefined;
    switch (end.code) {
      case CloseSignedOut:
        this.phase = "signed out";
        this.requests.fail(new Failure("unauthorized", ""));
        this.tell({ state: "signed out" });
        return;
      case CloseProtocolOld:
        this.phase = "too old";
        this.due = Infinity;
        this.requests.fail(gone());
        this.tell({ state: "too old" });
        return;
      default:
        this.requests.fail(gone());
        this.firm = end.wait > 0 || end.code === CloseRetryLater || refusals.includes(end.code);
        this.rest(this.waitAfter(end));
    }
  }

  /** How long to stay away, in milliseconds. After CloseRetryNow and a loss that is only the jitter. */
  private waitAfter(end: End): number {
    let wait = this.backoff.next() + Math.min(end.wait, LONGEST);
    if (end.code === CloseRetryLater) wait += LATER * (1 + this.platform.random());
    if (refusals.includes(end.code)) wait += LONG * (1 + this.platform.random());
    return Math.round(wait);
  }

  /** Waits for the next try. */
  private rest(wait: number): void {
    this.callOff();
    this.due = this.platform.now() + wait;
    this.callOff = this.platform.setTimer(() => this.try(), wait);
    this.tellRest();
  }

  /** Tries now or, if the last try has only just begun, in a moment. */
  private hasten(): void {
    if (this.phase !== "trying") return; // whoever was told of the end stopped it
    const now = this.platform.now();
    const apart = Math.min(APART, this.tried + APART - now); // the clock may have gone back
    const wait = Math.min(apart, this.due - now);
    if (wait <= 0) this.try();
    else this.rest(wait);
  }

  /** Something may have changed. */
  private wake(): void {
    if (this.phase !== "trying") return;
    const online = this.platform.online();
    this.connection?.check(!online);
    if (this.connection !== undefined) return;
    if (!online || this.firm) {
      this.tellRest();
    } else {
      const now = this.platform.now();
      if (Math.abs(now - this.roused) >= STEADY) {
        this.roused = now;
        this.backoff.reset(); // the network may take a moment: the tries that follow come quickly
      }
      this.hasten();
    }
  }

  private tellRest(): void {
    this.tell(this.platform.online() ? { state: "waiting", until: this.due } : { state: "offline" });
  }

  private tell(state: LinkState): void {
    if (JSON.stringify(state) === JSON.stringify(this.told)) return;
    this.told = state;
    this.options.state(state);
  }
}

/** Whether the server takes a frame of this text. */
function fits(text: string): boolean {
  return text.length * 3 <= MaxFrame || new TextEncoder().encode(text).length <= MaxFrame;
}

/** Without a connection nothing can be asked. */
function gone(): Failure {
  return new Failure("offline", "");
}
