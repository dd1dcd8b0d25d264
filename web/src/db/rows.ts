/** Within a transaction: what a row of the inbox says of a conversation, and what its owner wants of it. */
import type { Row, User } from "../wire/wire.gen";
import { adopted } from "./drafts";
import type { Tx } from "./engine";
import { derive, newConversation, newer, pinned } from "./log";
import { meet } from "./people";
import type { ConversationRecord, Run, WishRecord } from "./schema";

/** One row, unless a newer one was told. */
export async function tell(tx: Tx, row: Omit<Row, "with"> & { with?: User }, me: string): Promise<void> {
  const at = (await tx.get("conversations", row.id)) ?? newConversation(row.id);
  if (at.told && !at.stale && row.pos < at.pos) return;
  // What the run says of that message has the acts on it, of which a row knows nothing.
  const held = row.last && at.last?.seq === row.last.seq && row.last.seq >= at.from && row.last.seq <= at.to;
  const last = row.last && !held ? newer(at.last, { seq: row.last.seq, sender: row.last.sender, at: Date.parse(row.last.at) || 0, text: row.last.text, ...(row.last.deleted ? { deleted: true } : {}) }) : {};
  const now: ConversationRecord = {
    ...bareOf(at), ...last, kind: row.kind, title: row.title, ...(row.with ? { with: row.with } : {}), muted: row.muted, told: true, stale: false,
    pos: row.pos, rowHead: row.head, rowUnread: row.unread, rowRead: row.read, rowMentions: row.mentions ?? 0, delivered: row.delivered,
    head: Math.max(at.head, row.head), ...toldOf(row),
  };
  if (row.with) await meet(tx, row.with);
  await adopted(tx, row.id, row.draft);
  tx.put("conversations", await derive(tx, { ...now, at: Math.max(at.at, now.last?.at ?? 0) }, me));
}

/** What a row says of how the owner stands with a conversation. */
function toldOf(row: Pick<Row, "muted_until" | "archived" | "pinned" | "request" | "hidden" | "since" | "until">): Partial<ConversationRecord> {
  const muted = Date.parse(row.muted_until ?? "") || 0;
  return {
    ...(muted > 0 ? { mutedUntil: muted } : {}),
    ...(row.archived ? { archived: true } : {}),
    ...(row.pinned ? { pinned: true } : {}),
    ...(row.request ? { request: true } : {}),
    ...(row.hidden?.length ? { hidden: row.hidden.filter((run) => run.length === 2) as unknown as readonly Run[] } : {}),
    ...(row.since ? { since: row.since } : {}),
    ...(row.until ? { until: row.until } : {}),
  };
}

const standings = ["mutedUntil", "archived", "pinned", "request", "hidden", "since", "until"] as const;

/** A conversation without what a row says of that: what a row leaves out is so no more. */
function bareOf(at: ConversationRecord): ConversationRecord {
  const bare = { ...at };
  for (const field of standings) delete (bare as Record<string, unknown>)[field];
  return bare;
}

export function standingOf(at: ConversationRecord): Partial<ConversationRecord> {
  return Object.fromEntries(standings.flatMap((field) => (at[field] === undefined ? [] : [[field, at[field]]])));
}

/** A conversation as its owner wants it. */
export function wishedFor(at: ConversationRecord, wish: WishRecord | undefined): ConversationRecord {
  if (!wish) return at;
  const hidden = [...(at.hidden ?? []), ...(wish.hide ?? []).map((seq): Run => [seq, seq])];
  const { mutedUntil: _until, ...bare } = at;
  return {
    ...(wish.muted === undefined ? at : { ...bare, muted: wish.muted, ...(wish.mutedUntil ? { mutedUntil: wish.mutedUntil } : {}) }),
    ...(wish.archived === undefined ? {} : { archived: wish.archived }),
    ...(wish.pinned === undefined ? {} : { pinned: wish.pinned }),
    ...(hidden.length > 0 ? { hidden } : {}),
  };
}

/** What is pinned as of a head, with what the run says after it. */
export async function pins(tx: Tx, conversation: string, told: readonly number[], head: number): Promise<void> {
  const at = await tx.get("conversations", conversation);
  if (!at || head < (at.pinsAt ?? 0)) return;
  let now: readonly number[] = told;
  for (const e of await tx.between("entries", conversation, Math.max(head + 1, at.from), at.to)) {
    if (e.ref && (e.kind === "pin" || e.kind === "unpin")) now = pinned(now, e.kind, e.ref);
  }
  tx.put("conversations", { ...at, pins: now, pinsAt: Math.max(head, at.to) });
}
