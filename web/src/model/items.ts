/** How entries and waiting messages look in a timeline. */
import type { EntryRecord, OutboxRecord } from "../db/schema";
import { Failure } from "../wire/failure";
import type { Item, Message, Notice, Person } from "./model";
import type { Names } from "./persons";
import { receiptOf, type Reached } from "./receipts";

/** A message that was committed so much later than it was written says so, in milliseconds. */
const LATER = 60_000;

/** The item of an entry; undefined: it has none of its own, as it only changes another. */
export function itemOf(e: EntryRecord, me: string, names: Names, to: Reached): Item | undefined {
  switch (e.kind) {
    case "message":
      return messageOf(e, me, names, to);
    case "edit":
    case "delete":
      return undefined;
    default:
      return noticeOf(e, names);
  }
}

function messageOf(e: EntryRecord, me: string, names: Names, to: Reached): Message {
  const mine = e.sender === me;
  return {
    kind: "message", key: e.id, seq: e.seq, mine, sender: names(e.sender), at: e.at,
    text: e.type === "text/plain" ? (e.text ?? "") : "", type: e.type ?? "", deleted: e.deleted ?? false,
    ...(mine ? { receipt: receiptOf(e.seq, to) } : {}),
    ...(mine && e.written !== undefined && e.at - e.written >= LATER ? { written: e.written } : {}),
  };
}

function noticeOf(e: EntryRecord, names: Names): Notice {
  const told = e.kind === "members" || e.kind === "title" ? json(e.data) : {};
  const people = strings(told["add"]).filter((id) => id !== e.sender);
  const title = typeof told["title"] === "string" ? told["title"] : e.kind === "title" ? (e.text ?? "") : "";
  return { kind: "notice", key: e.id || `${e.conversation}:${e.seq}`, seq: e.seq, at: e.at, what: whatOf(e), ...(e.sender ? { by: names(e.sender) } : {}), people: people.map(names), title };
}

function whatOf({ kind, seq }: EntryRecord): Notice["what"] {
  if (kind === "members") return seq === 1 ? "created" : "members";
  return kind === "title" || kind === "withheld" ? kind : "other";
}

/** Everybody whom an entry names. */
export function namedIn(e: EntryRecord): string[] {
  const named = e.kind === "members" ? strings(json(e.data)["add"]) : [];
  return e.sender ? [e.sender, ...named] : named;
}

/** A message that waits to be sent, or could not be. */
export function waitingItem(row: OutboxRecord, me: Person): Message {
  const failure = row.failure && new Failure(row.failure.code, row.failure.detail);
  return {
    kind: "message", key: row.id, seq: row.acked?.seq ?? 0, mine: true, sender: me, at: row.acked?.at ?? row.written,
    text: row.text, type: "text/plain", deleted: false,
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
