/**
 * What a database must be able to do: transactions over all stores, one writer at a time.
 *
 * A transaction that resolves is committed and seen by every tab that reads afterwards; one that rejects has changed nothing. The work
 * of a transaction awaits nothing but its own tx: IndexedDB would commit under it.
 */
import type { StoreName, Stores } from "./schema";

export type Key = string | readonly [string, string | number];

export interface Tx {
  get<S extends StoreName>(store: S, key: Key): Promise<Stores[S] | undefined>;
  /** Every record of a store, in the order of keys. */
  all<S extends StoreName>(store: S): Promise<Stores[S][]>;
  /** Every record of a store whose key begins with that conversation. */
  of<S extends "folds" | "outbox" | "receipts">(store: S, conversation: string): Promise<Stores[S][]>;
  /** Records of numbers from..to, both included, ascending. */
  between<S extends "entries" | "folds">(store: S, conversation: string, from: number, to: number): Promise<Stores[S][]>;
  put<S extends StoreName>(store: S, record: Stores[S]): void;
  delete(store: StoreName, key: Key): void;
  deleteBetween(store: "entries" | "folds", conversation: string, from: number, to: number): void;
  clear(store: StoreName): void;
}

export interface Engine {
  /** Whether what is written outlives the page. */
  readonly lasting: boolean;
  read<T>(work: (tx: Tx) => Promise<T>): Promise<T>;
  /** durable: on the disk, not only with the system, when it resolves. */
  write<T>(work: (tx: Tx) => Promise<T>, durable?: boolean): Promise<T>;
  /** Erases everything, also a database that cannot be opened. */
  destroy(): Promise<void>;
  close(): void;
}

/** The device has no room. The transaction has changed nothing. */
export class NoRoom extends Error {
  override readonly name = "NoRoom";
}
