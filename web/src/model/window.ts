/** The stretch of a log that a timeline shows, kept up with the database at the cost of what changed. */
import { placeOf } from "../db/database";
import type { Tx } from "../db/engine";
import type { ConversationRecord, EntryRecord, OutboxRecord } from "../db/schema";
import { accountOf, reachedIn, told, type Told } from "./conversations";
import { PAGE } from "./history";
import { isAct } from "../db/acts";
import { itemOf, namedIn, withReceipts } from "./items";
import type { Item, Person, Quote } from "./model";
import { Persons, type Names } from "./persons";
import { nobody, type Reached } from "./receipts";

/** A timeline opens with what is unread, but no more than so many numbers. */
const OPEN = 500;

/** What one look at the database found. */
export interface View {
  readonly told: Told;
  readonly members: readonly (Person & { readonly role: string })[];
  readonly items: readonly Item[]; // of the log, without what waits
  readonly lo: number; // the window's numbers
  readonly hi: number;
  readonly life: number;
  readonly quotes: ReadonlyMap<number, Quote>;
}

interface Read {
  readonly view: Omit<View, "items" | "quotes">;
  readonly quoted: readonly EntryRecord[]; // what is answered or pinned, as it is held
  readonly fresh: boolean; // the window begins anew
  readonly older: readonly EntryRecord[];
  readonly newer: readonly EntryRecord[];
  readonly changed: readonly EntryRecord[]; // in the window, edited or deleted by newer ones
}

export class Window {
  readonly persons = new Persons();
  private life = 0;
  private lo = 0;
  private hi = 0;
  private to: Reached = nobody;
  private items: readonly Item[] = [];
  private wanted = PAGE; // numbers that the window reaches back from its end, as long as it was not scrolled
  private renamed = false;
  private hidden = ""; // what the owner deleted for themselves, as it was then

  private quotes: ReadonlyMap<number, Quote> = new Map();
  /** What is answered or pinned and not held: to be asked for. */
  readonly missing = new Set<number>();

  constructor(private readonly conversation: string) {}

  /** Asks for older numbers: the next look has so many more, as far as they are held. */
  grow(by: number): void {
    this.wanted = Math.max(this.wanted, this.hi - this.lo + 1 + by);
  }

  /** Users may be called otherwise now. */
  rename(): void {
    this.renamed = true;
  }

  /** Looks at the database. undefined: there is no such conversation, or nobody is signed in. */
  async look(read: <T>(work: (tx: Tx) => Promise<T>) => Promise<T>): Promise<View | undefined> {
    const renamed = this.renamed;
    this.renamed = false;
    if (renamed) this.persons.forget();
    const found = await read((tx) => this.read(tx, renamed));
    if (!found) return undefined;
    for (const e of found.quoted) {
      this.quotes = new Map(this.quotes).set(e.seq, quoteOf(e, e.seq, this.persons.of));
      this.missing.delete(e.seq);
    }
    for (const { ref, kind } of found.newer) {
      if (ref === undefined || !isAct(kind) || kind === "reaction" || found.quoted.some((e) => e.seq === ref) || !this.quotes.has(ref)) continue;
      const quotes = new Map(this.quotes);
      quotes.delete(ref);
      this.quotes = quotes;
      this.missing.add(ref);
    }
    return { ...found.view, items: this.fold(found), quotes: this.quotes };
  }

  private async read(tx: Tx, renamed: boolean): Promise<Read | undefined> {
    const account = await accountOf(tx);
    const t = account && (await told(tx, this.conversation, account.me));
    if (!t) return undefined;
    const { life } = await placeOf(tx);
    const { at } = t;
    const gone = this.hi === 0 || life !== this.life || at.from > this.lo || at.to < this.hi;
    const hidden = JSON.stringify(at.hidden ?? []);
    const fresh = gone || renamed || hidden !== this.hidden;
    this.hidden = hidden;
    const lo = Math.max(at.from, gone ? this.opening(at) : Math.min(this.lo, this.hi - this.wanted + 1));
    const between = (from: number, to: number): Promise<EntryRecord[]> => tx.between("entries", at.id, from, to);
    const newer = at.to === 0 ? [] : await between(fresh ? lo : this.hi + 1, at.to);
    const older = fresh ? [] : await between(lo, this.lo - 1);
    const changed: EntryRecord[] = [];
    for (const { ref, kind } of fresh ? [] : newer) {
      if (ref === undefined || !isAct(kind) || ref < this.lo || ref > this.hi) continue;
      const target = await tx.get("entries", [at.id, ref]);
      if (target) changed.push(target);
    }
    await this.persons.learn(tx, [t.me.id, ...[...newer, ...older, ...changed].flatMap(namedIn), ...(t.members?.members.map((m) => m.user) ?? [])]);
    const quoted = await this.quoted(tx, at, [...newer, ...older], [...newer, ...changed], fresh, t.waiting);
    await this.persons.learn(tx, quoted.map((e) => e.sender));
    const members = t.members?.members.map(({ user, role }) => ({ ...this.persons.of(user), role })) ?? [];
    return { view: { told: t, members, lo, hi: at.to, life }, fresh, older, newer, changed, quoted };
  }

  /** What is answered or pinned, and was not read yet or has changed. */
  private async quoted(tx: Tx, at: ConversationRecord, read: readonly EntryRecord[], news: readonly EntryRecord[], fresh: boolean, waiting: readonly OutboxRecord[]): Promise<EntryRecord[]> {
    const wanted = new Set<number>();
    for (const seq of [...read.map((e) => e.replyTo), ...(at.pins ?? []), ...waiting.map((w) => w.replyTo)]) if (seq && (fresh || !this.quotes.has(seq))) wanted.add(seq);
    for (const { ref } of news) if (ref !== undefined && this.quotes.has(ref)) wanted.add(ref);
    const found: EntryRecord[] = [];
    for (const seq of wanted) {
      const held = seq >= at.from && seq <= at.to ? await tx.get("entries", [at.id, seq]) : undefined;
      if (held?.kind === "message") found.push(held);
      else if (!this.quotes.has(seq) || fresh) this.missing.add(seq);
    }
    return found;
  }

  /** An entry that is not held, as it was just asked for. Nothing else keeps it: an act on it makes it be asked for again. */
  quote(entry: EntryRecord | undefined, seq: number): void {
    this.quotes = new Map(this.quotes).set(seq, quoteOf(entry, seq, this.persons.of));
    this.missing.delete(seq);
  }

  /** Where a window begins: with a page, and what is unread. */
  private opening(at: ConversationRecord): number {
    this.wanted = PAGE;
    return Math.max(at.to - OPEN + 1, Math.min(at.to - PAGE + 1, at.unread > 0 ? at.read + 1 : at.to));
  }

  private fold({ view, fresh, older, newer, changed }: Read): readonly Item[] {
    const to = reachedIn(view.told);
    const make = (entries: readonly EntryRecord[]): Item[] =>
      entries.flatMap((e) => itemOf(e, view.told.me.id, this.persons.of, to, view.told.at.hidden) ?? []);
    let items = fresh ? [] : withReceipts(this.items, this.to, to);
    if (changed.length > 0) {
      const made = new Map(make(changed).map((item) => [item.seq, item]));
      items = items.map((item) => made.get(item.seq) ?? item);
    }
    if (older.length > 0) items = [...make(older), ...items];
    if (newer.length > 0) items = [...items, ...make(newer)];
    Object.assign(this, { life: view.life, lo: view.lo, hi: view.hi, to, items });
    return items;
  }
}

function quoteOf(e: EntryRecord | undefined, seq: number, names: Names): Quote {
  if (!e || e.kind !== "message") return { seq, text: "", deleted: false };
  return { seq, sender: names(e.sender), text: e.type === "text/plain" ? (e.text ?? "") : "", deleted: e.deleted ?? false };
}
