import { inRuns } from "../db/acts";
import { wishedFor } from "../db/rows";
import type { Tx } from "../db/engine";
import type { AccountRecord, ConversationRecord, MembersRecord, OutboxRecord, ReceiptRecord } from "../db/schema";
import type { User } from "../wire/wire.gen";
import { Cell } from "./cell";
import { Coalesced } from "./coalesced";
import type { Core } from "./core";
import { waitingReceipt } from "./items";
import type { Conversation, Last } from "./model";
import { person } from "./persons";
import { reached, receiptOf, type Reached } from "./receipts";

/** What the database says of one conversation. */
export interface Told {
  readonly me: User;
  readonly at: ConversationRecord;
  readonly draft: string;
  readonly waiting: readonly OutboxRecord[]; // in the order they were written
  readonly members: MembersRecord | undefined;
  readonly receipts: readonly ReceiptRecord[];
  readonly lastSender: User | undefined;
  readonly other: User | undefined; // of a direct conversation
  readonly standing: string; // of a direct conversation: how the owner stands with the other
  readonly draftReply: number;
}

/** Reads one conversation; undefined if there is none to show. */
export async function told(tx: Tx, id: string, me: User): Promise<Told | undefined> {
  const held = await tx.get("conversations", id);
  if (!held) return undefined;
  const [draft, waiting, members, receipts, lastSender, other, wish, contact] = await Promise.all([
    tx.get("drafts", id), tx.of("outbox", id), tx.get("members", id), tx.of("receipts", id),
    held.last ? tx.get("people", held.last.sender) : undefined, held.with ? tx.get("people", held.with.id) : undefined,
    tx.get("wishes", id), held.with ? tx.get("contacts", held.with.id) : undefined,
  ]);
  const at = wishedFor(held, wish);
  return {
    me, at, draft: draft?.text ?? "", draftReply: draft?.replyTo ?? 0, waiting: waiting.sort((a, b) => a.order - b.order), members, receipts, lastSender, other,
    standing: contact?.state ?? "none",
  };
}

/** How far all the others have got in it. */
export function reachedIn({ me, at, members, receipts }: Told): Reached {
  return reached(me.id, at.with?.id, members, receipts);
}

/** conversationOf is how it looks in the list. */
export function conversationOf(t: Told, now: number): Conversation {
  const { at } = t;
  const muted = at.muted && (at.mutedUntil === undefined || at.mutedUntil > now);
  const last = lastOf(t);
  return {
    id: at.id, kind: at.kind === "direct" ? "direct" : "group", title: at.title,
    ...(at.with ? { with: person(at.with.id, t.other ?? at.with) } : {}),
    head: at.head, unread: at.unread, read: at.read, ...(last ? { last } : {}),
    at: Math.max(at.at, last?.at ?? 0), draft: t.draft, muted,
    ...(muted && at.mutedUntil ? { mutedUntil: at.mutedUntil } : {}), ...(at.mentions ? { mentions: at.mentions } : {}),
    ...(at.archived ? { archived: true } : {}), ...(at.pinned ? { pinned: true } : {}), ...(isRequest(t) ? { request: true } : {}),
    ...(at.until ? { left: true } : {}), ...(t.standing === "blocked" ? { blocked: true } : {}),
  };
}

/** Whether the owner is still to answer a stranger. That they do, here, shows before the server's row does. */
function isRequest({ at, standing, waiting, me }: Told): boolean {
  return (at.request ?? false) && !["accepted", "requested", "blocked"].includes(standing) && !waiting.some((row) => row.kind === undefined) && at.last?.sender !== me.id;
}

function lastOf(t: Told): Last | undefined {
  const { at, me } = t;
  const waiting = t.waiting.findLast((row) => row.kind === undefined);
  if (waiting) return { mine: true, sender: person(me.id, me).name, text: waiting.text, at: waiting.acked?.at ?? waiting.written, receipt: waitingReceipt(waiting) };
  if (!at.last || inRuns(at.hidden, at.last.seq)) return undefined;
  const mine = at.last.sender === me.id;
  const sender = mine ? me : t.lastSender;
  return { mine, sender: person(at.last.sender, sender).name, text: at.last.text, at: at.last.at, ...(at.last.deleted ? { deleted: true } : {}), ...(mine ? { receipt: receiptOf(at.last.seq, reachedIn(t)) } : {}) };
}

/** Who is signed in, as far as the database says. */
export async function accountOf(tx: Tx): Promise<AccountRecord | undefined> {
  const account = (await tx.get("meta", "account")) as AccountRecord | undefined;
  return account?.lost ? undefined : account;
}

/** The list of conversations, the one that moved last first. */
export class List {
  readonly cell = new Cell<readonly Conversation[]>([]);
  private readonly shown = new Map<string, Conversation>();
  private readonly dirty = new Set<string>();
  private all = false;
  private unmuting: (() => void) | undefined;
  private readonly work = new Coalesced(() => this.refresh());

  /** @param nameless is told of conversations whose last message is of somebody whose name is not known here */
  constructor(
    private readonly core: Core,
    private readonly nameless: (conversations: readonly string[]) => void,
  ) {}

  /** These may have changed. Resolves when the list shows it. */
  changed(conversations: readonly string[] | "all"): Promise<void> {
    if (conversations === "all") this.all = true;
    else for (const id of conversations) this.dirty.add(id);
    return this.all || this.dirty.size > 0 ? this.work.ask() : Promise.resolve();
  }

  stop(): Promise<void> {
    this.unmuting?.();
    return this.work.stop();
  }

  /** What is muted until some time is shown so until then. */
  private unmute(now: number): void {
    this.unmuting?.();
    const due = [...this.shown.values()].filter((c) => c.mutedUntil !== undefined).sort((a, b) => a.mutedUntil! - b.mutedUntil!)[0];
    this.unmuting = due && this.core.outside.setTimer(() => void this.changed([due.id]), Math.max(0, due.mutedUntil! - now) + 1);
  }

  private async refresh(): Promise<void> {
    const all = this.all;
    const ids = [...this.dirty];
    this.all = false;
    this.dirty.clear();
    try {
      const found = await this.core.db.read((tx) => (all ? everything(tx) : some(tx, ids)));
      const now = this.core.outside.now();
      if (all) this.shown.clear();
      const nameless: string[] = [];
      for (const [id, t] of found) {
        if (t?.at.told) this.shown.set(id, conversationOf(t, now));
        else this.shown.delete(id);
        if (t?.at.last && t.at.last.sender !== t.me.id && !t.lastSender && t.at.kind !== "direct") nameless.push(id);
      }
      this.cell.set([...this.shown.values()].sort((a, b) => Number(b.pinned ?? false) - Number(a.pinned ?? false) || b.at - a.at || (a.id < b.id ? -1 : 1)));
      this.unmute(now);
      if (nameless.length > 0) this.nameless(nameless);
    } catch (why) {
      this.core.background(why);
    }
  }
}

type Found = Map<string, Told | undefined>;

async function some(tx: Tx, ids: readonly string[]): Promise<Found> {
  const account = await accountOf(tx);
  const found: Found = new Map();
  for (const id of ids) found.set(id, account && (await told(tx, id, account.me)));
  return found;
}

/** Everything in a few reads, for the start. */
async function everything(tx: Tx): Promise<Found> {
  const account = await accountOf(tx);
  if (!account) return new Map();
  const [conversations, drafts, outbox, members, receipts, people, wishes, contacts] = await Promise.all([
    tx.all("conversations"), tx.all("drafts"), tx.all("outbox"), tx.all("members"), tx.all("receipts"), tx.all("people"), tx.all("wishes"), tx.all("contacts"),
  ]);
  const draftOf = new Map(drafts.map((d) => [d.conversation, d]));
  const wishOf = new Map(wishes.map((w) => [w.conversation, w]));
  const standingOf = new Map(contacts.map((c) => [c.user, c.state]));
  const membersOf = new Map(members.map((m) => [m.conversation, m]));
  const userOf = new Map<string, User>(people.map((u) => [u.id, u]));
  const waitingOf = grouped(outbox);
  const receiptsOf = grouped(receipts);
  return new Map(
    conversations.map((at) => [
      at.id,
      {
        me: account.me, at: wishedFor(at, wishOf.get(at.id)), draft: draftOf.get(at.id)?.text ?? "", draftReply: draftOf.get(at.id)?.replyTo ?? 0, standing: (at.with && standingOf.get(at.with.id)) ?? "none", waiting: (waitingOf.get(at.id) ?? []).sort((a, b) => a.order - b.order),
        members: membersOf.get(at.id), receipts: receiptsOf.get(at.id) ?? [],
        lastSender: at.last && userOf.get(at.last.sender), other: at.with && userOf.get(at.with.id),
      },
    ]),
  );
}

function grouped<R extends { readonly conversation: string }>(records: readonly R[]): Map<string, R[]> {
  const groups = new Map<string, R[]>();
  for (const record of records) {
    const group = groups.get(record.conversation);
    if (group) group.push(record);
    else groups.set(record.conversation, [record]);
  }
  return groups;
}
