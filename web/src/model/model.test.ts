import "fake-indexeddb/auto";
import { IDBFactory } from "fake-indexeddb";
import { describe, expect, it, vi } from "vitest";
import { Failure } from "../wire/failure";
import { IdbEngine } from "../db/idb";
import { FakeServer } from "./fakeserver";
import { Browser, chance, Clock, settled, TabEngine, type Seams } from "./fakeworld";
import type { Message, Stretch } from "./model";

async function world(seams: Seams = {}, idle = settled) {
  const clock = new Clock();
  clock.idle = idle;
  const server = new FakeServer(["u-ann", "u-bob", "u-cid"]);
  server.create("c1", "direct", ["u-ann", "u-bob"]);
  server.now = () => clock.now;
  server.unsettled = () => void clock.at(20, () => server.settle());
  const browser = new Browser(clock, server, chance(1), seams);
  const tab = browser.open();
  await clock.pass(10);
  const signing = tab.model.signIn({ handle: "ann", password: "correct horse" });
  await clock.pass(200);
  await signing;
  return { clock, server, browser, tab };
}

const texts = (s: Stretch | undefined) => (s?.items ?? []).filter((i): i is Message => i.kind === "message").map((m) => m.text);

describe("a device", () => {
  it("signs in, lists, opens, sends and receives", async () => {
    const { clock, server, tab } = await world();
    expect(tab.model.account.now).toMatchObject({ state: "in", me: { handle: "ann" } });
    expect(tab.model.connection.now).toEqual({ state: "online" });
    expect(tab.model.conversations.now).toMatchObject([{ id: "c1", title: "BOB", unread: 0 }]);
    const timeline = tab.model.open("c1");
    await clock.pass(100);
    expect(timeline.state.now).toMatchObject({ atStart: true, atEnd: true, items: [{ kind: "notice", what: "created" }] });
    void timeline.send("hello");
    await clock.pass(0);
    expect(timeline.state.now?.items.at(-1)).toMatchObject({ text: "hello", receipt: "pending", seq: 0 });
    await clock.pass(50);
    expect(timeline.state.now?.items.at(-1)).toMatchObject({ text: "hello", receipt: "sent", seq: 2 });
    server.say("c1", "u-bob", "b1", "hi");
    await clock.pass(50);
    expect(texts(timeline.state.now)).toEqual(["hello", "hi"]);
    expect(tab.model.conversations.now).toMatchObject([{ unread: 1, last: { text: "hi", mine: false, sender: "BOB" } }]);
    timeline.seen(3);
    await clock.pass(1000);
    expect(tab.model.conversations.now).toMatchObject([{ unread: 0 }]);
    expect(server.row("u-ann", "c1")).toMatchObject({ read: 3, delivered: 3 });
    server.mark("u-bob", "c1", 2, 0);
    await clock.pass(50);
    expect(timeline.state.now?.items[1]).toMatchObject({ receipt: "delivered" });
    server.mark("u-bob", "c1", 3, 3);
    await clock.pass(50);
    expect(timeline.state.now?.items[1]).toMatchObject({ receipt: "read" });
    await tab.close();
  });

  it("sends what was written offline, in order and once, after a reload", async () => {
    const { clock, server, browser, tab } = await world();
    browser.setNetwork(false);
    await clock.pass(1000);
    const timeline = tab.model.open("c1");
    for (const text of ["one", "two", "three"]) void timeline.send(text);
    await clock.pass(120_000);
    expect(tab.model.connection.now.state).toBe("offline");
    tab.kill();
    const again = browser.open();
    await clock.pass(100);
    expect(await again.model.unsent()).toBe(3);
    const reopened = again.model.open("c1");
    await clock.pass(100);
    expect(texts(reopened.state.now)).toEqual(["one", "two", "three"]);
    browser.setNetwork(true);
    await clock.pass(5_000);
    expect(server.log("c1")!.entries.map((e) => e.body?.text).slice(1)).toEqual(["one", "two", "three"]);
    expect(reopened.state.now?.items.slice(1)).toMatchObject([1, 2, 3].map(() => ({ receipt: "sent", written: expect.any(Number) })));
    await again.close();
  });

  it("does the same with IndexedDB", async () => {
    vi.stubGlobal("indexedDB", new IDBFactory());
    // Its transactions take many turns of the event loop.
    const idle = async (): Promise<void> => {
      for (let turns = 0; turns < 300; turns++) await settled();
    };
    const { clock, server, browser, tab } = await world({ engine: () => new IdbEngine() }, idle);
    const timeline = tab.model.open("c1");
    await clock.pass(100);
    browser.setNetwork(false);
    void timeline.send("one");
    void timeline.send("two");
    await clock.pass(1_000);
    expect(texts(timeline.state.now)).toEqual(["one", "two"]);
    await tab.close();
    const again = browser.open();
    await clock.pass(100);
    browser.setNetwork(true);
    await clock.pass(2_000);
    server.say("c1", "u-bob", "b1", "hi");
    const reopened = again.model.open("c1");
    await clock.pass(500);
    expect(texts(reopened.state.now)).toEqual(["one", "two", "hi"]);
    expect(server.log("c1")!.entries.map((e) => e.body?.text).slice(1)).toEqual(["one", "two", "hi"]);
    expect(again.model.conversations.now).toMatchObject([{ unread: 1, last: { text: "hi" } }]);
    server.restore((log) => log.entries.length);
    await clock.pass(5_000);
    expect(texts(reopened.state.now)).toEqual(["one", "two", "hi"]);
    await again.close();
    vi.unstubAllGlobals();
  });

  it("has one connection for two tabs, and the other takes over when its holder goes", async () => {
    const { clock, server, browser, tab } = await world();
    const second = browser.open();
    await clock.pass(100);
    expect(server.sessions.size).toBe(1);
    expect(second.model.connection.now).toEqual({ state: "online" });
    const timeline = second.model.open("c1");
    void timeline.send("from the second");
    server.say("c1", "u-bob", "b1", "hi");
    await clock.pass(200);
    expect(texts(timeline.state.now)).toEqual(["hi", "from the second"]);
    tab.kill();
    await clock.pass(1000);
    expect(server.sessions.size).toBe(1);
    server.say("c1", "u-bob", "b2", "still there?");
    await clock.pass(200);
    expect(texts(timeline.state.now).at(-1)).toBe("still there?");
    await second.close();
    expect(server.sessions.size).toBe(0);
  });

  it("goes through a long history page by page, and keeps what it showed", async () => {
    const { clock, server, tab } = await world();
    await tab.close();
    for (let i = 2; i <= 1_050; i++) server.say("c1", "u-bob", `b${i}`, `${i}`, false);
    server.mark("u-ann", "c1", 1_000, 1_000);
    const again = tab.browser.open();
    await clock.pass(2_000);
    const timeline = again.model.open("c1");
    await clock.pass(500);
    expect(timeline.state.now).toMatchObject({ unreadFrom: 1_001, atStart: false, atEnd: true, conversation: { unread: 50 } });
    const first = timeline.state.now!.items;
    for (let pages = 0; !timeline.state.now!.atStart; pages++) {
      expect(pages).toBeLessThan(12);
      const loading = timeline.loadOlder();
      await clock.pass(200);
      await loading;
    }
    expect(timeline.state.now!.items).toHaveLength(1_050);
    // What was shown is the same object: nothing on the screen is made anew.
    expect(timeline.state.now!.items.slice(-first.length).every((item, i) => item === first[i])).toBe(true);
    await again.close();
  });

  it("says why older history cannot be had, and has it when it is asked again", async () => {
    const { clock, server, tab } = await world();
    await tab.close();
    for (let i = 2; i <= 1_300; i++) server.say("c1", "u-bob", `b${i}`, `${i}`, false);
    const again = tab.browser.open();
    await clock.pass(2_000);
    const timeline = again.model.open("c1");
    await clock.pass(500);
    again.browser.loss = 1;
    const failing = timeline.loadOlder();
    await clock.pass(0);
    expect(timeline.state.now).toMatchObject({ loading: true });
    await clock.pass(100);
    await failing;
    expect(timeline.state.now).toMatchObject({ loading: false, stuck: { code: "offline" } });
    again.browser.loss = 0;
    const shown = timeline.state.now!.items.length;
    const loading = timeline.loadOlder();
    await clock.pass(100);
    await loading;
    expect(timeline.state.now!.items.length).toBeGreaterThan(shown);
    expect(timeline.state.now).not.toHaveProperty("stuck");
    await again.close();
  });

  it("keeps drafts, also over a reload; sending takes them away", async () => {
    const { clock, browser, tab } = await world();
    const timeline = tab.model.open("c1");
    timeline.keepDraft("half a th");
    timeline.keepDraft("half a thought");
    await clock.pass(500);
    expect(tab.model.conversations.now[0]?.draft).toBe("half a thought");
    tab.kill();
    const again = browser.open();
    await clock.pass(200);
    const reopened = again.model.open("c1");
    expect(reopened.draft).toBe("half a thought");
    reopened.keepDraft("half a thought more");
    void reopened.send("the whole thought");
    await clock.pass(1_000);
    expect(again.model.conversations.now[0]?.draft).toBe("");
    await again.close();
  });

  it("shows what the server will never take as failed; it can be sent again as another message, or given up", async () => {
    const { clock, server, tab } = await world();
    const timeline = tab.model.open("c1");
    const failed = () => timeline.state.now!.items.at(-1) as Message;
    for (const text of ["one", "two"]) {
      server.refusals.push({ code: "forbidden" });
      void timeline.send(text);
      await clock.pass(200);
      expect(failed()).toMatchObject({ text, receipt: "failed", failure: { code: "forbidden" }, seq: 0 });
    }
    const { key } = failed();
    void timeline.discard(key);
    await clock.pass(100);
    expect(tab.model.conversations.now[0]?.draft).toBe("two");
    const one = failed().key;
    void timeline.sendAgain(one);
    await clock.pass(200);
    expect(failed()).toMatchObject({ text: "one", receipt: "sent" });
    expect(failed().key).not.toBe(one);
    await tab.close();
  });

  it("waits as long as the server says before it sends again", async () => {
    const { clock, server, tab } = await world();
    server.refusals.push({ code: "rate_limited", retry_after_ms: 20_000 });
    void tab.model.open("c1").send("hello");
    await clock.pass(19_000);
    expect(server.log("c1")!.entries).toHaveLength(1);
    await clock.pass(10_000);
    expect(server.log("c1")!.entries).toHaveLength(2);
    await tab.close();
  });

  it("that is signed out from elsewhere keeps everything for the same person", async () => {
    const { clock, browser, server, tab } = await world();
    const timeline = tab.model.open("c1");
    browser.setNetwork(false);
    void timeline.send("kept");
    await clock.pass(100);
    browser.user = undefined; // the session is gone
    browser.setNetwork(true);
    await clock.pass(5_000);
    expect(tab.model.account.now).toEqual({ state: "out", lost: true, handle: "ann", unsent: 1 });
    expect(server.sessions.size).toBe(0);
    const signing = tab.model.signIn({ handle: "ann", password: "correct horse" });
    await clock.pass(5_000);
    await signing;
    expect(tab.model.account.now.state).toBe("in");
    expect(server.log("c1")!.entries.at(-1)?.body?.text).toBe("kept");
    await tab.close();
  });

  it("erases everything when it signs out, also without a network, and tells the server when it can", async () => {
    const { clock, browser, tab } = await world();
    browser.setNetwork(false);
    void tab.model.open("c1").send("lost with the rest");
    await clock.pass(100);
    const leaving = tab.model.signOut();
    await clock.pass(20_000);
    await leaving;
    expect(tab.model.account.now).toEqual({ state: "out", lost: false, unsent: 0 });
    for (const store of ["conversations", "entries", "outbox", "people"] as const) expect(browser.memory.peekAll(store)).toEqual([]);
    expect(browser.memory.peek("meta", "leaving")).toBeDefined();
    await tab.close();
    browser.setNetwork(true);
    const again = browser.open();
    await clock.pass(1_000);
    expect(browser.memory.peek("meta", "leaving")).toBeUndefined();
    await again.close();
  });

  it("begins conversations, which are there then", async () => {
    const { clock, tab } = await world();
    const starting = tab.model.startDirect("cid");
    await clock.pass(200);
    const id = await starting;
    expect(tab.model.conversations.now.find((c) => c.id === id)).toMatchObject({ title: "CID", with: { handle: "cid" } });
    const nobody = tab.model.startDirect("nobody").catch((why: unknown) => why);
    await clock.pass(200);
    expect(await nobody).toMatchObject({ code: "not_found" });
    await tab.close();
  });

  it("has a way out when its database cannot be used", async () => {
    const { clock, browser, tab } = await world();
    vi.spyOn(TabEngine.prototype, "write").mockRejectedValueOnce(new Failure("unreadable", "UnknownError"));
    browser.server.say("c1", "u-bob", "b1", "hi");
    await clock.pass(100);
    expect(tab.model.account.now).toMatchObject({ state: "broken", failure: { code: "unreadable" } });
    const starting = tab.model.startOver();
    await clock.pass(1_000);
    await starting;
    expect(tab.model.account.now.state).toBe("in");
    expect(tab.model.conversations.now).toMatchObject([{ last: { text: "hi" } }]);
    await tab.close();
  });

  it("leaves nothing behind when it is closed", async () => {
    const { clock, server, tab } = await world();
    tab.model.open("c1").keepDraft("x");
    await tab.close();
    const before = server.sessions.size;
    await clock.pass(200_000);
    expect(before).toBe(0);
    expect(server.sessions.size).toBe(0);
    expect(clock.left).toBe(0);
  });
});
