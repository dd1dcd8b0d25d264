/** What of a timeline was on the screen. */
import type { Row } from "./rows";

/** Where the rows lie, in pixels from the top of what can be scrolled. */
export interface Places {
  indexAt(offset: number): number; // the row at an offset, or the nearest one
  offset(index: number): number;
  size(index: number): number;
}

/**
 * The number of the newest entry that can be read on the screen: of which at least half is between top and bottom, or which
 * fills at least half of what is there. 0 if there is none, as for messages that wait to be sent.
 */
export function newestSeen(rows: readonly Row[], places: Places, top: number, bottom: number): number {
  if (rows.length === 0 || bottom <= top) return 0;
  for (let at = Math.min(places.indexAt(bottom), rows.length - 1); at >= 0; at--) {
    const from = places.offset(at);
    const size = places.size(at);
    if (from + size <= top) return 0;
    const seq = seqOf(rows[at]!);
    const visible = Math.min(from + size, bottom) - Math.max(from, top);
    if (seq > 0 && visible > 0 && visible >= Math.min(size, bottom - top) / 2) return seq;
  }
  return 0;
}

/** How many messages of others came after a number: for the button that leads to them. */
export function countAfter(rows: readonly Row[], seq: number): number {
  let count = 0;
  for (let at = rows.length - 1; at >= 0; at--) {
    const row = rows[at]!;
    const own = seqOf(row);
    if (own > 0 && own <= seq) break;
    if (own > 0 && row.kind === "message" && !row.message.mine) count++;
  }
  return count;
}

/** A row's number in the log; 0 if it has none (yet). */
function seqOf(row: Row): number {
  return row.kind === "message" ? row.message.seq : row.kind === "notice" ? row.notice.seq : 0;
}
