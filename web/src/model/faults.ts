/** Faults that T2 must find, each put in at a seam of the world: the product has no switch for them. */
import { vi } from "vitest";
import { Database, type Place } from "../db/database";
import type { Engine, Tx } from "../db/engine";
import type { Memory } from "../db/memory";
import type { EntryRecord } from "../db/schema";
import { TabEngine, type Browser, type Seams, type Tab } from "./fakeworld";

export interface SeededFault {
  readonly name: string;
  /** Puts the fault into worlds made with what it returns, until the mocks are restored. */
  plant(): Seams;
}

/** The cursor is committed in a transaction of its own, before what it stands for. */
class CursorFirst extends TabEngine {
  override async write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    let cursor: Parameters<Tx["put"]>[1] | undefined;
    const before = this.memory.peek("meta", "place");
    const probing = (tx: Tx): Tx => ({
      ...bound(tx),
      put: (store, record) => {
        if (store === "meta" && "cursor" in record && record.cursor !== null && before?.key === "place" && record.cursor !== before.cursor) cursor = record;
        tx.put(store, record);
      },
    });
    const refused = new Error("probe");
    await super
      .write(async (tx) => {
        await work(probing(tx));
        throw refused; // it was only to see
      })
      .catch(() => undefined);
    if (cursor) await super.write(async (tx) => tx.put("meta", cursor as never));
    return super.write((tx) => work({ ...bound(tx), get: async (store, key) => (cursor && store === "meta" && key === "place" ? (before as never) : tx.get(store, key)) }));
  }
}

/** What is written is read by everybody at once, and committed a while after. */
class ReadsUncommitted extends TabEngine {
  protected override async commit(tx: { commit(): void }): Promise<void> {
    const committed = this.tab.browser.committed;
    // The records are there; what the world takes for the commit comes later, or never.
    this.tab.browser.committed = () => undefined;
    await super.commit(tx).finally(() => (this.tab.browser.committed = committed));
    const puts = this.puts;
    this.tab.later(2, () => committed(puts));
  }
}

/** What is deleted is only marked so. */
class KeepsTheDeleted extends TabEngine {
  override write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    return super.write((tx) =>
      work({
        ...bound(tx),
        put: (store, record) => {
          if (store !== "entries" || !("deleted" in record)) return tx.put(store, record);
          const { text } = this.memory.peek("entries", [record.conversation, record.seq]) ?? {};
          tx.put(store, (text === undefined ? record : { ...record, text }) as typeof record);
        },
      }),
    );
  }
}

/** Acts are applied to entries whatever they were folded at. */
class FoldsBelow extends TabEngine {
  override write<T>(work: (tx: Tx) => Promise<T>): Promise<T> {
    const asOf = new Map<string, number>();
    return super.write((tx) =>
      work({
        ...bound(tx),
        get: async (store, key) => {
          const found = await tx.get(store, key);
          if (store !== "entries" || !found || !("asOf" in found) || found.asOf === undefined) return found;
          const { asOf: level, ...bare } = found;
          asOf.set(`${found.conversation} ${found.seq}`, level);
          return bare as typeof found;
        },
        put: (store, record) => {
          const level = store === "entries" && "seq" in record ? asOf.get(`${(record as EntryRecord).conversation} ${(record as EntryRecord).seq}`) : undefined;
          tx.put(store, level === undefined ? record : ({ ...record, asOf: level } as typeof record));
        },
      }),
    );
  }
}

function bound(tx: Tx): Tx {
  return {
    get: (store, key) => tx.get(store, key),
    all: (store) => tx.all(store),
    of: (store, conversation) => tx.of(store, conversation),
    between: (store, conversation, from, to) => tx.between(store, conversation, from, to),
    put: (store, record) => tx.put(store, record),
    delete: (store, key) => tx.delete(store, key),
    deleteBetween: (store, conversation, from, to) => tx.deleteBetween(store, conversation, from, to),
    clear: (store) => tx.clear(store),
  };
}

const engine = (make: new (memory: Memory, tab: Tab) => Engine) => (memory: Memory, tab: Tab) => new make(memory, tab);

export const faults: readonly SeededFault[] = [
  { name: "the cursor is kept before what it stands for is committed", plant: () => ({ engine: engine(CursorFirst) }) },
  {
    name: "a message leaves the outbox when it is sent, not when it is acknowledged",
    plant: () => ({
      sends: (frame, browser) => {
        if (frame.t === "post") browser.memory.shelves.outbox.delete(`${frame.conversation}\u0000${frame.id}`);
        return frame;
      },
    }),
  },
  {
    name: "a retry has another id",
    plant: () => {
      const tries = new Map<Browser, Map<string, number>>();
      return {
        sends: (frame, browser) => {
          if (frame.t !== "post") return frame;
          const seen = tries.get(browser) ?? new Map<string, number>();
          tries.set(browser, seen);
          const n = seen.get(frame.id) ?? 0;
          seen.set(frame.id, n + 1);
          return n === 0 ? frame : { ...frame, id: `${frame.id}-${n}` };
        },
      };
    },
  },
  {
    name: "a push is applied over a gap",
    plant: () => ({
      hears: (frame, { memory }) => {
        if (frame.t !== "entries" || frame.entries.length === 0) return;
        const at = memory.peek("conversations", frame.conversation);
        const first = frame.entries[0]!.seq;
        if (at && at.to > 0 && first > at.to + 1) memory.shelves.conversations.put(at.id, { ...at, to: first - 1 });
      },
    }),
  },
  {
    name: "two tabs lead, and neither is refused what the other has overtaken",
    plant: () => {
      const { changes, pushed, resync, welcome } = Database.prototype;
      const blindly = async (db: Database, place: Place): Promise<Place> => Object.assign(place, await db.place());
      vi.spyOn(Database.prototype, "changes").mockImplementation(async function (this: Database, place, ...rest) {
        return changes.call(this, await blindly(this, place), ...rest);
      });
      vi.spyOn(Database.prototype, "pushed").mockImplementation(async function (this: Database, place, ...rest) {
        return pushed.call(this, await blindly(this, place), ...rest);
      });
      vi.spyOn(Database.prototype, "resync").mockImplementation(async function (this: Database, place, ...rest) {
        return resync.call(this, await blindly(this, place), ...rest);
      });
      vi.spyOn(Database.prototype, "welcome").mockImplementation(async function (this: Database, place, ...rest) {
        return welcome.call(this, await blindly(this, place), ...rest);
      });
      return { noLocks: true };
    },
  },
  { name: "a deletion leaves what was said on the device", plant: () => ({ engine: engine(KeepsTheDeleted) }) },
  { name: "an act is applied below the head at which its target was folded", plant: () => ({ engine: engine(FoldsBelow) }) },
  { name: "what is not committed yet is shown", plant: () => ({ engine: engine(ReadsUncommitted) }) },
];
