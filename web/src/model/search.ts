/** Finding what was said: on this device, which needs no network, and on the server, which knows more. */
import { inRuns } from "../db/acts";
import type { EntryRecord, Run } from "../db/schema";
import type { Found } from "../wire/wire.gen";
import type { Core } from "./core";
import type { Hit } from "./model";
import { Persons } from "./persons";

/** What is found at most. */
const MOST = 60;

/** Entries that are looked at in one transaction. */
const CHUNK = 500;

/** A text as it is compared: without case, accents and the forms of one letter. A search of part of a word finds it, in any script. */
export function plain(text: string): string {
  return text.normalize("NFKD").replace(/\p{M}+/gu, "").toLowerCase();
}

/** Whether a text has every word of a search in it. */
export function holds(text: string, words: readonly string[]): boolean {
  const bare = plain(text);
  return words.length > 0 && words.every((word) => bare.includes(word));
}

export function wordsOf(wanted: string): string[] {
  return plain(wanted).split(/\s+/u).filter((word) => word !== "");
}

/** Where the first word of a search stands in a text, in UTF-16 units; undefined: folding moved it. */
export function spanOf(text: string, words: readonly string[]): readonly [number, number] | undefined {
  for (const word of words) {
    const at = text.toLowerCase().indexOf(word);
    if (at >= 0) return [at, at + word.length];
  }
  return undefined;
}

/** What this device holds, the newest first. */
export async function here(core: Core, wanted: string, only?: string): Promise<Hit[]> {
  const words = wordsOf(wanted);
  if (words.length === 0) return [];
  const conversations = await core.db.read((tx) => tx.all("conversations"));
  const found: EntryRecord[] = [];
  for (const at of conversations.filter((c) => c.told && c.to > 0 && (only === undefined || c.id === only)).sort((a, b) => b.at - a.at)) {
    for (let to = at.to; to >= at.from; to -= CHUNK) {
      const entries = await core.db.read((tx) => tx.between("entries", at.id, Math.max(at.from, to - CHUNK + 1), to));
      found.push(...entries.filter((e) => said(e, at.hidden) && holds(e.text!, words)));
      if (found.length >= MOST * 4) break;
    }
  }
  return hits(core, found.sort((a, b) => b.at - a.at).slice(0, MOST), (e) => spanOf(e.text!, words));
}

/** What the server finds. Rejects with a Failure. */
export async function there(core: Core, wanted: string, only?: string): Promise<Hit[]> {
  if (wordsOf(wanted).length === 0) return [];
  const answer = await core.api.search(wanted, only);
  const hidden = new Map((await core.db.read((tx) => tx.all("conversations"))).map((c) => [c.id, c.hidden]));
  const spans = new Map(answer.map((f) => [`${f.entry.conversation} ${f.entry.seq}`, f.spans[0]]));
  const shown = answer.filter((f) => !f.entry.deleted && !inRuns(hidden.get(f.entry.conversation), f.entry.seq));
  return hits(core, shown.map(recordOf), (e) => {
    const span = spans.get(`${e.conversation} ${e.seq}`);
    return span?.length === 2 ? [span[0]!, span[1]!] : undefined;
  });
}

function said(e: EntryRecord, hidden: readonly Run[] | undefined): boolean {
  return e.kind === "message" && !e.deleted && e.type === "text/plain" && e.text !== undefined && !inRuns(hidden, e.seq);
}

function recordOf({ entry }: Found): EntryRecord {
  return { conversation: entry.conversation, seq: entry.seq, kind: entry.kind, id: entry.id, sender: entry.sender, at: Date.parse(entry.at) || 0, text: entry.body?.text ?? "" };
}

async function hits(core: Core, entries: readonly EntryRecord[], span: (e: EntryRecord) => readonly [number, number] | undefined): Promise<Hit[]> {
  const persons = new Persons();
  await core.db.read((tx) => persons.learn(tx, entries.map((e) => e.sender)));
  return entries.map((e): Hit => {
    const at = span(e);
    return { conversation: e.conversation, seq: e.seq, key: e.id, sender: persons.of(e.sender), at: e.at, text: e.text ?? "", ...(at ? { span: at } : {}) };
  });
}
