/** What acts make of the entry they point at. Pure. */
import type { Body } from "../wire/wire.gen";
import type { ActRecord, EntryRecord, ReactionRecord, Run } from "./schema";

/** Users named with each reaction, as the server names them. */
const NAMED = 32;

/** Whether entries of that kind change how another one reads. */
export function isAct(kind: string): boolean {
  return kind === "edit" || kind === "delete" || kind === "reaction";
}

/** The parts of a body that are there. */
export function bodyOf(body: { [K in keyof Body]?: Body[K] | undefined }): { type?: string; text?: string; data?: string } {
  return {
    ...(body.type === undefined ? {} : { type: body.type }),
    ...(body.text === undefined ? {} : { text: body.text }),
    ...(body.data === undefined ? {} : { data: body.data }),
  };
}

/** The entry with an act on top. One that is in it already changes nothing: it must not undo what came after it. */
export function acted(record: EntryRecord, act: ActRecord): EntryRecord {
  if (act.seq <= (record.asOf ?? record.seq)) return record;
  const now = { ...record, asOf: act.seq };
  if (record.deleted || record.kind !== "message") return now;
  if (act.kind === "reaction") return withReactions(now, reacted(record.reactions ?? [], act.sender, act.text ?? ""));
  if (act.kind === "edit" && act.type !== undefined) {
    const { type: _type, text: _text, data: _data, ...bare } = now;
    return { ...bare, ...bodyOf(act), edited: true, editedAt: act.at };
  }
  return erased(now); // an edit without a body is one of what was deleted since
}

/** What stays of an entry that was deleted: nothing of what it said. */
export function erased(record: EntryRecord): EntryRecord {
  const { conversation, seq, kind, id, sender, at, asOf, written } = record;
  return { conversation, seq, kind, id, sender, at, deleted: true, ...(asOf === undefined ? {} : { asOf }), ...(written === undefined ? {} : { written }) };
}

export function withReactions(record: EntryRecord, reactions: readonly ReactionRecord[]): EntryRecord {
  const { reactions: _reactions, ...bare } = record;
  return reactions.length > 0 ? { ...bare, reactions } : bare;
}

/** The reactions after somebody felt so: one each, the latest. An empty text takes theirs back. */
export function reacted(reactions: readonly ReactionRecord[], user: string, text: string): ReactionRecord[] {
  const rest = reactions.flatMap((r): ReactionRecord[] => {
    if (!r.users.includes(user)) return [r];
    return r.count > 1 ? [{ ...r, count: r.count - 1, users: r.users.filter((u) => u !== user) }] : [];
  });
  if (text === "") return rest;
  const same = rest.findIndex((r) => r.text === text);
  if (same < 0) return [...rest, { text, count: 1, users: [user] }];
  return rest.map((r, i) => (i === same ? { ...r, count: r.count + 1, users: r.users.length < NAMED ? [...r.users, user] : r.users } : r));
}

/** Whether a number is in one of the runs. */
export function inRuns(runs: readonly Run[] | undefined, seq: number): boolean {
  return runs?.some(([from, to]) => seq >= from && seq <= to) ?? false;
}
