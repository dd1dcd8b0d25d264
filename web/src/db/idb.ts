/**
 * The database in IndexedDB.
 *
 * The connection is opened when it is first needed and again when it was lost: the browser may close it, and so does this tab when a
 * newer version in another one wants to upgrade.
 */
import { deleteDB, openDB, type IDBPDatabase, type IDBPTransaction } from "idb";
import { Failure } from "../wire/failure";
import { NoRoom, type Engine, type Key, type Tx } from "./engine";
import { storeNames, type StoreName, type Stores } from "./schema";

type Database = IDBPDatabase<unknown>;
type Upgrade = (db: Database) => void;

/**
 * What leads from each version to the next. Only ever append: devices come from every version there was. A migration names its stores
 * itself and takes nothing from the schema of today.
 */
const migrations: readonly Upgrade[] = [
  (db) => {
    for (const [name, keyPath] of [
      ["meta", "key"], ["conversations", "id"], ["members", "conversation"], ["people", "id"], ["drafts", "conversation"], ["marks", "conversation"],
      ["entries", ["conversation", "seq"]], ["folds", ["conversation", "ref"]], ["outbox", ["conversation", "id"]], ["receipts", ["conversation", "user"]],
    ] as const) {
      db.createObjectStore(name, { keyPath: keyPath as string | string[] });
    }
  },
  // Acts are folded on the device; a fold of before says what no server had said.
  (db) => {
    db.deleteObjectStore("folds");
    db.createObjectStore("folds", { keyPath: ["conversation", "ref"] });
    db.createObjectStore("contacts", { keyPath: "user" });
    db.createObjectStore("wishes", { keyPath: "conversation" });
  },
];

/** Whether this page may keep anything. */
export function available(): boolean {
  try {
    return typeof indexedDB !== "undefined" && indexedDB !== null;
  } catch {
    return false; // some browsers throw at the mere mention
  }
}

export class IdbEngine implements Engine {
  readonly lasting = true;
  private opened: Promise<Database> | undefined;

  constructor(private readonly name = "parley") {}

  read<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return this.run("readonly", work, "default");
  }

  write<T>(work: (tx: Tx) => Promise<T>, durable = false): Promise<T> {
    return this.run("readwrite", work, durable ? "strict" : "relaxed");
  }

  async destroy(): Promise<void> {
    this.close();
    try {
      await deleteDB(this.name);
    } catch (error) {
      throw unreadable(error);
    }
  }

  close(): void {
    const opened = this.opened;
    this.opened = undefined;
    void opened?.then(
      (db) => db.close(),
      () => undefined, // it never was open
    );
  }

  private async run<T>(mode: "readonly" | "readwrite", work: (tx: Tx) => Promise<T>, durability: IDBTransactionDurability): Promise<T> {
    try {
      return await this.attempt(mode, work, durability);
    } catch (error) {
      // The connection went before the transaction began: nothing was done, so it is done again.
      if (!(error instanceof DOMException) || error.name !== "InvalidStateError") throw classify(error);
    }
    this.close();
    try {
      return await this.attempt(mode, work, durability);
    } catch (error) {
      throw classify(error);
    }
  }

  private async attempt<T>(mode: "readonly" | "readwrite", work: (tx: Tx) => Promise<T>, durability: IDBTransactionDurability): Promise<T> {
    const db = await this.database();
    const transaction = db.transaction(storeNames, mode, { durability });
    const tx = new IdbTx(transaction as IDBPTransaction<unknown, StoreName[], "readwrite">);
    const done = transaction.done;
    done.catch(() => undefined); // it is awaited below; it may reject while the work runs
    try {
      const result = await work(tx);
      await done;
      return result;
    } catch (error) {
      abort(transaction);
      await done.catch(() => undefined); // nothing is read before it has ended
      throw transaction.error ?? error;
    }
  }

  private database(): Promise<Database> {
    if (this.opened) return this.opened;
    const opened = openDB(this.name, migrations.length, {
      upgrade: (db, from) => {
        for (const migrate of migrations.slice(from)) migrate(db);
      },
      // A newer version in another tab waits for this one to let go.
      blocking: () => this.forget(opened),
      terminated: () => this.forget(opened),
    });
    this.opened = opened;
    opened.catch(() => this.forget(opened));
    return opened;
  }

  private forget(opened: Promise<Database>): void {
    if (this.opened === opened) this.close();
  }
}

/** A transaction of IndexedDB. */
class IdbTx implements Tx {
  constructor(private readonly tx: IDBPTransaction<unknown, StoreName[], "readwrite">) {}

  get<S extends StoreName>(store: S, key: Key): Promise<Stores[S] | undefined> {
    return this.tx.objectStore(store).get(key as IDBValidKey) as Promise<Stores[S] | undefined>;
  }

  all<S extends StoreName>(store: S): Promise<Stores[S][]> {
    return this.tx.objectStore(store).getAll() as Promise<Stores[S][]>;
  }

  of<S extends "folds" | "outbox" | "receipts">(store: S, conversation: string): Promise<Stores[S][]> {
    // Arrays stand after every number and string.
    return this.tx.objectStore(store).getAll(IDBKeyRange.bound([conversation], [conversation, []])) as Promise<Stores[S][]>;
  }

  async between<S extends "entries" | "folds">(store: S, conversation: string, from: number, to: number): Promise<Stores[S][]> {
    if (from > to) return [];
    return (await this.tx.objectStore(store).getAll(IDBKeyRange.bound([conversation, from], [conversation, to]))) as Stores[S][];
  }

  put<S extends StoreName>(store: S, record: Stores[S]): void {
    this.forget(this.tx.objectStore(store).put(record));
  }

  delete(store: StoreName, key: Key): void {
    this.forget(this.tx.objectStore(store).delete(key as IDBValidKey));
  }

  deleteBetween(store: "entries" | "folds", conversation: string, from: number, to: number): void {
    if (from <= to) this.forget(this.tx.objectStore(store).delete(IDBKeyRange.bound([conversation, from], [conversation, to])));
  }

  clear(store: StoreName): void {
    this.forget(this.tx.objectStore(store).clear());
  }

  /** A request that fails aborts its transaction, and that is what is waited for. */
  private forget(request: Promise<unknown>): void {
    request.catch(() => undefined);
  }
}

function abort(transaction: { abort(): void }): void {
  try {
    transaction.abort();
  } catch {
    // It has ended already.
  }
}

function classify(error: unknown): unknown {
  if (!(error instanceof DOMException)) return error; // the work's own
  return error.name === "QuotaExceededError" ? new NoRoom(error.message) : unreadable(error);
}

function unreadable(error: unknown): Failure {
  return new Failure("unreadable", error instanceof Error ? error.name : "");
}
