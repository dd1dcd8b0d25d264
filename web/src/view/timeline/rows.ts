/**
 * What a timeline shows, line by line: a stretch of a conversation with the days, the "new" line and the grouping of bubbles
 * worked out. Pure, and incremental: where nothing changed the same row objects are used again, so that a list of 100,000 does
 * nothing for them.
 */
import type { Item, Message, Notice, Stretch } from "../../model/model";

/** Messages of one person stand together if each came within this time of the one before. Milliseconds. */
export const together = 5 * 60_000;

export type Row =
  | { readonly kind: "day"; readonly key: string; readonly at: number }
  | { readonly kind: "new"; readonly key: string }
  | MessageRow
  | { readonly kind: "notice"; readonly key: string; readonly notice: Notice };

export interface MessageRow {
  readonly kind: "message";
  readonly key: string;
  readonly message: Message;
  readonly first: boolean; // of its group: says who speaks
  readonly last: boolean; // of its group: the next bubble keeps its distance
}

/** What of a stretch the rows are made from. */
export type Said = Pick<Stretch, "items" | "unreadFrom" | "atStart">;

/** The rows of a stretch, with what is needed to work out those of the next one. */
export interface Rows {
  readonly list: readonly Row[];
  readonly items: readonly Item[];
  readonly starts: readonly number[]; // of each item, where its rows begin in list
  readonly newAt: number; // the index of the item that the "new" line stands before, or -1
  readonly veiled: boolean; // the first item has no row
  readonly shift: boolean; // against the rows before, rows were added (or taken away) at the start and nowhere else
}

export const none: Rows = { list: [], items: [], starts: [], newAt: -1, veiled: false, shift: false };

/**
 * In a stretch of more items than this that does not reach the start the first one has no row: whether it begins a day or a group
 * is not known before the one above it is, and a row must not change its height under a reader when older ones come.
 */
export const veilFrom = 20;

/**
 * The rows of a stretch, in the steps by which a list has to take them in: one, or two when there is news at both ends, since a
 * list keeps its place over a change at one end only. Items are compared with those of previous by identity.
 */
export function arrange(stretch: Said, previous: Rows = none): Rows[] {
  const { items } = stretch;
  const kept = common(previous.items, items);
  if (kept.head === 0 && kept.tail === 0 && previous.items.length > 0) {
    const key = previous.items[0]!.key;
    const place = items.findIndex((item) => item.key === key);
    if (place > 0) {
      const older = { ...stretch, items: [...items.slice(0, place), ...previous.items] };
      const step = build(older, previous, common(previous.items, older.items));
      return [step, build(stretch, step, common(step.items, items))];
    }
  }
  return [build(stretch, previous, kept)];
}

/** How many items two lists begin with, and end with, in common. */
interface Common {
  readonly head: number;
  readonly tail: number; // head + tail is never more than the shorter list has
}

function common(a: readonly Item[], b: readonly Item[]): Common {
  const most = Math.min(a.length, b.length);
  let head = 0;
  while (head < most && a[head] === b[head]) head++;
  let tail = 0;
  while (tail < most - head && a[a.length - 1 - tail] === b[b.length - 1 - tail]) tail++;
  return { head, tail };
}

function build(stretch: Said, previous: Rows, kept: Common): Rows {
  const { items } = stretch;
  const newAt = newLine(stretch);
  const sameLine = newAt < 0 ? previous.newAt < 0 : previous.newAt >= 0 && items[newAt]!.key === previous.items[previous.newAt]!.key;
  const veiled = !stretch.atStart && items.length > veilFrom;
  const sameItems = kept.head === items.length && items.length === previous.items.length;
  const same = sameLine && veiled === previous.veiled;
  const shift = sameItems ? previous.veiled && !veiled : kept.head === 0 && kept.tail > 0 && items.length !== previous.items.length;
  if (same && sameItems) return { ...previous, items, shift: false };

  // A row depends on the items beside its own, so the edges of what is kept are worked out again; and a line or a veil that came
  // or went, which happens once in the life of a timeline, begins everything anew.
  const head = same ? Math.max(0, kept.head - 1) : 0;
  const tail = same ? Math.max(0, kept.tail - 1) : 0;
  const list = previous.list.slice(0, start(previous, head));
  const starts = previous.starts.slice(0, head);
  for (let at = head; at < items.length - tail; at++) {
    starts.push(list.length);
    if (at > 0 || !veiled) append(list, items, at, newAt);
  }
  const from = previous.items.length - tail;
  const moved = list.length - start(previous, from);
  for (let at = from; at < previous.items.length; at++) starts.push(start(previous, at) + moved);
  for (let at = start(previous, from); at < previous.list.length; at++) list.push(previous.list[at]!);
  return { list, items, starts, newAt, veiled, shift };
}

/** Where an item's rows begin in the list; past the last item, the list's length. */
function start(rows: Rows, item: number): number {
  return rows.starts[item] ?? rows.list.length;
}

/** Before which item the "new" line stands, or -1: the first unread message, once it is known that nothing above it is unread. */
function newLine({ items, unreadFrom, atStart }: Said): number {
  if (unreadFrom <= 0) return -1;
  const at = items.findIndex((item) => item.seq >= unreadFrom);
  if (at === 0 && !atStart && items[0]!.seq > unreadFrom) return -1;
  return items.findIndex((item, n) => n >= at && at >= 0 && item.kind === "message" && !item.mine);
}

/** Appends the rows of items[at]: the day if it begins there, the "new" line, and the item itself. */
function append(list: Row[], items: readonly Item[], at: number, newAt: number): void {
  const item = items[at]!;
  const above = items[at - 1];
  if (above === undefined || !sameDay(above.at, item.at)) list.push({ kind: "day", key: `day ${item.key}`, at: item.at });
  if (at === newAt) list.push({ kind: "new", key: "new line" }); // with a space, which no id has
  if (item.kind === "notice") {
    list.push({ kind: "notice", key: item.key, notice: item });
    return;
  }
  list.push({
    kind: "message",
    key: item.key,
    message: item,
    first: at === newAt || !grouped(above, item),
    last: at + 1 === newAt || !grouped(item, items[at + 1]),
  });
}

/** Whether b's bubble belongs to a's. */
function grouped(a: Item | undefined, b: Item | undefined): boolean {
  if (a?.kind !== "message" || b?.kind !== "message") return false;
  return a.sender.id === b.sender.id && Math.abs(b.at - a.at) <= together && sameDay(a.at, b.at);
}

/** The day last asked for, from midnight to midnight where the person is: its neighbours in a timeline mostly are of the same. */
let from = 0;
let to = 0;

/** Whether both times, in milliseconds since 1970, are on one day where the person is. */
export function sameDay(a: number, b: number): boolean {
  if (a < from || a >= to) {
    from = new Date(a).setHours(0, 0, 0, 0);
    const next = new Date(from);
    to = next.setDate(next.getDate() + 1);
  }
  return b >= from && b < to;
}
