/**
 * The device's database: every change to it is one method here and one transaction.
 *
 * Whoever brings something from the server says which life it was asked for in (see PlaceRecord): in another life it is refused as Stale.
 * A cursor moves only from where the connection that moves it stood (compare and set), so of two tabs that both believe to hold the
 * connection one is refused, and nothing they write twice is there twice.
 */
import { Failure } from "../wire/failure";
import type { Conversation as Details, Entry, Limits, ReceiptsFrame, Row, User } from "../wire/wire.gen";
import { NoRoom, type Engine, type Tx } from "./engine";
import { acknowledged, append, contiguous, derive, newConversation, newer, prepend, replace } from "./log";
import type { AccountRecord, ConversationRecord, LimitsRecord, OutboxRecord, PlaceRecord, StoreName } from "./schema";

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
   * A stretch of a log that was read: newer ones follow the run, older ones lead to it. leap: where they leave a gap the run is dropped
   * and begins anew with them. start: nothing stands before them.
   */
  history(life: number, conversation: string, entries: readonly Entry[], how: { leap?: boolean; start?: boolean; head?: number }): Promise<void> {
    if (!contiguous(conversation, entries)) throw new Stale("entries that leave something out");
    return this.write(async (tx) => {
      if ((await placeOf(tx)).life !== life) throw new Stale("history of an earlier life");
      const me = await meOf(tx);
      const at = (await tx.get("conversations", conversation)) ?? newConversation(conversation);
      const first = entries[0]?.seq ?? 0;
      const put = at.to > 0 && first < at.from ? prepend : how.leap && first > at.to + 1 ? replace : append;
      let now = await put(tx, at, entries, me);
      const reached = entries.length === 0 || now.from === entries[0]!.seq;
      if (how.start && reached && now.to > 0) now = { ...now, start: true };
      tx.put("conversations", await derive(tx, { ...now, head: Math.max(now.head, how.head ?? 0) }, me));
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
        if (m.handle !== undefined && (await meet(tx, { id: m.user, handle: m.handle, name: m.name ?? m.handle }))) news = true;
        if (m.user !== me) await receipt(tx, told.id, m.user, m.delivered ?? 0, m.read ?? 0);
      }
      const other = told.members.find((m) => m.user !== me) ?? told.members[0];
      const direct = told.kind === "direct" && other?.handle !== undefined;
      await tell(tx, { ...told, ...(direct ? { with: { id: other.user, handle: other.handle!, name: other.name ?? other.handle! } } : {}) }, me);
      return news;
    });
  }

  /** How users are called. */
  people(users: readonly User[]): Promise<void> {
    return this.write(async (tx) => users.forEach(({ id, handle, name }) => tx.put("people", { id, handle, name })));
  }

  // --- what people do here ---

  /** Queues a message, on the disk when it resolves, and takes the draft away. */
  enqueue(conversation: string, id: string, text: string, written: number): Promise<void> {
    return this.write((tx) => enqueue(tx, conversation, id, text, written, true), true);
  }

  /** What failed is queued anew, as another message. */
  requeue(conversation: string, failed: string, id: string, written: number): Promise<void> {
    return this.write(async (tx) => {
      const row = await tx.get("outbox", [conversation, failed]);
      if (!row?.failure) return;
      tx.delete("outbox", [conversation, failed]);
      await enqueue(tx, conversation, id, row.text, written, false);
    }, true);
  }

  /** What failed goes; its text becomes the draft if there is none. */
  discard(conversation: string, id: string): Promise<void> {
    return this.write(async (tx) => {
      const row = await tx.get("outbox", [conversation, id]);
      if (!row?.failure) return;
      tx.delete("outbox", [conversation, id]);
      if (!(await tx.get("drafts", conversation))) tx.put("drafts", { conversation, text: row.text });
    });
  }

  draft(conversation: string, text: string): Promise<void> {
    return this.write(async (tx) => {
      if (text === "") tx.delete("drafts", conversation);
      else tx.put("drafts", { conversation, text });
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

/** Whether two records say the same, as their fields are written in one order. */
function same(a: object, b: object | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
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
  const all: readonly StoreName[] = ["meta", "conversations", "members", "people", "entries", "folds", "outbox", "drafts", "receipts", "marks"];
  for (const store of all) tx.clear(store);
  tx.put("meta", { ...nowhere, life: life + 1 });
}

/** What is held of the logs goes. Returns the new life. */
async function forget(tx: Tx, now: PlaceRecord, epoch: string): Promise<number> {
  for (const store of derived) tx.clear(store);
  for (const c of await tx.all("conversations")) {
    const { last, ...bare } = newConversation(c.id);
    tx.put("conversations", { ...bare, kind: c.kind, title: c.title, ...(c.with ? { with: c.with } : {}), muted: c.muted, told: c.told, stale: true, at: c.at });
  }
  for (const { acked: _acked, ...waiting } of await tx.all("outbox")) tx.put("outbox", { ...waiting, base: 0 });
  const life = now.life + 1;
  tx.put("meta", { key: "place", cursor: null, epoch, life });
  return life;
}

/** One row, unless a newer one was told. */
async function tell(tx: Tx, row: Omit<Row, "with"> & { with?: User }, me: string): Promise<void> {
  const at = (await tx.get("conversations", row.id)) ?? newConversation(row.id);
  if (at.told && !at.stale && row.pos < at.pos) return;
  const last = row.last ? newer(at.last, { seq: row.last.seq, sender: row.last.sender, at: Date.parse(row.last.at) || 0, text: row.last.text }) : {};
  const now: ConversationRecord = {
    ...at, ...last, kind: row.kind, title: row.title, ...(row.with ? { with: row.with } : {}), muted: row.muted, told: true, stale: false,
    pos: row.pos, rowHead: row.head, rowUnread: row.unread, rowRead: row.read, delivered: row.delivered, head: Math.max(at.head, row.head),
  };
  if (row.with) await meet(tx, row.with);
  tx.put("conversations", await derive(tx, { ...now, at: Math.max(at.at, now.last?.at ?? 0) }, me));
}

/** How somebody is called. Returns whether that is new. */
async function meet(tx: Tx, { id, handle, name }: User): Promise<boolean> {
  const user = { id, handle, name };
  if (same(user, await tx.get("people", id))) return false;
  tx.put("people", user);
  return true;
}

/** After a resync everything was told again: what was not is gone from the server. What people wrote there stays. */
async function sweep(tx: Tx): Promise<string[]> {
  const gone: string[] = [];
  for (const c of await tx.all("conversations")) {
    if (!c.stale || (await tx.of("outbox", c.id)).length > 0 || (await tx.get("drafts", c.id))) continue;
    tx.delete("conversations", c.id);
    tx.delete("members", c.id);
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

async function enqueue(tx: Tx, conversation: string, id: string, text: string, written: number, composed: boolean): Promise<void> {
  const counted = await tx.get("meta", "order");
  const order = (counted?.key === "order" ? counted.last : 0) + 1;
  const base = (await tx.get("conversations", conversation))?.head ?? 0;
  const row: OutboxRecord = { conversation, id, order, text, base, written };
  tx.put("outbox", row);
  tx.put("meta", { key: "order", last: order });
  if (composed) tx.delete("drafts", conversation);
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
