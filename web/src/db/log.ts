/**
 * How entries come into a conversation's run, and what follows from them. Everything here happens inside a transaction.
 */
import type { Entry } from "../wire/wire.gen";
import type { Tx } from "./engine";
import type { ConversationRecord, EntryRecord, FoldRecord, LastRecord, OutboxRecord } from "./schema";

/** The device holds another entry under a number than the server has: what it holds is of another log. */
export class Fault extends Error {
  override readonly name = "Fault";
}

export function newConversation(id: string): ConversationRecord {
  return {
    id, kind: "group", title: "", muted: false, told: false, stale: false,
    pos: 0, rowHead: 0, rowUnread: 0, rowRead: 0, delivered: 0,
    head: 0, from: 0, to: 0, start: false, read: 0, unread: 0, at: 0,
  };
}

/** What the wire says, as it is kept. */
export function entryRecord(e: Entry): EntryRecord {
  return {
    conversation: e.conversation, seq: e.seq, kind: e.kind, id: e.id, sender: e.sender, at: Date.parse(e.at) || 0,
    ...(e.body && !e.deleted ? bodyOf(e.body) : {}),
    ...(e.ref ? { ref: e.ref } : {}),
    ...(e.edited ? { edited: true } : {}),
    ...(e.deleted ? { deleted: true } : {}),
  };
}

function bodyOf(body: { type?: string | undefined; text?: string | undefined; data?: string | undefined }): { type?: string; text?: string; data?: string } {
  return {
    ...(body.type === undefined ? {} : { type: body.type }),
    ...(body.text === undefined ? {} : { text: body.text }),
    ...(body.data === undefined ? {} : { data: body.data }),
  };
}

/** Whether entries are of one conversation, each with the number after that of the one before. */
export function contiguous(conversation: string, entries: readonly Entry[]): boolean {
  return entries.every((e, i) => e.conversation === conversation && e.seq > 0 && (i === 0 || e.seq === entries[i - 1]!.seq + 1));
}

/**
 * append puts entries, which are contiguous, at the end of the run; those that are held already are only compared. Over a gap nothing is
 * put: then the conversation's head says that there is something to ask for.
 */
export async function append(tx: Tx, at: ConversationRecord, entries: readonly Entry[], me: string): Promise<ConversationRecord> {
  const first = entries[0];
  const last = entries[entries.length - 1];
  if (!first || !last) return at;
  let now: ConversationRecord = { ...at, head: Math.max(at.head, last.seq) };
  const begins = at.to === 0;
  if (!begins && first.seq > at.to + 1) return moved(now, entries.map(entryRecord));
  await compare(tx, at, entries);
  const fresh = entries.filter((e) => begins || e.seq > at.to);
  if (fresh.length === 0) return now;
  const records = await store(tx, now.id, fresh, me);
  now = { ...now, from: begins ? first.seq : at.from, to: last.seq };
  if (begins) {
    now = { ...now, start: first.seq === 1 };
    // What was acknowledged before the run is history, which is read when somebody goes back to it.
    for (const row of await tx.of("outbox", now.id)) if (row.acked && row.acked.seq < first.seq) tx.delete("outbox", [row.conversation, row.id]);
  }
  return moved(now, records);
}

/** prepend puts entries, which are contiguous, before the run: older history. What does not touch the run is left. */
export async function prepend(tx: Tx, at: ConversationRecord, entries: readonly Entry[], me: string): Promise<ConversationRecord> {
  const first = entries[0];
  const last = entries[entries.length - 1];
  if (!first || !last || at.to === 0 || last.seq < at.from - 1) return at;
  await compare(tx, at, entries);
  const fresh = entries.filter((e) => e.seq < at.from);
  if (fresh.length === 0) return at;
  const records = await store(tx, at.id, fresh, me);
  return moved({ ...at, from: first.seq, start: at.start || first.seq === 1 }, records);
}

/** replace drops the run and begins another: the newest page, when too much lies between. */
export async function replace(tx: Tx, at: ConversationRecord, entries: readonly Entry[], me: string): Promise<ConversationRecord> {
  if (entries.length === 0) return at;
  if (at.to > 0) tx.deleteBetween("entries", at.id, at.from, at.to);
  return append(tx, { ...at, from: 0, to: 0, start: false }, entries, me);
}

/** Entries are write-once: a number that is held must be the same entry. */
async function compare(tx: Tx, at: ConversationRecord, entries: readonly Entry[]): Promise<void> {
  for (const e of entries) {
    if (e.seq < at.from || e.seq > at.to) continue;
    const held = await tx.get("entries", [at.id, e.seq]);
    if (held && held.id !== e.id) throw new Fault(`another entry stands at ${e.seq}`);
  }
}

async function store(tx: Tx, conversation: string, entries: readonly Entry[], me: string): Promise<EntryRecord[]> {
  const records: EntryRecord[] = [];
  const folds = await tx.of("folds", conversation);
  for (const e of entries) {
    let record = entryRecord(e);
    if (e.sender === me) record = await settle(tx, record);
    const fold = folds.find((f) => f.ref === record.seq);
    if (fold) record = folded(record, fold);
    tx.put("entries", record);
    records.push(record);
    if ((e.kind === "edit" || e.kind === "delete") && e.ref) folds.push(...(await point(tx, e, records)));
  }
  return records;
}

/** An own entry settles what waited to be sent under its id. */
async function settle(tx: Tx, record: EntryRecord): Promise<EntryRecord> {
  const waiting = await tx.get("outbox", [record.conversation, record.id]);
  if (!waiting) return record;
  tx.delete("outbox", [record.conversation, record.id]);
  return { ...record, written: waiting.written };
}

/** An edit or a deletion changes what it points at, held or still to come. */
async function point(tx: Tx, e: Entry, fresh: EntryRecord[]): Promise<FoldRecord[]> {
  const ref = e.ref!;
  const known = await tx.get("folds", [e.conversation, ref]);
  if (known && (known.deleted || known.seq > e.seq)) return [];
  const fold: FoldRecord = { conversation: e.conversation, ref, seq: e.seq, deleted: e.kind === "delete", ...(e.kind === "edit" && e.body ? bodyOf(e.body) : {}) };
  tx.put("folds", fold);
  const target = await tx.get("entries", [e.conversation, ref]);
  if (!target) return [fold];
  const changed = folded(target, fold);
  tx.put("entries", changed);
  const i = fresh.findIndex((r) => r.seq === ref);
  if (i >= 0) fresh[i] = changed;
  return [fold];
}

function folded(record: EntryRecord, fold: FoldRecord): EntryRecord {
  const { type: _type, text: _text, data: _data, ...bare } = record;
  if (fold.deleted) return { ...bare, deleted: true };
  return record.deleted ? record : { ...bare, ...bodyOf(fold), edited: true };
}

/** moved notes the newest message and when the conversation last moved. */
function moved(at: ConversationRecord, entries: readonly EntryRecord[]): ConversationRecord {
  let now = at;
  for (const e of entries) {
    if (e.at > now.at) now = { ...now, at: e.at };
    if (e.kind === "message") now = { ...now, ...newer(now.last, { seq: e.seq, sender: e.sender, at: e.at, text: e.text ?? "" }) };
    // What the list shows of a message goes with the message.
    if (e.ref !== undefined && e.ref === now.last?.seq && (e.kind === "delete" || e.kind === "edit")) {
      now = { ...now, last: { ...now.last, text: e.kind === "edit" ? (e.text ?? "") : "" } };
    }
  }
  return now;
}

/** newer is the later of two last messages; of one and the same the second, which may have been edited. */
export function newer(a: LastRecord | undefined, b: LastRecord): { last: LastRecord } {
  return { last: a && a.seq > b.seq ? a : b };
}

/** unread counts the messages of others after the read marker, as far as the row and the run say. */
export async function derive(tx: Tx, at: ConversationRecord, me: string): Promise<ConversationRecord> {
  const mark = await tx.get("marks", at.id);
  const read = Math.max(at.rowRead, mark?.read ?? 0);
  if (mark && mark.read <= at.rowRead) tx.delete("marks", at.id);
  if (read >= Math.max(at.head, at.rowHead)) return { ...at, read, unread: 0 };
  const others = async (after: number, to: number): Promise<number> => {
    const low = Math.max(after + 1, at.from);
    const high = Math.min(to, at.to);
    if (at.to === 0 || low > high) return 0;
    return (await tx.between("entries", at.id, low, high)).filter((e) => e.kind === "message" && e.sender !== me).length;
  };
  const gone = await others(at.rowRead, Math.min(read, at.rowHead));
  const come = await others(Math.max(at.rowHead, read), at.to);
  return { ...at, read, unread: Math.max(0, at.rowUnread - gone) + come };
}

/** acknowledged notes that a message was committed, in the transaction that lets go of it. */
export async function acknowledged(tx: Tx, at: ConversationRecord, waiting: OutboxRecord, seq: number, when: number, me: string): Promise<ConversationRecord> {
  const now = { ...at, head: Math.max(at.head, seq) };
  const { conversation, id } = waiting;
  if (at.to > 0 && seq === at.to + 1) {
    const entry: EntryRecord = { conversation, seq, kind: "message", id, sender: me, at: when, type: "text/plain", text: waiting.text, written: waiting.written };
    tx.put("entries", entry);
    tx.delete("outbox", [conversation, id]);
    return moved({ ...now, to: seq }, [entry]);
  }
  if (at.to === 0 || seq > at.to) {
    tx.put("outbox", { ...waiting, acked: { seq, at: when } }); // its entry is still to come, and takes it out
    return now;
  }
  if (seq >= at.from) {
    const held = await tx.get("entries", [conversation, seq]);
    if (held && held.id !== id) throw new Fault(`another entry stands at ${seq}`);
  }
  tx.delete("outbox", [conversation, id]);
  return now;
}
