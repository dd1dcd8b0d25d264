import { describe, expect, it } from "vitest";
import type { Entry, Row } from "../wire/wire.gen";
import { Database, Fault, Stale, type Place } from "./database";
import { NoRoom } from "./engine";
import { Memory, MemoryEngine } from "./memory";

const me = { id: "u-ann", handle: "ann", name: "Ann" };
const bob = { id: "u-bob", handle: "bob", name: "Bob" };

const entry = (seq: number, more: Partial<Entry> = {}): Entry => ({
  conversation: "c", seq, kind: "message", id: `b${seq}`, sender: bob.id, device: "d", at: new Date(seq * 1000).toISOString(), body: { type: "text/plain", text: `text ${seq}` }, ...more,
});
const run = (from: number, to: number): Entry[] => Array.from({ length: to - from + 1 }, (_, i) => entry(from + i));
const row = (head: number, pos: number, more: Partial<Row> = {}): Row => ({
  id: "c", kind: "direct", title: "Bob", with: bob, head, unread: 0, read: 0, delivered: 0, last: null, pos, muted: false, ...more,
});

/** A database whose commits can be refused for want of room. */
class Full extends MemoryEngine {
  refuse = 0;

  protected override async commit(tx: { commit(): void }): Promise<void> {
    if (this.refuse-- > 0) throw new NoRoom("full");
    tx.commit();
  }
}

async function device() {
  const memory = new Memory();
  const engine = new Full(memory);
  const db = new Database(engine);
  await db.signIn(me, "dev", false);
  const place: Place = await db.place();
  await db.welcome(place, "e1", { frame: 1, text: 1000, body_bytes: 1, members: 10 });
  const conversation = () => memory.peek("conversations", "c")!;
  const seqs = () => memory.peekAll("entries").map((e) => e.seq);
  return { memory, engine, db, place, conversation, seqs };
}

describe("what is pushed", () => {
  it("follows the run, and over a gap is only a reason to ask", async () => {
    const { db, place, conversation, seqs } = await device();
    await db.pushed(place, "c", run(1, 2), 2);
    await db.pushed(place, "c", run(2, 3), 3); // one of them is known
    expect(conversation()).toMatchObject({ from: 1, to: 3, head: 3, start: true });
    await db.pushed(place, "c", run(6, 7), 7);
    expect(conversation()).toMatchObject({ from: 1, to: 3, head: 7, last: { seq: 7, text: "text 7" } });
    expect(seqs()).toEqual([1, 2, 3]);
  });

  it("is refused when a number is another entry: what is held is of another log", async () => {
    const { db, place, seqs } = await device();
    await db.pushed(place, "c", run(1, 2), 2);
    await expect(db.pushed(place, "c", [entry(2, { id: "other" }), entry(3)], 3)).rejects.toBeInstanceOf(Fault);
    expect(seqs()).toEqual([1, 2]);
  });

  it("takes an own message out of the outbox in the same commit, and remembers when it was written", async () => {
    const { db, memory, place } = await device();
    await db.enqueue("c", "m1", "hello", 500);
    await db.pushed(place, "c", [entry(1, { id: "m1", sender: me.id })], 1);
    expect(memory.peekAll("outbox")).toEqual([]);
    expect(memory.peek("entries", ["c", 1])).toMatchObject({ id: "m1", written: 500 });
  });
});

describe("rows and the cursor", () => {
  it("move together, and only from where the connection stood", async () => {
    const { db, memory, place, conversation } = await device();
    const other = await db.place();
    await db.changes(place, [row(4, 1, { unread: 2 })], "e1.1", true);
    expect(memory.peek("meta", "place")).toMatchObject({ cursor: "e1.1" });
    expect(conversation()).toMatchObject({ head: 4, to: 0, unread: 2 });
    // The connection of a tab that was overtaken: its cursor never saw that row.
    await expect(db.changes(other, [row(5, 2)], "e1.2", true)).rejects.toBeInstanceOf(Stale);
    expect(memory.peek("meta", "place")).toMatchObject({ cursor: "e1.1" });
  });

  it("never go back to an older row", async () => {
    const { db, place, conversation } = await device();
    await db.details(place.life, { ...row(5, 9), members: [{ user: me.id, role: "member" }, { user: bob.id, role: "member", handle: "bob", name: "Bob" }] });
    await db.changes(place, [row(3, 4, { unread: 3 })], "e1.4", true);
    expect(conversation()).toMatchObject({ pos: 9, rowHead: 5, unread: 0 });
  });

  it("count what came after the row, and not what was read since", async () => {
    const { db, place, conversation } = await device();
    await db.pushed(place, "c", run(1, 5), 5);
    await db.changes(place, [row(4, 1, { unread: 4 })], "e1.1", true);
    expect(conversation().unread).toBe(5); // number 5 is of no row yet
    expect(await db.markRead("c", 2)).toBe(true);
    expect(conversation()).toMatchObject({ read: 2, unread: 3 });
    expect(await db.markRead("c", 1)).toBe(false); // markers only move forward
    await db.changes(place, [row(5, 2, { unread: 3, read: 2 })], "e1.2", true);
    expect(conversation()).toMatchObject({ read: 2, unread: 3 });
  });
});

describe("an acknowledgement", () => {
  it("puts the message where it was committed, in one commit with its leaving the outbox", async () => {
    const { db, memory, place } = await device();
    await db.pushed(place, "c", run(1, 2), 2);
    await db.enqueue("c", "m1", "hello", 500);
    await db.acked(place.life, "c", "m1", 3, 3000);
    expect(memory.peekAll("outbox")).toEqual([]);
    expect(memory.peek("entries", ["c", 3])).toMatchObject({ id: "m1", text: "hello", sender: me.id });
    await db.pushed(place, "c", [entry(3, { id: "m1", sender: me.id })], 3); // its echo
    expect(memory.peekAll("entries")).toHaveLength(3);
  });

  it("over a gap is remembered until the entry comes", async () => {
    const { db, memory, place, conversation } = await device();
    await db.pushed(place, "c", run(1, 2), 2);
    await db.enqueue("c", "m1", "hello", 500);
    await db.acked(place.life, "c", "m1", 5, 5000);
    expect(memory.peek("outbox", ["c", "m1"])).toMatchObject({ acked: { seq: 5 } });
    expect(conversation()).toMatchObject({ to: 2, head: 5 });
    await db.history(place.life, "c", [...run(3, 4), entry(5, { id: "m1", sender: me.id })], { head: 0 });
    expect(memory.peekAll("outbox")).toEqual([]);
  });

  it("of an earlier life says nothing: the message is sent again", async () => {
    const { db, memory, place } = await device();
    const { life } = place;
    await db.pushed(place, "c", run(1, 2), 2);
    await db.enqueue("c", "m1", "hello", 500);
    expect(memory.peek("outbox", ["c", "m1"])).toMatchObject({ base: 2 });
    await db.resync(place, "e2");
    await db.acked(life, "c", "m1", 3, 3000);
    expect(memory.peek("outbox", ["c", "m1"])).toMatchObject({ id: "m1", base: 0 });
    expect(memory.peek("outbox", ["c", "m1"])).not.toHaveProperty("acked");
  });
});

describe("a resync", () => {
  it("drops what is held of the logs, and keeps what people wrote", async () => {
    const { db, memory, place, conversation } = await device();
    const { life } = place;
    await db.pushed(place, "c", run(1, 4), 4);
    await db.changes(place, [row(4, 1, { unread: 4 })], "e1.1", true);
    await db.enqueue("c", "m1", "hello", 500);
    await db.draft("c", "half a", 0, 1);
    await db.markRead("c", 3);
    await db.resync(place, "e2");
    expect(memory.peekAll("entries")).toEqual([]);
    expect(memory.peekAll("marks")).toEqual([]); // a number of another log marks nothing in this one
    expect(conversation()).toMatchObject({ title: "Bob", from: 0, to: 0, head: 0, unread: 0, stale: true });
    expect(memory.peekAll("outbox")).toHaveLength(1);
    expect(memory.peek("drafts", "c")).toMatchObject({ text: "half a" });
    expect(memory.peek("meta", "place")).toMatchObject({ cursor: null, epoch: "e2" });
    await expect(db.history(life, "c", run(1, 4), { head: 0 })).rejects.toBeInstanceOf(Stale);
  });

  it("forgets conversations that were not told again, unless somebody wrote there", async () => {
    const { db, memory, place } = await device();
    await db.changes(place, [row(1, 1), row(1, 2, { id: "gone" }), row(1, 3, { id: "written" })], "e1.3", true);
    await db.draft("written", "half a", 0, 1);
    await db.resync(place, "e2");
    await db.changes(place, [row(1, 1)], "e2.1", false);
    expect(memory.peek("conversations", "gone")).toBeDefined(); // there may be more to come
    expect(await db.changes(place, [], "e2.1", true)).toEqual(["gone"]);
    expect(memory.peekAll("conversations").map((c) => c.id)).toEqual(["c", "written"]);
  });
});

describe("history", () => {
  it("leads up to the run, or begins it anew when too much lies between", async () => {
    const { db, place, conversation, seqs } = await device();
    await db.pushed(place, "c", run(50, 51), 51);
    expect(conversation().start).toBe(false);
    await db.history(place.life, "c", run(48, 49), { head: 0 });
    expect(conversation()).toMatchObject({ from: 48, to: 51 });
    await db.history(place.life, "c", run(40, 45), { head: 0 }); // it does not touch the run
    expect(conversation()).toMatchObject({ from: 48, to: 51 });
    await db.history(place.life, "c", run(1, 47), { start: true, head: 0 });
    expect(conversation()).toMatchObject({ from: 1, start: true });
    await db.history(place.life, "c", run(5000, 5002), { leap: true, head: 0 });
    expect(conversation()).toMatchObject({ from: 5000, to: 5002, start: false });
    expect(seqs()).toEqual([5000, 5001, 5002]);
  });
});

describe("edits and deletions", () => {
  it("change what is held", async () => {
    const { db, memory, place } = await device();
    await db.pushed(place, "c", [...run(1, 2), entry(3, { kind: "edit", ref: 1, body: { type: "text/plain", text: "better" } }), entry(4, { kind: "delete", ref: 2, body: undefined as never })], 4);
    expect(memory.peek("entries", ["c", 1])).toMatchObject({ text: "better", edited: true });
    expect(memory.peek("entries", ["c", 2])).toMatchObject({ deleted: true });
    expect(memory.peek("entries", ["c", 2])).not.toHaveProperty("text");
  });

  it("take the content also from history that was read before and stored after", async () => {
    const { db, memory, place, conversation } = await device();
    await db.pushed(place, "c", [entry(3), entry(4, { kind: "delete", ref: 2, body: undefined as never })], 4);
    await db.history(place.life, "c", run(1, 2), { head: 0 });
    expect(memory.peek("entries", ["c", 2])).toMatchObject({ deleted: true });
    expect(memory.peek("entries", ["c", 2])).not.toHaveProperty("text");
    expect(conversation().last).toMatchObject({ seq: 3 });
  });

  it("take a deleted last message out of the list", async () => {
    const { db, place, conversation } = await device();
    await db.pushed(place, "c", run(1, 2), 2);
    await db.pushed(place, "c", [entry(3, { kind: "delete", ref: 2, body: undefined as never })], 3);
    expect(conversation().last).toMatchObject({ seq: 2, text: "" });
  });
});

describe("without room", () => {
  it("old entries of closed conversations go, and the write is done", async () => {
    const { db, engine, place, conversation, memory } = await device();
    await db.pushed(place, "c", run(1, 150), 150);
    await db.enqueue("c", "m1", "hello", 500);
    engine.refuse = 1;
    await db.draft("c", "half a", 0, 1);
    expect(memory.peek("drafts", "c")).toMatchObject({ text: "half a" });
    expect(conversation()).toMatchObject({ from: 51, to: 150, start: false });
    expect(memory.peekAll("entries")).toHaveLength(100);
    expect(memory.peekAll("outbox")).toHaveLength(1);
  });

  it("what is open stays, and if that is not enough it is said", async () => {
    const { db, engine, place, conversation } = await device();
    await db.pushed(place, "c", run(1, 150), 150);
    db.open = () => new Set(["c"]);
    engine.refuse = 1;
    await db.draft("c", "half a", 0, 1);
    expect(conversation()).toMatchObject({ from: 1 });
    engine.refuse = 100;
    await expect(db.draft("c", "half a word", 0, 1)).rejects.toMatchObject({ code: "unreadable" });
  });
});

describe("signing in", () => {
  it("as another erases what was left here; as the same person keeps it", async () => {
    const { db, memory, place } = await device();
    await db.pushed(place, "c", run(1, 2), 2);
    await db.enqueue("c", "m1", "hello", 500);
    await db.updateAccount((account) => ({ ...account, lost: true }));
    await db.signIn(me, "dev2", false);
    expect(memory.peekAll("outbox")).toHaveLength(1);
    await db.signIn(bob, "dev3", false);
    expect(memory.peekAll("outbox")).toEqual([]);
    expect(memory.peekAll("entries")).toEqual([]);
    await expect(db.pushed(place, "c", run(1, 2), 2)).rejects.toBeInstanceOf(Stale); // what was on its way to Ann
  });
});
