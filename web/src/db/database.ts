/**
 * The device's database: every change to it is one method here and one transaction.
 *
 * Whoever brings something from the server says which life it was asked for in (see PlaceRecord): in another life it is refused as Stale.
 * A cursor moves only from where the connection that moves it stood (compare and set), so of two tabs that both believe to hold the
 * connection one is refused, and nothing they write twice is there twice.
 */
import { Failure } from "../wire/failure";
import type { Conversation as Details, Contact, Entry, Limits, Reaction, ReceiptsFrame, Row, User } from "../wire/wire.gen";
import { withReactions } from "./acts";
import { sentOff, unsaid } from "./drafts";
import { NoRoom, type Engine, type Tx } from "./engine";
import { acknowledged, append, contiguous, derive, newConversation, prepend, replace } from "./log";
import { call, contactOf, know, meet, userOf } from "./people";
import { pins, standingOf, tell, wishedFor } from "./rows";
import { same, type AccountRecord, type ContactRecord, type DraftRecord, type LimitsRecord, type OutboxRecord, type PlaceRecord, type StoreName, type WishRecord } from "./schema";

export { Fault } from "./log";

/** What was asked for belongs to a life, or a connection, that is over. */
export class Stale extends Error {
  override readonly name = "Stale";
}

/** Where a connection stands; the database moves it along with what it commits. */
export interface Place {
  life: number;
  cursor: string | null;
}

const nowhere: PlaceRecord = { key: "place", cursor: null, epoch: "", life: 1 };

/** How many of its newest entries a conversation keeps when room must be made. */
const KEEP = 100;

/** What is forgotten at a resync; what people wrote is not. */
const derived: readonly StoreName[] = ["entries", "folds", "receipts", "marks"];

export class Database {
  /** The conversations that are open in this tab keep their history when room must be made. */
  open: () => ReadonlySet<string> = () => new Set();

  constructor(private readonly engine: Engine) {}

  /** Runs work on a consistent view of all there is. */
  read<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.engine.read(work);
  }

  close(): void {
    this.engine.close();
  }

  destroy(): Promise<void> {
    return this.engine.destroy();
  }

  // --- who, and where ---

  /** Where this device stands. */
  place(): Promise<Place> {
    return this.read(async (tx) => {
      const { life, cursor } = await placeOf(tx);
      return { life, cursor };
    });
  }

  /** Somebody signed in: what another person left here goes first. */
  signIn(me: User, device: string, admin: boolean): Promise<void> {
    return this.write(async (tx) => {
      const before = (await tx.get("meta", "account")) as AccountRecord | undefined;
      if (before && before.me.id !== me.id) await erase(tx);
      tx.delete("meta", "leaving");
      tx.put("meta", { key: "account", me, admin, device, lost: false });
      tx.put("people", me);
    });
  }

  /** The account of now, if somebody is signed in, becomes what change makes of it. False: it is the same. */
  updateAccount(change: (account: AccountRecord) => AccountRecord): Promise<boolean> {
    return this.write(async (tx) => {
      const account = (await tx.get("meta", "account")) as AccountRecord | undefined;
      const now = account && change(account);
      if (!now || same(now, account)) return false;
      tx.put("meta", now);
      tx.put("people", now.me);
      return true;
    });
  }

  /** Erases everything. leaving: the server is still to be told. */
  erase(leaving: boolean): Promise<void> {
    return this.write(async (tx) => {
      await erase(tx);
      if (leaving) tx.put("meta", { key: "leaving" });
    }, true);
  }

  left(): Promise<void> {
    return this.write(async (tx) => tx.delete("meta", "leaving"));
  }

  // --- the connection ---

  /** The server said hello. In another epoch what is held is of another log. Returns whether its limits are others. */
  async welcome(place: Place, epoch: string, limits: Limits): Promise<boolean> {
    const { life, news } = await this.write(async (tx) => {
      const now = await standing(tx, place);
      const told: LimitsRecord = { key: "limits", limits };
      const news = !same(told, await tx.get("meta", "limits"));
      if (news) tx.put("meta", told);
      if (now.epoch === "") tx.put("meta", { ...now, epoch });
      return { news, life: now.epoch === "" || now.epoch === epoch ? undefined : await forget(tx, now, epoch) };
    });
    move(place, life);
    return news;
  }

  /** Drops what is held of the logs, to read it anew. What waits to be sent, and drafts, stay. */
  resync(place: Place, epoch: string): Promise<void> {
    return this.write(async (tx) => forget(tx, await standing(tx, place), epoch)).then((life) => move(place, life));
  }

  /** What is held turned out to be of another log: the same without a connection. */
  distrust(life: number): Promise<void> {
    return this.write(async (tx) => {
      const now = await placeOf(tx);
      if (now.life === life) await forget(tx, now, now.epoch);
    });
  }

  /** Entries that the server told unasked: they move no cursor. */
  pushed(place: Place, conversation: string, entries: readonly Entry[], head: number): Promise<void> {
    if (!contiguous(conversation, entries)) throw new Stale("entries that leave something out");
    return this.write(async (tx) => {
      await standing(tx, place);
      const me = await meOf(tx);
      const at = (await tx.get("conversations", conversation)) ?? newConversation(conversation);
      const now = await append(tx, { ...at, head: Math.max(at.head, head) }, entries, me);
      tx.put("conversations", await derive(tx, now, me));
    });
  }

  /** Rows, and the cursor that stands for them. caughtUp: there are no more for now. Returns the conversations that changed. */
  changes(place: Place, rows: readonly Row[], cursor: string, caughtUp: boolean): Promise<string[]> {
    return this.write(async (tx) => {
      const now = await standing(tx, place);
      if (now.cursor !== place.cursor) throw new Stale("another connection moved the cursor");
      const me = await meOf(tx);
      for (const row of rows) await tell(tx, row, me);
      const gone = caughtUp ? await sweep(tx) : [];
      tx.put("meta", { ...now, cursor });
      return [...rows.map((row) => row.id), ...gone];
    }).then((changed) => {
      place.cursor = cursor;
      return changed;
    });
  }

  /** How far another member has got: markers only move forward. */
  receipt({ conversation, member, delivered, read }: ReceiptsFrame): Promise<void> {
    return this.write((tx) => receipt(tx, conversation, member, delivered, read));
  }

  // --- what was asked for ---

  /**
   * A stretch of a log that was read, folded as of head: newer ones follow the run, older ones lead to it. leap: where they leave a gap the
   * run is dropped and begins anew with them. start: nothing stands before them.
   */
  history(life: number, conversation: string, entries: readonly Entry[], how: { leap?: boolean; start?: boolean; head: number }): Promise<void> {
    if (!contiguous(conversation, entries)) throw new Stale("entries that leave something out");
    return this.write(async (tx) => {
      if ((await placeOf(tx)).life !== life) throw new Stale("history of an earlier life");
      const me = await meOf(tx);
      const at = (await tx.get("conversations", conversation)) ?? newConversation(conversation);
      const first = entries[0]?.seq ?? 0;
      const put = at.to > 0 && first < at.from ? prepend : how.leap && first > at.to + 1 ? replace : append;
      let now = await put(tx, at, entries, me, how.head);
      const reached = entries.length === 0 || now.from === entries[0]!.seq;
      if (how.start && reached && now.to > 0) now = { ...now, start: true };
      tx.put("conversations", await derive(tx, { ...now, head: Math.max(now.head, how.head) }, me));
    });
  }

  /** A conversation with its members, as the server described it. Returns whether somebody is called otherwise than before. */
  details(life: number, told: Details): Promise<boolean> {
    return this.write(async (tx) => {
      if ((await placeOf(tx)).life !== life) throw new Stale("a description of an earlier life");
      const me = await meOf(tx);
      tx.put("members", { conversation: told.id, members: told.members.map(({ user, role }) => ({ user, role })) });
      let news = false;
      for (const m of told.members) {
        if (m.handle !== undefined && (await call(tx, m.user, m.handle, m.name ?? m.handle))) news = true;
        if (m.user !== me) await receipt(tx, told.id, m.user, m.delivered ?? 0, m.read ?? 0);
      }
      const other = told.members.find((m) => m.user !== me) ?? told.members[0];
      const direct = told.kind === "direct" && other?.handle !== undefined;
      const known = direct ? await tx.get("people", other.user) : undefined;
      await tell(tx, { ...told, ...(known ? { with: known } : {}) }, me);
      await pins(tx, told.id, told.pins ?? [], told.head);
      return news;
    });
  }

  /** How users are called. */
  people(users: readonly User[]): Promise<void> {
    return this.write(async (tx) => users.forEach((user) => tx.put("people", userOf(user))));
  }

  // --- what people do here ---

  /** Queues a message or an act, on the disk when it resolves. A message takes the draft away. */
  enqueue(conversation: string, id: string, text: string, written: number, said: Said = {}): Promise<void> {
    return this.write((tx) => enqueue(tx, conversation, id, text, written, said, said.kind === undefined && !said.forwarded), true);
  }

  /** What failed is queued anew, as another message. */
  requeue(conversation: string, failed: string, id: string, written: number): Promise<void> {
    return this.write(async (tx) => {
      const row = await tx.get("outbox", [conversation, failed]);
      if (!row?.failure) return;
      tx.delete("outbox", [conversation, failed]);
      const { kind, target, replyTo, mentions, forwarded } = row;
      await enqueue(tx, conversation, id, row.text, written, { kind, target, replyTo, mentions, forwarded }, false);
    }, true);
  }

  /** What failed goes; the text of a message becomes the draft if there is none. */
  discard(conversation: string, id: string): Promise<void> {
    return this.write(async (tx) => {
      const row = await tx.get("outbox", [conversation, id]);
      if (!row?.failure) return;
      tx.delete("outbox", [conversation, id]);
      if (row.kind === undefined && !(await tx.get("drafts", conversation))?.text) tx.put("drafts", { conversation, text: row.text, ...(row.replyTo ? { replyTo: row.replyTo } : {}) });
    });
  }

  /** What is being written, from when it was on. */
  draft(conversation: string, text: string, replyTo: number, at: number): Promise<void> {
    return this.write(async (tx) => {
      const before = await tx.get("drafts", conversation);
      if ((before?.text ?? "") === text && (before?.replyTo ?? 0) === replyTo) return;
      tx.put("drafts", { conversation, text, ...(replyTo ? { replyTo } : {}), at });
    });
  }

  /** The server has this draft. What was written since goes on waiting. */
  draftTold(sent: DraftRecord): Promise<void> {
    return this.write(async (tx) => {
      const now = await tx.get("drafts", sent.conversation);
      if (!now || !same(now, sent)) return;
      if (now.text === "") tx.delete("drafts", sent.conversation);
      else tx.put("drafts", { ...now, told: true });
    });
  }

  /** What the owner wants of a conversation from now on. */
  wish(conversation: string, wanted: Omit<WishRecord, "conversation" | "turn">): Promise<void> {
    return this.write(async (tx) => {
      const { turn = 0, hide = [], ...before } = (await tx.get("wishes", conversation)) ?? {};
      const all = [...new Set([...hide, ...(wanted.hide ?? [])])];
      tx.put("wishes", { ...before, ...wanted, ...(all.length > 0 ? { hide: all } : {}), conversation, turn: turn + 1 });
    }, true);
  }

  /** The server has this wish, or will never fulfil it. What it made of the conversation shows at once: its row may take a moment. */
  wished(sent: WishRecord, fulfilled: boolean): Promise<void> {
    return this.write(async (tx) => {
      const { conversation } = sent;
      const at = await tx.get("conversations", conversation);
      if (at && fulfilled) tx.put("conversations", wishedFor(at, sent));
      const now = await tx.get("wishes", conversation);
      if (now?.turn === sent.turn) tx.delete("wishes", conversation);
    });
  }

  // --- contacts ---

  /** All contacts, as the server has them. What was decided here since stays, if it is newer. Returns whether something changed. */
  contacts(all: readonly Contact[]): Promise<boolean> {
    return this.write(async (tx) => {
      const told = new Map(all.map((c) => [c.user.id, c]));
      let news = false;
      for (const c of all) {
        if (await meet(tx, c.user)) news = true;
        if (await know(tx, contactOf(c))) news = true;
      }
      for (const held of await tx.all("contacts")) {
        if (told.has(held.user) || held.waiting || held.state === "none") continue;
        tx.put("contacts", { ...held, state: "none" });
        news = true;
      }
      return news;
    });
  }

  /** The owner decides how they stand with somebody. */
  decide(user: User, state: string, at: number): Promise<void> {
    return this.write(async (tx) => {
      const before = await tx.get("contacts", user.id);
      if (!(await tx.get("people", user.id))) await meet(tx, user);
      tx.put("contacts", { user: user.id, state, rev: (before?.rev ?? 0) + 1, at, waiting: true });
    }, true);
  }

  /** What the server says to a decision; undefined: nothing stands between the two now. */
  decided(sent: ContactRecord, answer: Contact | undefined): Promise<void> {
    return this.write(async (tx) => {
      const now = await tx.get("contacts", sent.user);
      if (!now || !same(now, sent)) return;
      if (answer) tx.put("contacts", contactOf(answer));
      else tx.put("contacts", { user: now.user, state: "none", rev: now.rev, at: now.at });
    });
  }

  /** A block stands against whatever another device decided meanwhile: it is asked for again, above that. */
  blockAbove(user: string, rev: number): Promise<void> {
    return this.write(async (tx) => {
      const now = await tx.get("contacts", user);
      if (now?.waiting && now.state === "blocked" && now.rev <= rev) tx.put("contacts", { ...now, rev: rev + 1 });
    });
  }

  /** The reactions to an entry as they were just asked for. */
  reactions(conversation: string, seq: number, reactions: readonly Reaction[]): Promise<void> {
    return this.write(async (tx) => {
      const held = await tx.get("entries", [conversation, seq]);
      if (held && !held.deleted) tx.put("entries", withReactions(held, reactions));
    });
  }

  /** What was read on this device, until a row shows it. False: that was known. */
  markRead(conversation: string, read: number): Promise<boolean> {
    return this.write(async (tx) => {
      const at = await tx.get("conversations", conversation);
      const upTo = Math.min(read, at?.to ?? 0); // what is not held was not seen
      if (!at || upTo <= at.read) return false;
      tx.put("marks", { conversation, read: upTo });
      tx.put("conversations", await derive(tx, at, await meOf(tx)));
      return true;
    });
  }

  // --- the outbox's answers ---

  /** The server has it. In another life that says nothing: it is asked again. */
  acked(life: number, conversation: string, id: string, seq: number, when: number): Promise<void> {
    return this.write(async (tx) => {
      const waiting = await tx.get("outbox", [conversation, id]);
      if (!waiting || (await placeOf(tx)).life !== life) return;
      const me = await meOf(tx);
      const at = (await tx.get("conversations", conversation)) ?? newConversation(conversation);
      tx.put("conversations", await derive(tx, await acknowledged(tx, at, waiting, seq, when, me), me));
    });
  }

  /** The server will never take it. */
  failed(conversation: string, id: string, failure: Failure): Promise<void> {
    return this.write(async (tx) => {
      const waiting = await tx.get("outbox", [conversation, id]);
      if (waiting && !waiting.acked) tx.put("outbox", { ...waiting, failure: { code: failure.code, detail: failure.detail } });
    });
  }

  // --- transactions ---

  /** Writes, and if there is no room makes some and tries once more. */
  private async write<T>(work: (tx: Tx) => Promise<T>, durable = false): Promise<T> {
    try {
      return await this.engine.write(work, durable);
    } catch (error) {
      if (!(error instanceof NoRoom)) throw error;
    }
    try {
      await this.engine.write((tx) => makeRoom(tx, this.open()));
      return await this.engine.write(work, durable);
    } catch (error) {
      throw error instanceof NoRoom ? new Failure("unreadable", "QuotaExceededError") : error;
    }
  }
}

/** What is said beside a text: of an act, which and on what. */
export interface Said {
  readonly kind?: string | undefined;
  readonly target?: number | undefined;
  readonly replyTo?: number | undefined;
  readonly mentions?: readonly string[] | undefined;
  readonly forwarded?: boolean | undefined;
}

function move(place: Place, life: number | undefined): void {
  if (life !== undefined) {
    place.life = life;
    place.cursor = null;
  }
}

export async function placeOf(tx: Tx): Promise<PlaceRecord> {
  return ((await tx.get("meta", "place")) as PlaceRecord | undefined) ?? nowhere;
}

async function meOf(tx: Tx): Promise<string> {
  return ((await tx.get("meta", "account")) as AccountRecord | undefined)?.me.id ?? "";
}

async function standing(tx: Tx, place: Place): Promise<PlaceRecord> {
  const now = await placeOf(tx);
  if (now.life !== place.life) throw new Stale("a connection of an earlier life");
  return now;
}

/** Everything goes but the count of lives. */
async function erase(tx: Tx): Promise<void> {
  const { life } = await placeOf(tx);
  const all: readonly StoreName[] = ["meta", "conversations", "members", "people", "entries", "folds", "outbox", "drafts", "receipts", "marks", "contacts", "wishes"];
  for (const store of all) tx.clear(store);
  tx.put("meta", { ...nowhere, life: life + 1 });
}

/** What is held of the logs goes. Returns the new life. */
async function forget(tx: Tx, now: PlaceRecord, epoch: string): Promise<number> {
  for (const store of derived) tx.clear(store);
  for (const c of await tx.all("conversations")) {
    const { last, ...bare } = newConversation(c.id);
    tx.put("conversations", { ...bare, kind: c.kind, title: c.title, ...(c.with ? { with: c.with } : {}), muted: c.muted, ...standingOf(c), told: c.told, stale: true, at: c.at });
  }
  for (const { acked: _acked, ...waiting } of await tx.all("outbox")) tx.put("outbox", { ...waiting, base: 0 });
  const life = now.life + 1;
  tx.put("meta", { key: "place", cursor: null, epoch, life });
  return life;
}

/** After a resync everything was told again: what was not is gone from the server. What people wrote there stays. */
async function sweep(tx: Tx): Promise<string[]> {
  const gone: string[] = [];
  for (const c of await tx.all("conversations")) {
    if (!c.stale || (await tx.of("outbox", c.id)).length > 0 || unsaid(await tx.get("drafts", c.id))) continue;
    tx.delete("conversations", c.id);
    for (const store of ["members", "drafts", "wishes"] as const) tx.delete(store, c.id);
    if (c.to > 0) tx.deleteBetween("entries", c.id, c.from, c.to);
    gone.push(c.id);
  }
  return gone;
}

async function receipt(tx: Tx, conversation: string, user: string, delivered: number, read: number): Promise<void> {
  const at = await tx.get("receipts", [conversation, user]);
  const now = { conversation, user, delivered: Math.max(delivered, at?.delivered ?? 0), read: Math.max(read, at?.read ?? 0) };
  if (!at || now.delivered > at.delivered || now.read > at.read) tx.put("receipts", now);
}

async function enqueue(tx: Tx, conversation: string, id: string, text: string, written: number, said: Said, composed: boolean): Promise<void> {
  const counted = await tx.get("meta", "order");
  const order = (counted?.key === "order" ? counted.last : 0) + 1;
  const base = (await tx.get("conversations", conversation))?.head ?? 0;
  const { kind, target, replyTo, mentions, forwarded } = said;
  const row: OutboxRecord = {
    conversation, id, order, text, base, written,
    ...(kind ? { kind } : {}), ...(target ? { target } : {}), ...(replyTo ? { replyTo } : {}), ...(mentions?.length ? { mentions } : {}), ...(forwarded ? { forwarded } : {}),
  };
  tx.put("outbox", row);
  tx.put("meta", { key: "order", last: order });
  if (composed) await sentOff(tx, conversation, written);
}

/** Old entries of closed conversations go from the front: the log is on the server. */
async function makeRoom(tx: Tx, open: ReadonlySet<string>): Promise<void> {
  for (const c of await tx.all("conversations")) {
    const from = c.to - KEEP + 1;
    if (open.has(c.id) || c.to === 0 || from <= c.from) continue;
    tx.deleteBetween("entries", c.id, c.from, from - 1);
    tx.put("conversations", { ...c, from, start: false });
  }
}
