/** What people do with messages, groups and each other, on a device whose network comes and goes. */
import { describe, expect, it } from "vitest";
import { FakeServer } from "./fakeserver";
import { Browser, chance, Clock } from "./fakeworld";
import type { Message, Stretch } from "./model";

async function world() {
  const clock = new Clock();
  const server = new FakeServer(["u-ann", "u-bob", "u-cid"]);
  server.create("c1", "direct", ["u-ann", "u-bob"]);
  server.create("g1", "group", ["u-ann", "u-bob", "u-cid"], "Garden");
  server.now = () => clock.now;
  server.unsettled = () => void clock.at(20, () => server.settle());
  const browser = new Browser(clock, server, chance(1));
  const tab = browser.open();
  await clock.pass(10);
  const signing = tab.model.signIn({ handle: "ann", password: "correct horse" });
  await clock.pass(500);
  await signing;
  return { clock, server, browser, tab };
}

const messages = (s: Stretch | undefined) => (s?.items ?? []).filter((i): i is Message => i.kind === "message");

describe("acts", () => {
  it("made without a network show at once, survive a reload, and reach the server in order", async () => {
    const { clock, server, browser, tab } = await world();
    const timeline = tab.model.open("c1");
    void timeline.send("first");
    server.say("c1", "u-bob", "b1", "hello");
    await clock.pass(500);
    browser.setNetwork(false);
    await clock.pass(100);
    const [own] = messages(timeline.state.now).filter((m) => m.mine);
    const [theirs] = messages(timeline.state.now).filter((m) => !m.mine);
    void timeline.edit(own!.seq, "first, better");
    void timeline.react(theirs!.seq, "👍");
    void timeline.pin(theirs!.seq, true);
    void timeline.send("an answer", { replyTo: theirs!.seq });
    await clock.pass(100);
    const shown = (s: Stretch | undefined) => messages(s).map((m) => [m.text, m.edited ?? false, m.reactions?.map((r) => r.text).join() ?? ""]);
    const due = [["first, better", true, ""], ["hello", false, "👍"], ["an answer", false, ""]].sort();
    expect(shown(timeline.state.now).sort()).toEqual(due);
    expect(timeline.state.now?.pins).toEqual([theirs!.seq]);
    tab.kill();
    const again = browser.open();
    await clock.pass(200);
    const reopened = again.model.open("c1");
    await clock.pass(200);
    expect(shown(reopened.state.now).sort()).toEqual(due);
    browser.setNetwork(true);
    await clock.pass(5_000);
    expect(server.log("c1")!.raw.slice(-4).map((e) => e.kind)).toEqual(["edit", "reaction", "pin", "message"]);
    expect(shown(reopened.state.now).sort()).toEqual(due);
    expect(messages(reopened.state.now).every((m) => !m.acting)).toBe(true);
    expect(reopened.state.now?.quotes?.get(theirs!.seq)).toMatchObject({ text: "hello", sender: { handle: "bob" } });
    await again.close();
  });

  it("that the server refuses are told, and what they were about is as before", async () => {
    const { clock, server, browser, tab } = await world();
    const timeline = tab.model.open("c1");
    void timeline.send("mine");
    await clock.pass(300);
    const { seq } = messages(timeline.state.now)[0]!;
    browser.setNetwork(false);
    await clock.pass(100);
    void timeline.edit(seq, "changed");
    await clock.pass(100);
    server.point("c1", "u-ann", "elsewhere", seq); // another device of theirs was faster
    browser.setNetwork(true);
    await clock.pass(5_000);
    const refused = messages(timeline.state.now)[0]!;
    expect(refused).toMatchObject({ deleted: true, text: "", refused: [{ what: "edit", text: "changed", failure: { code: "conflict" } }] });
    void timeline.discard(refused.refused![0]!.key);
    await clock.pass(100);
    expect(messages(timeline.state.now)[0]).not.toHaveProperty("refused");
    await tab.close();
  });

  it("delete a message from the device, its quote and the list included", async () => {
    const { clock, server, browser, tab } = await world();
    server.say("c1", "u-bob", "b1", "a secret");
    await clock.pass(300);
    const timeline = tab.model.open("c1");
    await clock.pass(300);
    const { seq } = messages(timeline.state.now)[0]!;
    void timeline.send("what?", { replyTo: seq });
    await clock.pass(300);
    server.point("c1", "u-bob", "x1", seq, "another secret");
    await clock.pass(100);
    expect(timeline.state.now?.quotes?.get(seq)?.text).toBe("another secret");
    server.point("c1", "u-bob", "x2", seq);
    await clock.pass(500);
    expect(messages(timeline.state.now)[0]).toMatchObject({ deleted: true, text: "" });
    expect(timeline.state.now?.quotes?.get(seq)).toMatchObject({ deleted: true, text: "" });
    expect(JSON.stringify([...Object.values(browser.memory.shelves)].map((s) => [...s.records.values()]))).not.toContain("secret");
    await tab.close();
  });

  it("delete for oneself alone, at once and on all devices", async () => {
    const { clock, server, browser, tab } = await world();
    server.say("c1", "u-bob", "b1", "noise");
    await clock.pass(300);
    const timeline = tab.model.open("c1");
    await clock.pass(300);
    browser.setNetwork(false);
    void timeline.hide(2);
    await clock.pass(100);
    expect(messages(timeline.state.now)).toEqual([]);
    expect(tab.model.conversations.now.find((c) => c.id === "c1")).not.toHaveProperty("last");
    browser.setNetwork(true);
    await clock.pass(5_000);
    expect(server.row("u-ann", "c1").hidden).toEqual([[2, 2]]);
    expect(messages(timeline.state.now)).toEqual([]);
    expect(server.log("c1")!.entries).toHaveLength(2); // it is nobody else's business
    await tab.close();
  });
});

describe("what is withheld", () => {
  it("is nowhere: no bubble, no count, nothing in the list", async () => {
    const { clock, server, tab } = await world();
    server.contact("u-ann", "u-cid", "blocked", 1);
    server.say("g1", "u-cid", "x1", "look at me");
    await clock.pass(500);
    const timeline = tab.model.open("g1");
    await clock.pass(500);
    expect(timeline.state.now?.items.map((i) => i.kind)).toEqual(["notice"]);
    expect(tab.model.conversations.now.find((c) => c.id === "g1")).toMatchObject({ unread: 0 });
    expect(tab.model.conversations.now.find((c) => c.id === "g1")).not.toHaveProperty("last");
    await tab.close();
  });
});

describe("a group", () => {
  it("says who came, left and leads; who was removed keeps what they had and reads no more", async () => {
    const { clock, server, tab } = await world();
    const timeline = tab.model.open("g1");
    await clock.pass(500);
    expect(timeline.state.now?.members.map((m) => [m.handle, m.role])).toEqual([["ann", "owner"], ["bob", "member"], ["cid", "member"]]);
    const promoting = tab.model.setRole("g1", "u-bob", "admin");
    await clock.pass(500);
    await promoting;
    const removing = tab.model.removeMember("g1", "u-cid");
    await clock.pass(500);
    await removing;
    expect(timeline.state.now?.members.map((m) => [m.handle, m.role])).toEqual([["ann", "owner"], ["bob", "admin"]]);
    expect(timeline.state.now?.items.slice(1)).toMatchObject([{ what: "members", roles: [{ person: { handle: "bob" }, role: "admin" }] }, { what: "members", removed: [{ handle: "cid" }] }]);
    server.say("g1", "u-bob", "b1", "before");
    server.change("g1", "u-bob", "r1", { remove: ["u-ann"] });
    server.say("g1", "u-bob", "b2", "behind their back");
    await clock.pass(1_000);
    expect(timeline.state.now?.conversation).toMatchObject({ left: true });
    expect(messages(timeline.state.now).map((m) => m.text)).toEqual(["before"]);
    server.change("g1", "u-bob", "r2", { add: ["u-ann"] });
    server.say("g1", "u-bob", "b3", "welcome back");
    await clock.pass(2_000);
    expect(timeline.state.now?.conversation).not.toHaveProperty("left");
    expect(messages(timeline.state.now).map((m) => m.text)).toContain("welcome back");
    expect(messages(timeline.state.now).map((m) => m.text)).not.toContain("behind their back");
    await tab.close();
  });

  it("counts unread mentions apart", async () => {
    const { clock, server, tab } = await world();
    server.say("g1", "u-bob", "b1", "hi @ann", true, { mentions: ["u-ann"] });
    server.say("g1", "u-bob", "b2", "and all");
    await clock.pass(500);
    expect(tab.model.conversations.now.find((c) => c.id === "g1")).toMatchObject({ unread: 2, mentions: 1 });
    const timeline = tab.model.open("g1");
    await clock.pass(500);
    expect(messages(timeline.state.now)[0]).toMatchObject({ mentioned: true, mentions: [{ handle: "ann" }] });
    timeline.seen(3);
    await clock.pass(1_000);
    expect(tab.model.conversations.now.find((c) => c.id === "g1")).not.toHaveProperty("mentions");
    await tab.close();
  });
});

describe("what one wants of a conversation", () => {
  it("holds at once and without a network, and reaches the server after", async () => {
    const { clock, server, browser, tab } = await world();
    browser.setNetwork(false);
    await clock.pass(100);
    const now = tab.now();
    await Promise.all([tab.model.mute("c1", now + 60_000), tab.model.archive("c1", true), tab.model.pinConversation("g1", true), clock.pass(100)]);
    expect(tab.model.conversations.now).toMatchObject([{ id: "g1", pinned: true }, { id: "c1", muted: true, archived: true }]);
    browser.setNetwork(true);
    await clock.pass(5_000);
    expect(server.row("u-ann", "c1")).toMatchObject({ muted: true, archived: true, muted_until: new Date(now + 60_000).toISOString() });
    expect(browser.memory.peekAll("wishes")).toEqual([]);
    await clock.pass(60_000);
    expect(tab.model.conversations.now.find((c) => c.id === "c1")).toMatchObject({ muted: false }); // its time is over
    await tab.close();
  });

  it("takes drafts to other devices, the newest one", async () => {
    const { clock, server, tab } = await world();
    const timeline = tab.model.open("c1");
    timeline.keepDraft("half a th");
    await clock.pass(1_000);
    timeline.keepDraft("half a thought");
    await clock.pass(6_000);
    expect(server.row("u-ann", "c1").draft).toMatchObject({ text: "half a thought" });
    server.personal("u-ann", "c1", (before) => ({ ...before, draft: { text: "more, elsewhere", at: new Date(server.now()).toISOString() } }));
    await clock.pass(500);
    expect(tab.model.conversations.now.find((c) => c.id === "c1")?.draft).toBe("more, elsewhere");
    void timeline.send("the whole");
    await clock.pass(6_000);
    expect(server.row("u-ann", "c1").draft).toBeUndefined();
    expect(tab.model.conversations.now.find((c) => c.id === "c1")?.draft).toBe("");
    await tab.close();
  });
});

describe("contacts", () => {
  it("are decided without a network, and a block stands above what another device said", async () => {
    const { clock, server, browser, tab } = await world();
    const bob = { id: "u-bob", handle: "bob", name: "BOB" };
    browser.setNetwork(false);
    await clock.pass(100);
    await Promise.all([tab.model.decide(bob, "blocked"), clock.pass(100)]);
    expect(tab.model.contacts.now).toMatchObject([{ person: { handle: "bob" }, state: "blocked" }]);
    expect(tab.model.conversations.now.find((c) => c.id === "c1")).toMatchObject({ blocked: true });
    server.contact("u-ann", "u-bob", "accepted", 5);
    browser.setNetwork(true);
    await clock.pass(20_000);
    expect(server.stands("u-ann", "u-bob")).toBe("blocked");
    expect(browser.memory.peekAll("contacts")).toMatchObject([{ state: "blocked", rev: 6 }]);
    expect(browser.memory.peekAll("contacts")[0]).not.toHaveProperty("waiting");
    await Promise.all([tab.model.decide(bob, "none"), clock.pass(5_000)]);
    expect(server.stands("u-ann", "u-bob")).toBe("none");
    expect(tab.model.contacts.now).toEqual([]);
    await tab.close();
  });

  it("let a stranger in who is accepted", async () => {
    const { clock, server, tab } = await world();
    server.say("c1", "u-bob", "b1", "you do not know me");
    await clock.pass(500);
    expect(tab.model.conversations.now.find((c) => c.id === "c1")).toMatchObject({ request: true });
    const timeline = tab.model.open("c1");
    await clock.pass(500);
    timeline.seen(2);
    await clock.pass(1_000);
    expect(server.row("u-ann", "c1").read).toBe(1); // they are not told that it was read
    await Promise.all([tab.model.decide({ id: "u-bob", handle: "bob", name: "BOB" }, "accepted"), clock.pass(500)]);
    expect(tab.model.conversations.now.find((c) => c.id === "c1")).not.toHaveProperty("request");
    expect(server.stands("u-ann", "u-bob")).toBe("requested"); // they asked nothing: they are asked
    await clock.pass(1_000);
    expect(server.row("u-ann", "c1").read).toBe(2);
    await tab.close();
  });
});

describe("for a moment", () => {
  it("shows who is here and who types, in every tab, and nothing of it without a connection", async () => {
    const { clock, server, browser, tab } = await world();
    const second = browser.open();
    await clock.pass(200);
    const bob = server.connect("u-bob", () => undefined, () => undefined);
    bob.live = true;
    const end = second.model.watch(["u-bob"]);
    await clock.pass(100);
    expect(second.model.presence.now.get("u-bob")).toMatchObject({ online: true });
    const timeline = second.model.open("c1");
    await clock.pass(100);
    bob.receive({ t: "whisper", conversation: "c1", kind: "typing" });
    await clock.pass(100);
    expect(timeline.typing.now).toMatchObject([{ handle: "bob" }]);
    await clock.pass(6_000);
    expect(timeline.typing.now).toEqual([]); // it ends by itself
    bob.receive({ t: "whisper", conversation: "c1", kind: "typing" });
    await clock.pass(100);
    browser.setNetwork(false);
    await clock.pass(500);
    expect(timeline.typing.now).toEqual([]);
    expect(second.model.presence.now.size).toBe(0);
    end();
    await second.close();
    await tab.close();
  });
});

describe("search", () => {
  it("finds parts of words in any script on the device, and more on the server", async () => {
    const { clock, server, browser, tab } = await world();
    server.say("c1", "u-bob", "b1", "Die Gießkanne steht im Schuppen");
    server.say("c1", "u-bob", "b2", "東京で会いましょう");
    await clock.pass(500);
    const opened = tab.model.open("c1");
    await clock.pass(500);
    browser.setNetwork(false);
    expect(await tab.model.searchHere("kanne")).toMatchObject([{ conversation: "c1", seq: 2, sender: { handle: "bob" } }]);
    expect(await tab.model.searchHere("会い")).toMatchObject([{ seq: 3, span: [3, 5] }]);
    expect(await tab.model.searchHere("kanne, nie")).toEqual([]);
    browser.setNetwork(true);
    await clock.pass(5_000);
    const [there] = await Promise.all([tab.model.searchThere("schuppen"), clock.pass(200)]);
    expect(there).toMatchObject([{ seq: 2, span: [23, 31] }]);
    void opened.hide(2);
    await clock.pass(500);
    expect(await tab.model.searchHere("kanne")).toEqual([]);
    await tab.close();
  });

  it("leads to a message far up", async () => {
    const { clock, server, tab } = await world();
    await tab.close();
    for (let i = 2; i <= 900; i++) server.say("c1", "u-bob", `b${i}`, `${i}`, false);
    server.mark("u-ann", "c1", 900, 900);
    const again = tab.browser.open();
    await clock.pass(2_000);
    const timeline = again.model.open("c1");
    await clock.pass(500);
    const reaching = timeline.reach(300);
    await clock.pass(2_000);
    expect(await reaching).toBe(true);
    expect(messages(timeline.state.now).some((m) => m.seq === 300)).toBe(true);
    await again.close();
  });
});
