/** How entries and waiting messages look in a timeline. */
import { inRuns, reacted } from "../db/acts";
import type { EntryRecord, OutboxRecord, ReactionRecord, Run } from "../db/schema";
import { Failure } from "../wire/failure";
import type { Item, Message, Notice, Person, Reaction } from "./model";
import type { Names } from "./persons";
import { receiptOf, type Reached } from "./receipts";

/** A message that was committed so much later than it was written says so, in milliseconds. */
const LATER = 60_000;

/** The item of an entry; undefined: it has none of its own, as it only changes another, or is not to be seen. */
export function itemOf(e: EntryRecord, me: string, names: Names, to: Reached, hidden?: readonly Run[]): Item | undefined {
  switch (e.kind) {
    case "message":
      return inRuns(hidden, e.seq) ? undefined : messageOf(e, me, names, to);
    case "edit":
    case "delete":
    case "reaction":
    case "unpin":
    case "withheld":
      return undefined;
    default:
      return noticeOf(e, names);
  }
}

function messageOf(e: EntryRecord, me: string, names: Names, to: Reached): Message {
  const mine = e.sender === me;
  const reactions = reactionsOf(e.reactions, me, names);
  return {
    kind: "message", key: e.id, seq: e.seq, mine, sender: names(e.sender), at: e.at,
    text: e.type === "text/plain" ? (e.text ?? "") : "", type: e.type ?? "", deleted: e.deleted ?? false,
    ...(e.replyTo ? { replyTo: e.replyTo } : {}), ...(e.forwarded ? { forwarded: true } : {}),
    ...(e.mentions?.length ? { mentions: e.mentions.map(names), mentioned: !mine && e.mentions.includes(me) } : {}),
    ...(e.edited && !e.deleted ? { edited: true, ...(e.editedAt ? { editedAt: e.editedAt } : {}) } : {}),
    ...(reactions.length > 0 ? { reactions } : {}),
    ...(mine ? { receipt: receiptOf(e.seq, to) } : {}),
    ...(mine && e.written !== undefined && e.at - e.written >= LATER ? { written: e.written } : {}),
  };
}

export function reactionsOf(reactions: readonly ReactionRecord[] | undefined, me: string, names: Names): Reaction[] {
  return (reactions ?? []).map(({ text, count, users }) => ({ text, count, mine: users.includes(me), people: users.map(names) }));
}

function noticeOf(e: EntryRecord, names: Names): Notice {
  const told = e.kind === "members" || e.kind === "title" ? json(e.data) : {};
  const roles = Object.entries(record(told["roles"])).flatMap(([id, role]) => (typeof role === "string" ? [{ person: names(id), role }] : []));
  const title = typeof told["title"] === "string" ? told["title"] : e.kind === "title" ? (e.text ?? "") : "";
  return {
    kind: "notice", key: e.id || `${e.conversation}:${e.seq}`, seq: e.seq, at: e.at, what: whatOf(e), ...(e.sender ? { by: names(e.sender) } : {}),
    people: strings(told["add"]).filter((id) => id !== e.sender || e.seq > 1).map(names), title,
    ...(strings(told["remove"]).length > 0 ? { removed: strings(told["remove"]).map(names) } : {}),
    ...(roles.length > 0 ? { roles } : {}), ...(e.ref ? { ref: e.ref } : {}),
  };
}

function whatOf({ kind, seq }: EntryRecord): Notice["what"] {
  if (kind === "members") return seq === 1 ? "created" : "members";
  return kind === "title" || kind === "pin" ? kind : "other";
}

/** Everybody whom an entry names. */
export function namedIn(e: EntryRecord): string[] {
  const told = e.kind === "members" ? json(e.data) : {};
  return [
    ...(e.sender ? [e.sender] : []), ...strings(told["add"]), ...strings(told["remove"]), ...Object.keys(record(told["roles"])),
    ...(e.mentions ?? []), ...(e.reactions ?? []).flatMap((r) => r.users),
  ];
}

/** A message with what waits to be done to it, in the order in which that was asked for. */
export function withActs(message: Message, acts: readonly OutboxRecord[], me: Person): Message {
  let now = message;
  for (const act of acts) {
    if (act.failure) {
      if (act.kind === "reaction") continue; // it was worth no more than a press
      const refused = { key: act.id, what: act.kind as "edit" | "delete" | "pin" | "unpin", text: act.text, failure: new Failure(act.failure.code, act.failure.detail) };
      now = { ...now, refused: [...(now.refused ?? []), refused] };
    } else if (now.deleted) continue;
    else if (act.kind === "edit") now = { ...now, text: act.text, edited: true, acting: true };
    else if (act.kind === "delete") {
      const { reactions: _reactions, mentions: _mentions, edited: _edited, replyTo: _reply, ...bare } = now;
      now = { ...bare, text: "", type: "", deleted: true, acting: true };
    } else if (act.kind === "reaction") {
      const { reactions = [], ...bare } = now;
      const people = new Map(reactions.flatMap((r) => r.people.map((p) => [p.id, p])));
      const felt = reacted(reactions.map(({ text, count, people }) => ({ text, count, users: people.map((p) => p.id) })), me.id, act.text);
      const shown = reactionsOf(felt, me.id, (id) => (id === me.id ? me : people.get(id)!));
      now = { ...bare, ...(shown.length > 0 ? { reactions: shown } : {}), acting: true };
    }
  }
  return now;
}

/** A message that waits to be sent, or could not be. */
export function waitingItem(row: OutboxRecord, me: Person): Message {
  const failure = row.failure && new Failure(row.failure.code, row.failure.detail);
  return {
    kind: "message", key: row.id, seq: row.acked?.seq ?? 0, mine: true, sender: me, at: row.acked?.at ?? row.written,
    text: row.text, type: "text/plain", deleted: false, ...(row.replyTo ? { replyTo: row.replyTo } : {}), ...(row.forwarded ? { forwarded: true } : {}),
    receipt: waitingReceipt(row), ...(failure ? { failure } : {}),
  };
}

export function waitingReceipt(row: OutboxRecord): "sent" | "failed" | "pending" {
  if (row.acked) return "sent";
  return row.failure ? "failed" : "pending";
}

/** The same items with the receipts of now. The same array if none differs. */
export function withReceipts(items: readonly Item[], before: Reached, now: Reached): readonly Item[] {
  const settled = Math.min(before.read, now.read); // up to here nothing can have changed
  let changed: Item[] | undefined;
  for (let i = items.length - 1; i >= 0; i--) {
    const item = items[i]!;
    if (item.seq <= settled) break;
    if (item.kind !== "message" || !item.mine) continue;
    const receipt = receiptOf(item.seq, now);
    if (receipt !== item.receipt) (changed ??= [...items])[i] = { ...item, receipt };
  }
  return changed ?? items;
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function strings(value: unknown): string[] {
  return Array.isArray(value) ? value.filter((v): v is string => typeof v === "string") : [];
}

/** The fields of a JSON object in base64, as bodies of the server's own types are; none if it is anything else. */
function json(data: string | undefined): Record<string, unknown> {
  if (!data) return {};
  try {
    const bytes = Uint8Array.from(atob(data), (c) => c.charCodeAt(0));
    const value: unknown = JSON.parse(new TextDecoder().decode(bytes));
    return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
  } catch {
    return {};
  }
}
