/**
 * A database in memory: for browsers that give a page no IndexedDB (some private windows), where everything lasts as long as the tab.
 */
import type { Engine, Key, Tx } from "./engine";
import { keyPaths, MAX_SEQ, storeNames, type StoreName, type Stores } from "./schema";

type Any = Stores[StoreName];

/** One store: records by their keys, and the keys in order. */
class Shelf {
  readonly records = new Map<string, Any>();
  private keys: string[] = [];

  put(key: string, record: Any): void {
    if (!this.records.has(key)) this.keys.splice(this.at(key), 0, key);
    this.records.set(key, record);
  }

  delete(key: string): void {
    if (this.records.delete(key)) this.keys.splice(this.at(key), 1);
  }

  clear(): void {
    this.records.clear();
    this.keys = [];
  }

  /** The keys from..to, both included. */
  between(from: string, to: string): string[] {
    const first = this.at(from);
    let end = first;
    while (end < this.keys.length && this.keys[end]! <= to) end++;
    return this.keys.slice(first, end);
  }

  /** Where key is, or would be. */
  private at(key: string): number {
    let low = 0;
    let high = this.keys.length;
    if (high > 0 && this.keys[high - 1]! < key) return high; // logs grow at their end
    while (low < high) {
      const mid = (low + high) >>> 1;
      if (this.keys[mid]! < key) low = mid + 1;
      else high = mid;
    }
    return low;
  }
}

/** What several engines may share, as tabs share a disk. */
export class Memory {
  readonly shelves = Object.fromEntries(storeNames.map((name) => [name, new Shelf()])) as Record<StoreName, Shelf>;
  private turn: Promise<unknown> = Promise.resolve();

  /** Runs work when everything asked for before is over. */
  serially<T>(work: () => Promise<T>): Promise<T> {
    const mine = this.turn.then(work);
    this.turn = mine.catch(() => undefined);
    return mine;
  }

  /** What is committed under that key. */
  peek<S extends StoreName>(store: S, key: Key): Stores[S] | undefined {
    return this.shelves[store].records.get(encode(key)) as Stores[S] | undefined;
  }

  /** All that is committed in a store. */
  peekAll<S extends StoreName>(store: S): Stores[S][] {
    return [...this.shelves[store].records.values()] as Stores[S][];
  }
}

/** encode makes keys strings that sort as IndexedDB sorts the keys. */
function encode(key: Key): string {
  if (typeof key === "string") return key;
  const [first, second] = key;
  return first + "\u0000" + (typeof second === "number" ? String(second).padStart(16, "0") : second);
}

function keyOf(store: StoreName, record: Any): string {
  const path = keyPaths[store];
  const fields = record as unknown as Record<string, string | number>;
  return typeof path === "string" ? (fields[path] as string) : encode([fields[path[0]] as string, fields[path[1]]!]);
}

/** A transaction: what it writes is held back until it commits. */
class MemoryTx implements Tx {
  private readonly changes = new Map<StoreName, Map<string, Any | undefined>>();

  constructor(
    private readonly memory: Memory,
    private readonly writes: boolean,
  ) {}

  async get<S extends StoreName>(store: S, key: Key): Promise<Stores[S] | undefined> {
    const at = encode(key);
    const changed = this.changes.get(store);
    if (changed?.has(at)) return changed.get(at) as Stores[S] | undefined;
    return this.memory.shelves[store].records.get(at) as Stores[S] | undefined;
  }

  async all<S extends StoreName>(store: S): Promise<Stores[S][]> {
    return this.range(store, "", "\uffff");
  }

  async of<S extends "folds" | "outbox" | "receipts">(store: S, conversation: string): Promise<Stores[S][]> {
    return this.range(store, conversation + "\u0000", conversation + "\u0000\uffff");
  }

  async between<S extends "entries" | "folds">(store: S, conversation: string, from: number, to: number): Promise<Stores[S][]> {
    return from > to ? [] : this.range(store, encode([conversation, from]), encode([conversation, to]));
  }

  put<S extends StoreName>(store: S, record: Stores[S]): void {
    this.change(store, keyOf(store, record), record);
  }

  delete(store: StoreName, key: Key): void {
    this.change(store, encode(key), undefined);
  }

  deleteBetween(store: "entries" | "folds", conversation: string, from: number, to: number): void {
    for (const key of this.keys(store, encode([conversation, from]), encode([conversation, Math.min(to, MAX_SEQ)]))) this.change(store, key, undefined);
  }

  clear(store: StoreName): void {
    for (const key of this.keys(store, "", "\uffff")) this.change(store, key, undefined);
  }

  commit(): void {
    for (const [store, changed] of this.changes) {
      const shelf = this.memory.shelves[store];
      for (const [key, record] of changed) {
        if (record === undefined) shelf.delete(key);
        else shelf.put(key, record);
      }
    }
  }

  private change(store: StoreName, key: string, record: Any | undefined): void {
    if (!this.writes) throw new Error("a transaction that reads cannot write");
    let changed = this.changes.get(store);
    if (!changed) this.changes.set(store, (changed = new Map()));
    changed.set(key, record);
  }

  private keys(store: StoreName, from: string, to: string): string[] {
    const keys = this.memory.shelves[store].between(from, to);
    const changed = this.changes.get(store);
    if (!changed) return keys;
    const all = new Set(keys);
    for (const [key, record] of changed) {
      if (key < from || key > to) continue;
      if (record === undefined) all.delete(key);
      else all.add(key);
    }
    return [...all].sort((a, b) => (a < b ? -1 : 1));
  }

  private range<S extends StoreName>(store: S, from: string, to: string): Stores[S][] {
    const records = this.memory.shelves[store].records;
    const changed = this.changes.get(store);
    return this.keys(store, from, to).map((key) => (changed?.has(key) ? changed.get(key) : records.get(key)) as Stores[S]);
  }
}

/** An engine over a Memory. */
export class MemoryEngine implements Engine {
  readonly lasting = false;

  constructor(protected readonly memory = new Memory()) {}

  read<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.memory.serially(() => work(new MemoryTx(this.memory, false)));
  }

  write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.memory.serially(async () => {
      const tx = new MemoryTx(this.memory, true);
      const result = await work(tx);
      await this.commit(tx);
      return result;
    });
  }

  /** If it rejects, nothing was written. */
  protected async commit(tx: { commit(): void }): Promise<void> {
    tx.commit();
  }

  async destroy(): Promise<void> {
    await this.write(async (tx) => storeNames.forEach((name) => tx.clear(name)));
  }

  close(): void {
    // Nothing is held but memory.
  }
}
