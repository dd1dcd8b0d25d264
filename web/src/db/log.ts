/**
 * How entries come into a conversation's run, and what follows from them. Everything here happens inside a transaction.
 */
import type { Entry } from "../wire/wire.gen";
import { acted, bodyOf, erased, isAct } from "./acts";
import type { Tx } from "./engine";
import type { ActRecord, ConversationRecord, EntryRecord, FoldRecord, LastRecord, OutboxRecord } from "./schema";

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

/**
 * What the wire says, as it is kept. What an act says is kept with what it points at, and nowhere else.
 *
 * @param asOf the head at which a page was folded; 0: it is of a stream, which knows nothing that comes after an entry
 */
export function entryRecord(e: Entry, asOf = 0): EntryRecord {
  const record: EntryRecord = {
    conversation: e.conversation, seq: e.seq, kind: e.kind, id: e.id, sender: e.sender, at: Date.parse(e.at) || 0,
    ...(asOf > e.seq ? { asOf } : {}),
    ...(e.ref ? { ref: e.ref } : {}),
  };
  if (isAct(e.kind)) return record;
  if (e.deleted) return erased(record);
  return {
    ...record,
    ...(e.body ? bodyOf(e.body) : {}),
    ...(e.reply_to ? { replyTo: e.reply_to } : {}),
    ...(e.mentions?.length ? { mentions: e.mentions } : {}),
    ...(e.forwarded ? { forwarded: true } : {}),
    ...(e.edited ? { edited: true, ...(e.edited_at ? { editedAt: Date.parse(e.edited_at) || 0 } : {}) } : {}),
    ...(e.reactions?.length ? { reactions: e.reactions } : {}),
  };
}

function actRecord(e: Entry): ActRecord {
  return { seq: e.seq, kind: e.kind, sender: e.sender, at: Date.parse(e.at) || 0, ...(e.body && !e.deleted ? bodyOf(e.body) : {}) };
}

/** Whether entries are of one conversation, each with the number after that of the one before. */
export function contiguous(conversation: string, entries: readonly Entry[]): boolean {
  return entries.every((e, i) => e.conversation === conversation && e.seq > 0 && (i === 0 || e.seq === entries[i - 1]!.seq + 1));
}

/**
 * append puts entries, which are contiguous, at the end of the run; those that are held already are only compared. Over a gap nothing is
 * put: then the conversation's head says that there is something to ask for. asOf: see entryRecord.
 */
export async function append(tx: Tx, at: ConversationRecord, entries: readonly Entry[], me: string, asOf = 0): Promise<ConversationRecord> {
  const first = entries[0];
  const last = entries[entries.length - 1];
  if (!first || !last) return at;
  let now: ConversationRecord = { ...at, head: Math.max(at.head, last.seq) };
  const begins = at.to === 0;
  if (!begins && first.seq > at.to + 1) return moved(now, entries.map((e) => entryRecord(e, asOf)), entries);
  await compare(tx, at, entries);
  const fresh = entries.filter((e) => begins || e.seq > at.to);
  if (fresh.length === 0) return now;
  now = { ...now, from: begins ? first.seq : at.from, to: last.seq };
  const records = await store(tx, now, fresh, me, asOf);
  if (begins) now = { ...now, start: first.seq === 1 };
  // What was acknowledged up to here has its entry, or is history, which is read when somebody goes back to it.
  for (const row of await tx.of("outbox", now.id)) if (row.acked && row.acked.seq <= last.seq) tx.delete("outbox", [row.conversation, row.id]);
  return moved(now, records, fresh);
}

/** prepend puts entries, which are contiguous, before the run: older history. What does not touch the run is left. */
export async function prepend(tx: Tx, at: ConversationRecord, entries: readonly Entry[], me: string, asOf: number): Promise<ConversationRecord> {
  const first = entries[0];
  const last = entries[entries.length - 1];
  if (!first || !last || at.to === 0 || last.seq < at.from - 1) return at;
  await compare(tx, at, entries);
  const fresh = entries.filter((e) => e.seq < at.from);
  if (fresh.length === 0) return at;
  const now = { ...at, from: first.seq, start: at.start || first.seq === 1 };
  const records = await store(tx, now, fresh, me, asOf);
  return moved(now, records, []);
}

/** replace drops the run and begins another: the newest page, when too much lies between. */
export async function replace(tx: Tx, at: ConversationRecord, entries: readonly Entry[], me: string, asOf: number): Promise<ConversationRecord> {
  if (entries.length === 0) return at;
  if (at.to > 0) tx.deleteBetween("entries", at.id, at.from, at.to);
  return append(tx, { ...at, from: 0, to: 0, start: false }, entries, me, asOf);
}

/** Entries are write-once: a number that is held must be the same entry. */
async function compare(tx: Tx, at: ConversationRecord, entries: readonly Entry[]): Promise<void> {
  for (const e of entries) {
    if (e.seq < at.from || e.seq > at.to) continue;
    const held = await tx.get("entries", [at.id, e.seq]);
    if (held && held.id !== e.id) throw new Fault(`another entry stands at ${e.seq}`);
  }
}

/** Puts entries of the run, with the acts on them that came before them, and does what acts among them do. */
async function store(tx: Tx, run: ConversationRecord, entries: readonly Entry[], me: string, asOf: number): Promise<EntryRecord[]> {
  const records = new Map<number, EntryRecord>();
  const folds = new Map((await tx.between("folds", run.id, entries[0]!.seq, entries[entries.length - 1]!.seq)).map((f) => [f.ref, f]));
  for (const e of entries) {
    let record = entryRecord(e, asOf);
    if (e.sender === me) record = await settle(tx, record);
    for (const act of folds.get(e.seq)?.acts ?? []) record = acted(record, act);
    if (folds.has(e.seq)) tx.delete("folds", [run.id, e.seq]);
    tx.put("entries", record);
    records.set(e.seq, record);
    if (!isAct(e.kind) || !e.ref) continue;
    const target = await act(tx, run, e.ref, actRecord(e));
    if (target && records.has(target.seq)) records.set(target.seq, target);
  }
  return [...records.values()];
}

/** An own entry settles what waited to be sent under its id. */
async function settle(tx: Tx, record: EntryRecord): Promise<EntryRecord> {
  const waiting = await tx.get("outbox", [record.conversation, record.id]);
  if (!waiting) return record;
  tx.delete("outbox", [record.conversation, record.id]);
  return { ...record, written: waiting.written };
}

/** An act changes what it points at, or waits for it. Returns the changed entry, if it is held. */
async function act(tx: Tx, run: ConversationRecord, ref: number, what: ActRecord): Promise<EntryRecord | undefined> {
  if (ref < run.from) {
    await remember(tx, run.id, ref, what);
    return undefined;
  }
  const target = await tx.get("entries", [run.id, ref]);
  if (!target) return undefined; // further up in the same page, which has it folded in
  const changed = acted(target, what);
  if (changed !== target) tx.put("entries", changed);
  return changed;
}

/** A deletion takes away what the edits before it said. */
async function remember(tx: Tx, conversation: string, ref: number, what: ActRecord): Promise<void> {
  const known: FoldRecord | undefined = await tx.get("folds", [conversation, ref]);
  const before = known?.acts ?? [];
  if (before.some((a) => a.seq === what.seq || a.kind === "delete")) return;
  const gone = what.kind === "delete" || (what.kind === "edit" && what.type === undefined);
  const rest = gone ? [] : what.kind === "edit" ? before.filter((a) => a.kind !== "edit") : before;
  tx.put("folds", { conversation, ref, acts: [...rest, what].sort((a, b) => a.seq - b.seq) });
}

/** moved notes the newest message, what is pinned, and when the conversation last moved. */
function moved(at: ConversationRecord, records: readonly EntryRecord[], entries: readonly Entry[]): ConversationRecord {
  let now = at;
  for (const e of records) {
    if (e.kind === "message") now = { ...now, ...newer(now.last, lastOf(e)) };
    if (e.at > now.at && (e.kind === "message" || e.kind === "members" || e.kind === "title")) now = { ...now, at: e.at };
  }
  for (const e of entries) {
    // What the list shows of a message goes with the message.
    if (e.ref && isAct(e.kind) && now.last?.seq === e.ref) now = { ...now, last: lastAfter(now.last, actRecord(e)) };
    if (e.ref && (e.kind === "pin" || e.kind === "unpin") && e.seq > (now.pinsAt ?? 0)) now = { ...now, pins: pinned(now.pins, e.kind, e.ref), pinsAt: e.seq };
  }
  return now;
}

function lastOf(e: EntryRecord): LastRecord {
  return { seq: e.seq, sender: e.sender, at: e.at, text: e.text ?? "", ...(e.deleted ? { deleted: true } : {}) };
}

function lastAfter(last: LastRecord, act: ActRecord): LastRecord {
  if (act.kind === "reaction" || last.deleted) return last;
  if (act.kind === "edit" && act.type !== undefined) return { ...last, text: act.text ?? "" };
  return { ...last, text: "", deleted: true };
}

/** The pins after a pin or an unpin, in the order in which they were pinned. */
export function pinned(pins: readonly number[] | undefined, kind: string, seq: number): readonly number[] {
  const rest = (pins ?? []).filter((p) => p !== seq);
  if (kind === "unpin") return rest;
  return pins?.includes(seq) ? pins : [...rest, seq];
}

/** newer is the later of two last messages; of one and the same the second, which may have been edited. */
export function newer(a: LastRecord | undefined, b: LastRecord): { last: LastRecord } {
  return { last: a && (a.seq > b.seq || (a.seq === b.seq && a.deleted)) ? a : b };
}

/** unread and mentions count the messages of others after the read marker, as far as the row and the run say. */
export async function derive(tx: Tx, at: ConversationRecord, me: string): Promise<ConversationRecord> {
  const mark = await tx.get("marks", at.id);
  const read = Math.max(at.rowRead, mark?.read ?? 0);
  if (mark && mark.read <= at.rowRead) tx.delete("marks", at.id);
  if (read >= Math.max(at.head, at.rowHead)) return { ...at, read, unread: 0, mentions: 0 };
  const others = async (after: number, to: number): Promise<{ all: number; mine: number }> => {
    const low = Math.max(after + 1, at.from);
    const high = Math.min(to, at.to);
    if (at.to === 0 || low > high) return { all: 0, mine: 0 };
    const messages = (await tx.between("entries", at.id, low, high)).filter((e) => e.kind === "message" && e.sender !== me);
    return { all: messages.length, mine: messages.filter((e) => e.mentions?.includes(me)).length };
  };
  const gone = await others(at.rowRead, Math.min(read, at.rowHead));
  const come = await others(Math.max(at.rowHead, read), at.to);
  const mentions = Math.max(0, (at.rowMentions ?? 0) - gone.mine) + come.mine;
  return { ...at, read, unread: Math.max(0, at.rowUnread - gone.all) + come.all, mentions };
}

/** acknowledged notes that what waited was committed, in the transaction that lets go of it. */
export async function acknowledged(tx: Tx, at: ConversationRecord, waiting: OutboxRecord, seq: number, when: number, me: string): Promise<ConversationRecord> {
  const now = { ...at, head: Math.max(at.head, seq) };
  const { conversation, id } = waiting;
  // A deletion may be told the number of an earlier one by somebody else: only its entry says whose it is.
  if (at.to > 0 && seq === at.to + 1 && waiting.kind !== "delete") return place(tx, now, waiting, seq, when, me);
  if (at.to === 0 || seq > at.to) {
    tx.put("outbox", { ...waiting, acked: { seq, at: when } }); // its entry is still to come, and takes it out
    return now;
  }
  if (seq >= at.from && waiting.kind !== "delete") {
    const held = await tx.get("entries", [conversation, seq]);
    if (held && held.id !== id) throw new Fault(`another entry stands at ${seq}`);
  }
  tx.delete("outbox", [conversation, id]);
  return now;
}

/** What was acknowledged as the next of the run is its next entry. */
async function place(tx: Tx, at: ConversationRecord, waiting: OutboxRecord, seq: number, when: number, me: string): Promise<ConversationRecord> {
  const { conversation, id, kind = "message", target, text, replyTo, mentions, forwarded, written } = waiting;
  tx.delete("outbox", [conversation, id]);
  const entry: Entry = {
    conversation, seq, kind, id, sender: me, device: "", at: new Date(when).toISOString(),
    ...(kind === "pin" || kind === "unpin" ? {} : { body: { type: "text/plain", text } }),
    ...(target ? { ref: target } : {}), ...(replyTo ? { reply_to: replyTo } : {}),
    ...(mentions ? { mentions: [...mentions] } : {}), ...(forwarded ? { forwarded } : {}),
  };
  const now = { ...at, to: seq };
  const records = await store(tx, now, [entry], me, 0);
  if (records[0]?.kind === "message") {
    records[0] = { ...records[0], written };
    tx.put("entries", records[0]);
  }
  return moved(now, records, [entry]);
}
