/** What may be sent as one message, and how a longer text becomes several. Lengths are in characters (code points), as the server counts. */
import { MaxBodyBytes } from "../../wire/wire.gen";

/** How many characters may still be written; negative: how many must go. It looks at the limit of bytes too, which no server lifts. */
export function room(text: string, limit: number): number {
  const most = fitting(text, limit);
  if (most < text.length) return -count(text.slice(most));
  return limit - count(text);
}

/** How many characters a text has. */
export function count(text: string): number {
  let n = 0;
  for (let at = 0; at < text.length; at++, n++) if (isPair(text, at)) at++;
  return n;
}

/** What is sent of what was written: without the space around it, and without what no UTF-8 can carry. */
export function cleaned(text: string): string {
  return text
    .replaceAll("\r\n", "\n")
    .replaceAll("\r", "\n")
    .replaceAll("\0", "")
    .replace(/\p{Cs}/gu, "\uFFFD")
    .replace(/^(?:[^\S\n]*\n)+/, "")
    .trimEnd();
}

/**
 * The text in as few parts as can be had that each fit a message, cut after a paragraph, a line, a sentence or a word, in that
 * order of preference, and inside a word only where nothing else is left. Nothing but the space at the cuts is lost.
 */
export function split(text: string, limit: number): string[] {
  const parts: string[] = [];
  let rest = cleaned(text);
  while (rest !== "") {
    const most = fitting(rest, limit);
    const cut = most === rest.length ? most : edge(rest, most);
    const part = cleaned(rest.slice(0, cut));
    if (part !== "") parts.push(part);
    const line = rest[cut - 1] === "\n"; // it may be indented; else what comes is the space between two words
    rest = rest.slice(cut);
    rest = rest.slice((line ? /^(?:[^\S\n]*\n)*/ : /^[^\S\n]*(?:\n(?:[^\S\n]*\n)*)?/).exec(rest)![0].length);
  }
  return parts;
}

/** Where a text may be cut, the best first. Each cuts behind what it matches. */
const edges = [/\n[^\S\n]*\n/g, /\n/g, /[.!?…。！？]["'”’)]*\s/g, /\s/g];

/** The best place to cut at or before most; a part is at least half full unless only a word's inside is left. */
function edge(text: string, most: number): number {
  const head = text.slice(0, most + 1);
  for (const kind of edges) {
    let best = 0;
    for (const match of head.matchAll(kind)) {
      const cut = match.index + match[0].length;
      if (match.index <= most && match[0].trimEnd().length + match.index <= most) best = Math.min(cut, most);
    }
    if (best >= most / 2) return best;
  }
  return mark(text, most);
}

/** most, moved before a character that it would tear: an emoji of several code points, a letter and its accent. */
function mark(text: string, most: number): number {
  const from = Math.max(0, most - 64);
  let cut = from;
  for (const { index } of new Intl.Segmenter().segment(text.slice(from, most + 64))) {
    if (from + index > most) break;
    cut = from + index;
  }
  return cut > 0 ? cut : most;
}

/** The length in UTF-16 units of the longest beginning of text that fits a message. */
function fitting(text: string, limit: number): number {
  let bytes = 0;
  let characters = 0;
  let at = 0;
  while (at < text.length) {
    const unit = text.charCodeAt(at);
    const pair = isPair(text, at);
    bytes += pair ? 4 : unit < 0x80 ? 1 : unit < 0x800 ? 2 : 3;
    characters++;
    if (bytes > MaxBodyBytes || characters > limit) return at;
    at += pair ? 2 : 1;
  }
  return at;
}

function isPair(text: string, at: number): boolean {
  const unit = text.charCodeAt(at);
  if (unit < 0xd800 || unit > 0xdbff) return false;
  const next = text.charCodeAt(at + 1);
  return next >= 0xdc00 && next <= 0xdfff;
}
