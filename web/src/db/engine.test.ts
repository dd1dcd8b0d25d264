import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { beforeEach, describe, expect, it, vi } from "vitest";
import { Failure } from "../wire/failure";
import { NoRoom, type Engine } from "./engine";
import { IdbEngine } from "./idb";
import { Memory, MemoryEngine } from "./memory";
import type { EntryRecord, OutboxRecord } from "./schema";

const entry = (conversation: string, seq: number, id = `${conversation}${seq}`): EntryRecord => ({ conversation, seq, kind: "message", id, sender: "u", at: 0 });
const waiting = (conversation: string, id: string, order: number): OutboxRecord => ({ conversation, id, order, text: id, base: 0, written: 0 });

beforeEach(() => {
  vi.stubGlobal("indexedDB", new IDBFactory());
});

const engines: Record<string, () => Engine> = { IdbEngine: () => new IdbEngine(), MemoryEngine: () => new MemoryEngine(new Memory()) };

describe.each(Object.entries(engines))("%s", (_name, make) => {
  it("keeps what it is told, by key, in the order of keys", async () => {
    const engine = make();
    await engine.write(async (tx) => {
      for (const seq of [10, 2, 1, 9, 100]) tx.put("entries", entry("c", seq));
      tx.put("entries", entry("b", 5));
      tx.put("entries", entry("ca", 5));
      tx.put("outbox", waiting("c", "y", 1));
      tx.put("outbox", waiting("c", "x", 2));
      tx.put("outbox", waiting("ca", "z", 3));
    });
    const found = await engine.read(async (tx) => ({
      some: (await tx.between("entries", "c", 2, 10)).map((e) => e.seq),
      none: await tx.between("entries", "c", 11, 10),
      all: (await tx.all("entries")).map((e) => e.id),
      of: (await tx.of("outbox", "c")).map((row) => row.id),
      one: await tx.get("entries", ["c", 9]),
      nothing: await tx.get("entries", ["c", 3]),
    }));
    expect(found).toEqual({ some: [2, 9, 10], none: [], all: ["b5", "c1", "c2", "c9", "c10", "c100", "ca5"], of: ["x", "y"], one: entry("c", 9), nothing: undefined });
    engine.close();
  });

  it("sees in a transaction what was written in it, and deletes ranges", async () => {
    const engine = make();
    await engine.write(async (tx) => {
      for (let seq = 1; seq <= 6; seq++) tx.put("entries", entry("c", seq));
    });
    const seen = await engine.write(async (tx) => {
      tx.put("entries", entry("c", 7));
      tx.delete("entries", ["c", 1]);
      tx.deleteBetween("entries", "c", 3, 4);
      return (await tx.between("entries", "c", 0, 100)).map((e) => e.seq);
    });
    expect(seen).toEqual([2, 5, 6, 7]);
    await engine.write(async (tx) => {
      tx.clear("entries");
      tx.put("entries", entry("c", 8));
    });
    expect((await engine.read((tx) => tx.all("entries"))).map((e) => e.seq)).toEqual([8]);
    engine.close();
  });

  it("writes all of a transaction or nothing", async () => {
    const engine = make();
    const why = new Error("changed my mind");
    await expect(
      engine.write(async (tx) => {
        tx.put("entries", entry("c", 1));
        await tx.get("entries", ["c", 1]);
        throw why;
      }),
    ).rejects.toBe(why);
    expect(await engine.read((tx) => tx.all("entries"))).toEqual([]);
    engine.close();
  });

  it("runs writers one after the other", async () => {
    const engine = make();
    const add = () =>
      engine.write(async (tx) => {
        const at = await tx.get("meta", "order");
        tx.put("meta", { key: "order", last: (at?.key === "order" ? at.last : 0) + 1 });
      });
    await Promise.all(Array.from({ length: 20 }, add));
    expect(await engine.read((tx) => tx.get("meta", "order"))).toEqual({ key: "order", last: 20 });
    engine.close();
  });

  it("erases everything", async () => {
    const engine = make();
    await engine.write(async (tx) => tx.put("entries", entry("c", 1)));
    await engine.destroy();
    expect(await engine.read((tx) => tx.all("entries"))).toEqual([]);
    engine.close();
  });
});

describe("IdbEngine", () => {
  it("lets go for a newer version in another tab, and says so when it is asked again", async () => {
    const engine = new IdbEngine();
    await engine.write(async (tx) => tx.put("entries", entry("c", 1)));
    // A later version of the app upgrades: it waits for whoever holds the old one.
    const upgraded = await new Promise<IDBDatabase>((resolve, reject) => {
      const request = indexedDB.open("parley", 99);
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => reject(request.error as DOMException);
    });
    await expect(engine.read((tx) => tx.all("entries"))).rejects.toMatchObject({ name: "Failure", code: "unreadable", detail: "VersionError" });
    upgraded.close();
  });

  it("opens again after the browser closed it", async () => {
    const engine = new IdbEngine();
    await engine.write(async (tx) => tx.put("entries", entry("c", 1)));
    const close = vi.spyOn(IDBDatabase.prototype, "transaction").mockImplementationOnce(() => {
      throw new DOMException("the connection is closing", "InvalidStateError");
    });
    expect(await engine.read((tx) => tx.all("entries"))).toHaveLength(1);
    expect(close).toHaveBeenCalledTimes(2);
    engine.close();
  });

  it("says that there is no room, having changed nothing", async () => {
    const engine = new IdbEngine();
    await engine.write(async (tx) => tx.put("entries", entry("c", 1)));
    await expect(
      engine.write(async (tx) => {
        tx.put("entries", entry("c", 2));
        throw new DOMException("full", "QuotaExceededError");
      }),
    ).rejects.toBeInstanceOf(NoRoom);
    expect(await engine.read((tx) => tx.all("entries"))).toHaveLength(1);
    engine.close();
  });

  it("tells of a database that cannot be opened as unreadable", async () => {
    vi.spyOn(indexedDB, "open").mockImplementation(() => {
      throw new DOMException("broken", "UnknownError");
    });
    const engine = new IdbEngine();
    const why: unknown = await engine.read((tx) => tx.all("entries")).catch((e: unknown) => e);
    expect(why).toBeInstanceOf(Failure);
    expect(why).toMatchObject({ code: "unreadable" });
  });
});
