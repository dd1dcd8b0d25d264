import { Failure } from "../wire/failure";
import type { AckFrame, EntriesFrame, ErrorFrame, Ref } from "../wire/wire.gen";
import type { Platform } from "./platform";

/** How long an answer may take, in milliseconds, on a connection that is alive. */
const PATIENCE = 30_000;

export type Answer = AckFrame | EntriesFrame;

interface Waiting {
  readonly due: Answer["t"];
  resolve(answer: Answer): void;
  reject(why: Failure): void;
}

/** Requests that went out and have no answer yet, by ref. A ref is never used twice, so that an answer that comes late is nobody else's. */
export class Requests {
  private readonly waiting = new Map<Ref, Waiting>();
  private last = 0;

  constructor(private readonly platform: Platform) {}

  /** A ref that was never used. */
  ref(): number {
    return ++this.last;
  }

  /** Waits for the answer to ref: a frame of type due, or what the server says against it. Rejects with a Failure. */
  answer<T extends Answer["t"]>(ref: Ref, due: T): Promise<Extract<Answer, { t: T }>> {
    return new Promise((resolve, reject) => {
      const giveUp = (): void => this.refuse(ref, new Failure("offline", "The server did not answer in time."));
      const calledOff = this.platform.setTimer(giveUp, PATIENCE);
      this.waiting.set(ref, {
        due,
        resolve: (answer) => {
          calledOff();
          resolve(answer as Extract<Answer, { t: T }>); // of type due: see settle
        },
        reject: (why) => {
          calledOff();
          reject(why);
        },
      });
    });
  }

  /** Gives an answer to whoever waits for it. Nobody does if they gave up, or if it is the answer to a probe. */
  settle(ref: Ref, answer: Answer | ErrorFrame): void {
    const request = this.take(ref);
    if (request === undefined) return;
    if (answer.t === request.due) request.resolve(answer);
    else if (answer.t === "error") request.reject(new Failure(answer.code, answer.message, answer.retry_after_ms));
    else request.reject(new Failure("internal", "The server gave an answer to something else."));
  }

  /** No answer to ref comes. */
  refuse(ref: Ref, why: Failure): void {
    this.take(ref)?.reject(why);
  }

  /** The connection went: no answer comes any more. */
  fail(why: Failure): void {
    for (const ref of [...this.waiting.keys()]) this.refuse(ref, why);
  }

  private take(ref: Ref): Waiting | undefined {
    const request = this.waiting.get(ref);
    this.waiting.delete(ref);
    return request;
  }
}
