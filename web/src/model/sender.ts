import type { OutboxRecord } from "../db/schema";
import { placeOf } from "../db/database";
import type { Link } from "../net/link";
import { Failure } from "../wire/failure";
import type { PostOp } from "../wire/wire.gen";
import { codes } from "../wire/wire.gen";
import { Coalesced } from "./coalesced";
import type { Core } from "./core";

/** Conversations that are sent to at a time; in each, one message after the other. */
const LANES = 4;

/** How long nothing is sent after a failure that may pass, in milliseconds: at least, and up to as much again by chance. */
const PAUSE = 1_000;
const MAX_PAUSE = 30_000;

/**
 * Sends what waits in the outbox, in the order of each conversation, each message under the id it was written with until the server has
 * it or will never take it. Only the tab that has the connection has one.
 */
export class Sender {
  private readonly underWay = new Set<string>(); // conversations
  private readonly scan = new Coalesced(() => this.fillLanes());
  private readonly sending = new Set<Promise<void>>();
  private live = false;
  private failures = 0;
  private wait: (() => void) | undefined; // calls off the end of a pause

  constructor(
    private readonly core: Core,
    private readonly link: Pick<Link, "post">,
  ) {}

  /** Something may wait. */
  kick(): void {
    if (this.live && !this.wait) void this.scan.ask();
  }

  /** Whether there is a connection to send on. */
  connected(live: boolean): void {
    if (live === this.live) return;
    this.live = live;
    this.resume();
    this.kick();
  }

  /** Sends no more. Resolves when no answer is waited for; the link has been stopped before. */
  async stop(): Promise<void> {
    this.live = false;
    this.resume();
    await this.scan.stop();
    await Promise.all(this.sending);
  }

  private async fillLanes(): Promise<void> {
    try {
      const { waiting, life } = await this.core.db.read(async (tx) => ({ waiting: await tx.all("outbox"), life: (await placeOf(tx)).life }));
      for (const row of first(waiting)) {
        if (!this.live || this.wait || this.underWay.size >= LANES) return;
        if (this.underWay.has(row.conversation)) continue;
        this.underWay.add(row.conversation);
        const done = this.send(row, life).finally(() => {
          this.underWay.delete(row.conversation);
          this.sending.delete(done);
          this.kick();
        });
        this.sending.add(done);
      }
    } catch (why) {
      this.core.background(why);
    }
  }

  private async send(row: OutboxRecord, life: number): Promise<void> {
    const { conversation, id, base } = row;
    try {
      const ack = await this.link.post({ conversation, id, ...said(row), ...(base > 0 ? { base } : {}) });
      this.failures = 0;
      await this.core.db.acked(life, conversation, id, ack.seq, Date.parse(ack.at) || this.core.outside.now());
      this.core.tabs.changed([conversation]);
    } catch (why) {
      if (!(why instanceof Failure)) return this.core.distrusted(life, why);
      if (why.code === "unreadable") return this.core.background(why);
      await this.refused(row, why);
    }
  }

  private async refused({ conversation, id }: OutboxRecord, why: Failure): Promise<void> {
    if (why.code === "unauthorized") return this.pause(MAX_PAUSE); // whoever signs in again sends it
    if (!final(why)) return this.pause(why.retryAfter);
    try {
      await this.core.db.failed(conversation, id, why);
      this.core.tabs.changed([conversation]);
    } catch (broken) {
      this.core.background(broken);
    }
  }

  /** Nothing is sent for a while: what one conversation is refused for a time, all are. */
  private pause(atLeast: number): void {
    if (!this.live || this.wait) return; // a new connection begins without
    const backoff = Math.min(MAX_PAUSE, PAUSE * 2 ** this.failures++);
    const ms = Math.max(atLeast, backoff) + this.core.outside.random() * backoff;
    this.wait = this.core.outside.setTimer(() => {
      this.wait = undefined;
      this.kick();
    }, ms);
  }

  private resume(): void {
    this.wait?.();
    this.wait = undefined;
    this.failures = 0;
  }
}

/** What a row of the outbox says. */
function said({ kind, target, text, replyTo, mentions, forwarded }: OutboxRecord): Pick<PostOp, "body" | "kind" | "target" | "reply_to" | "mentions" | "forwarded"> {
  const mute = kind === "delete" || kind === "pin" || kind === "unpin" || (kind === "reaction" && text === "");
  return {
    ...(mute ? {} : { body: { type: "text/plain", text } }),
    ...(kind === undefined ? {} : { kind }), ...(target ? { target } : {}),
    ...(replyTo ? { reply_to: replyTo } : {}), ...(mentions ? { mentions: [...mentions] } : {}), ...(forwarded ? { forwarded } : {}),
  };
}

/** The first message of each conversation that is to be sent, the oldest first. */
function first(waiting: readonly OutboxRecord[]): OutboxRecord[] {
  const lanes = new Map<string, OutboxRecord>();
  for (const row of waiting) {
    if (row.acked || row.failure) continue;
    const before = lanes.get(row.conversation);
    if (!before || row.order < before.order) lanes.set(row.conversation, row);
  }
  return [...lanes.values()].sort((a, b) => a.order - b.order);
}

/** Whether the same message would be refused again. A code of a later version may pass. */
function final({ code }: Failure): boolean {
  return code in codes && codes[code as keyof typeof codes].retry === "no";
}
