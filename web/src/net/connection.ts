import { parse } from "../wire/decode";
import type { ServerFrame } from "../wire/wire.gen";
import type { AckFrame, EntriesFrame, ErrorFrame, HelloOp, ReadOp, Ref } from "../wire/wire.gen";
import type { Platform, Socket } from "./platform";

/** Times, in milliseconds. */
const CONNECT = 15_000; // for the hello to be known and the socket to open
const WELCOME = 10_000; // from there to the server's welcome
const SILENCE = 30_000; // after which the other side is asked whether it is there; its pings are not seen by a page
const ANSWER = 10_000; // in which it must say something then
const WAKE_ANSWER = 5_000; // the same, when there is a reason to doubt
const RECENT = 5_000; // what was heard or begun so long ago needs no doubt

/** Bytes that may wait to leave; above it nothing more is sent. */
const UNSENT = 256 << 10;

/** Why a connection ended: a close code, or one of these. */
export const LOST = 1006; // the network, or silence
export const BROKEN = -1; // the server said what is not of the protocol
export const BEHIND = -2; // frames came faster than they could be handled
export const FAILED = -3; // this side could not go on

export interface End {
  readonly code: number;
  readonly wait: number; // milliseconds for which the server asked us not to come back; 0: it did not
}

export interface ConnectionOptions {
  readonly url: string;
  hello(): Promise<{ readonly cursor: string | null; readonly client: string }>;
  /** Takes a frame that is no answer, and its size; welcome is the first. False: that was one too many. */
  frame(frame: ServerFrame, size: number): boolean;
  answer(ref: Ref, answer: AckFrame | EntriesFrame | ErrorFrame): void;
  /** A ref for a request whose answer nobody waits for. */
  ref(): Ref;
  /** It is over. The last that is told, and told once; not after close. */
  ended(end: End): void;
}

/** One connection, from its hello to its end. It notices by itself when the other side is gone. */
export class Connection {
  private socket: Socket | undefined;
  private welcomed = false;
  private over = false;
  private asked = false; // whether the other side is there
  private heard: number; // when it last said something, or else when this phase began
  private wait = 0;
  private conversation = "c"; // one to ask about; any other id does too, and gets an error
  private callOff: () => void = () => {}; // the timer: there is one at any time

  constructor(
    private readonly platform: Platform,
    private readonly options: ConnectionOptions,
  ) {
    this.heard = platform.now();
  }

  /** Connects. ended tells when that fails. */
  async open(): Promise<void> {
    this.within(CONNECT, () => this.end(LOST));
    try {
      const hello: HelloOp = { t: "hello", token: "", ...(await this.options.hello()) };
      if (this.over) return;
      this.socket = this.platform.socket(this.options.url, {
        opened: () => this.opened(hello),
        message: (data) => this.message(data),
        closed: (code) => this.end(code),
      });
    } catch {
      this.fail();
    }
  }

  /** Ends it without a word. */
  close(): void {
    this.over = true;
    this.callOff();
    this.socket?.close();
  }

  /** This side cannot go on. */
  fail(): void {
    this.end(FAILED);
  }

  /** Sends a frame. False: nothing was sent, for there has been no welcome, or too much waits to leave. */
  send(frame: string): boolean {
    if (!this.welcomed || this.over || this.socket === undefined || this.socket.buffered > UNSENT) return false;
    this.socket.send(frame);
    return true;
  }

  /** Finds out whether the other side is still there. sure: even if it was heard a moment ago. */
  check(sure: boolean): void {
    const recent = since(this.platform.now(), this.heard) < RECENT;
    if (this.over || this.asked || (recent && !sure)) return;
    if (this.welcomed) this.ask(WAKE_ANSWER);
    else if (!recent) this.end(LOST); // what was begun before a sleep seldom comes to an end
  }

  private opened(hello: HelloOp): void {
    if (this.over) return;
    this.heard = this.platform.now();
    this.within(WELCOME, () => this.end(LOST));
    this.socket?.send(JSON.stringify(hello));
  }

  private message(data: unknown): void {
    if (this.over) return;
    const frame = typeof data === "string" ? parse(data) : "broken";
    this.heard = this.platform.now();
    if (this.asked) this.listen();
    if (frame === "broken") this.end(BROKEN);
    else if (frame === "later") return;
    else if (this.welcomed) this.take(frame, (data as string).length);
    else this.first(frame, (data as string).length);
  }

  /** Takes the first frame: a welcome, or why there is none; the close that says what to do follows. */
  private first(frame: ServerFrame, size: number): void {
    switch (frame.t) {
      case "welcome":
        this.welcomed = true;
        this.listen();
        this.options.frame(frame, size);
        return;
      case "error":
        this.wait = frame.retry_after_ms ?? 0;
        return;
      case "goaway":
        this.wait = frame.after_ms;
        return;
      default:
        this.end(BROKEN);
    }
  }

  private take(frame: ServerFrame, size: number): void {
    switch (frame.t) {
      case "goaway":
        this.wait = frame.after_ms;
        return;
      case "ack":
        this.options.answer(frame.ref, frame);
        return;
      case "entries":
        this.conversation = frame.conversation;
        break;
      case "changes":
        this.conversation = frame.rows.at(-1)?.id ?? this.conversation;
        break;
    }
    if ((frame.t === "entries" || frame.t === "error") && frame.ref !== undefined) this.options.answer(frame.ref, frame);
    else if (!this.options.frame(frame, size)) this.end(BEHIND);
  }

  /** Waits for silence. */
  private listen(): void {
    this.asked = false;
    this.within(SILENCE, () => this.silent());
  }

  private silent(): void {
    // The timer is not set anew with every frame, so it may be early.
    const quiet = since(this.platform.now(), this.heard);
    if (quiet < SILENCE) this.within(SILENCE - quiet, () => this.silent());
    else this.ask(ANSWER);
  }

  /** Asks something cheap; whatever the other side says then shows that it is there. */
  private ask(within: number): void {
    this.asked = true;
    this.within(within, () => this.end(LOST));
    const question: ReadOp = { t: "read", ref: this.options.ref(), conversation: this.conversation, limit: 1 };
    this.send(JSON.stringify(question));
  }

  /** Has run called in ms milliseconds, instead of what was to be called. */
  private within(ms: number, run: () => void): void {
    this.callOff();
    this.callOff = this.platform.setTimer(run, ms);
  }

  private end(code: number): void {
    if (this.over) return;
    this.close();
    this.options.ended({ code, wait: this.wait });
  }
}

/** Milliseconds from then to now; for ever, if the clock went back in between. */
function since(now: number, then: number): number {
  return now < then ? Infinity : now - then;
}
