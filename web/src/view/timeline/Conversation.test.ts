// @vitest-environment happy-dom
import { cleanup, configure, fireEvent, render, screen, waitFor, within } from "@testing-library/svelte";
import { tick } from "svelte";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import type { Stretch } from "../../model/model";
import { Failure } from "../../wire/failure";
import { ada, grace, people } from "../fakemodel";
import Conversation from "./Conversation.svelte";
import { FakeTimeline, group, message, notice, stretch, talk, Talks } from "./fake";
import { layOut, type Layout } from "./fakelayout";
import { more } from "../later";

await more(); // as on a page that has been there for a moment

// A busy machine may take its time.
vi.setConfig({ testTimeout: 60_000 });
configure({ asyncUtilTimeout: 20_000 });

let layout: Layout;
let focused: boolean;

beforeEach(() => {
  layout = layOut();
  focused = true;
  document.hasFocus = vi.fn(() => focused);
});

afterEach(() => {
  cleanup();
  layout.remove();
  vi.useRealTimers();
});

/** Opens a conversation that says this, and waits until it stands on the screen. */
async function open(of: Stretch | FakeTimeline, props: { narrow?: boolean } = {}) {
  const timeline = of instanceof FakeTimeline ? of : new FakeTimeline(of);
  const model = new Talks({ c: timeline });
  const asked = { back: vi.fn(), missing: vi.fn() };
  const view = render(Conversation, { model, id: "c", narrow: false, onback: asked.back, onmissing: asked.missing, ...props });
  const log = screen.queryByRole("log", { name: "Messages", hidden: true })!;
  if (log) await waitFor(() => expect(log.classList).toContain("settled"));
  return { timeline, model, log, asked, view };
}

const article = (text: string | RegExp) => screen.getByText(text).closest("article")!;
const gapOf = (log: HTMLElement) => log.scrollHeight - log.scrollTop - log.clientHeight;
const askedFor = (timeline: FakeTimeline, name: string) => timeline.asked.filter((one) => one.startsWith(`${name}(`));

describe("what stands there", () => {
  it("says who it is with, and what was said by whom", async () => {
    await open(stretch([message(1, { text: "Hello" }), message(2, { text: "Hi", mine: true, receipt: "read" })]));
    expect(screen.getByRole("heading", { level: 2 }).textContent).toBe(grace.name);
    const [theirs, mine] = screen.getAllByRole("article");
    expect(theirs!.dataset).toMatchObject({ key: "k1", seq: "1" });
    expect(theirs!.dataset["mine"]).toBeUndefined();
    expect(mine!.dataset["mine"]).toBe("");
    expect(theirs!.querySelector(".text")!.textContent).toBe("Hello");
    const name = (element: HTMLElement) => element.getAttribute("aria-labelledby")!.split(" ").map((id) => document.getElementById(id)!.textContent).join(" ");
    expect(name(theirs!)).toContain("Grace Hopper Hello");
    expect(name(mine!)).toContain("You Hi");
  });

  it("marks how far each own message got", async () => {
    const receipts = ["pending", "failed", "sent", "delivered", "read"] as const;
    await open(stretch(receipts.map((receipt, at) => message(at + 1, { mine: true, receipt, text: receipt }))));
    const marks = screen.getAllByRole("article").map((one) => within(one).getByRole("img").getAttribute("aria-label"));
    expect(marks).toEqual(["Waiting to be sent", "Not sent", "Sent", "Delivered", "Read"]);
  });

  it("names the senders of a group once for what belongs together, and nobody's in a direct one", async () => {
    const items = [message(1), message(2), message(3, { sender: people[2]! })];
    await open(stretch(items, { conversation: group() }));
    expect([...document.querySelectorAll(".who")].map((one) => one.textContent)).toEqual(["Grace Hopper", "Edsger W. Dijkstra"]);
    cleanup();
    await open(stretch(items.slice(0, 2)));
    expect(document.querySelectorAll(".who")).toHaveLength(0);
  });

  it("says what cannot be shown, and that something is late", async () => {
    const at = Date.now();
    await open(
      stretch([
        message(1, { deleted: true, text: "secret" }),
        message(2, { type: "image/webp", text: "" }),
        notice(3, { what: "other" }),
        message(4, { mine: true, text: "late", at, written: at - 3600_000 }),
      ]),
    );
    screen.getByText("This message was deleted");
    expect(screen.queryByText("secret")).toBeNull();
    screen.getByText("This kind of message cannot be shown here");
    screen.getByText("Something happened here that this version cannot show");
    expect(within(article("late")).getByText("Written earlier, offline")).toBeTruthy();
  });

  it("parts the days and the new ones", async () => {
    const now = Date.now();
    await open(stretch([message(1, { at: now - 24 * 3600_000 }), message(2, { at: now })], { unreadFrom: 2 }));
    expect(screen.getAllByRole("separator").map((one) => one.getAttribute("aria-label"))).toEqual(["Yesterday", "Today", "New messages"]);
  });

  // Kills: a text that becomes markup.
  it("makes text of whatever is said", async () => {
    const hostile = `<img src=x onerror="alert(1)"><script>alert(2)</script> [x](javascript:alert(3)) javascript:alert(4)`;
    await open(stretch([message(1, { text: hostile }), notice(2, { what: "title", by: { ...grace, name: "<b>G</b>" }, title: "<i>t</i>" })]));
    expect(document.querySelector(".text")!.textContent).toBe(hostile);
    screen.getByText("<b>G</b> named the group “<i>t</i>”");
    expect(document.querySelectorAll("log script, main img, main b, main i, main a")).toHaveLength(0);
  });

  it("opens links outside, and tells the other side nothing", async () => {
    await open(stretch([message(1, { text: "**see** https://a.example/x" })]));
    const link = screen.getByRole("link", { name: "https://a.example/x" });
    expect(link.getAttribute("rel")).toBe("noopener noreferrer nofollow");
    expect(link.getAttribute("target")).toBe("_blank");
    expect(article("see").querySelector("strong")!.textContent).toBe("see");
  });

  it("says that nothing is there yet", async () => {
    await open(stretch([]));
    screen.getByText("Nothing here yet. Say hello.");
  });
});

describe("scrolling", () => {
  it("keeps a hundred thousand messages out of the document but those on the screen", async () => {
    const { log } = await open(stretch(talk(1, 100_000), { unreadFrom: 0 }));
    expect(log.querySelectorAll("article").length).toBeLessThan(60);
    expect(gapOf(log)).toBe(0);
    screen.getByText("message 100000");
  });

  it("stays at the end when more comes, and says it to those who listen", async () => {
    const { log, timeline } = await open(stretch(talk(1, 100)));
    expect(log.getAttribute("aria-live")).toBe("polite");
    timeline.say(message(101, { text: "news" }));
    await waitFor(() => expect(gapOf(log)).toBe(0));
    screen.getByText("news");
    expect(screen.queryByRole("button", { name: /Jump to newest/ })).toBeNull();
  });

  // Kills: a list that runs to the end under a reader's eyes.
  it("leaves a reader of older ones alone, counts what came, and leads to it", async () => {
    const { log, timeline } = await open(stretch(talk(1, 100)));
    layout.scrollTo(log, 1000);
    await tick();
    expect(log.getAttribute("aria-live")).toBe("off");
    const jump = screen.getByRole("button", { name: "Jump to newest" });
    timeline.say(message(101), message(102), message(103, { mine: true }));
    await screen.findByRole("button", { name: "Jump to newest, 2 new messages" });
    for (let turn = 0; turn < 5; turn++) await tick();
    expect(log.scrollTop).toBe(1000);
    await fireEvent.click(jump);
    await waitFor(() => expect(gapOf(log)).toBe(0));
    expect(screen.queryByRole("button", { name: /Jump to newest/ })).toBeNull();
  });

  it("asks the model for the newest when they are not there", async () => {
    const { log, timeline } = await open(stretch(talk(1, 100)));
    layout.scrollTo(log, 1000);
    timeline.now({ atEnd: false });
    await fireEvent.click(await screen.findByRole("button", { name: /Jump to newest/ }));
    expect(askedFor(timeline, "jumpToNewest")).toHaveLength(1);
  });

  it("opens at the new line", async () => {
    const { log } = await open(stretch(talk(1, 200), { unreadFrom: 101 }));
    await waitFor(() => expect(screen.getByRole("separator", { name: "New messages" })).toBeTruthy());
    expect(gapOf(log)).toBeGreaterThan(2000);
  });

  // Kills: rows added at the start that are taken for rows at the end.
  it("keeps what is seen in its place while older ones come in above", async () => {
    const timeline = new FakeTimeline(stretch(talk(901, 1000), { atStart: false }));
    const { log } = await open(timeline);
    timeline.older = (before) => talk(before - 100, before - 1);
    layout.scrollTo(log, 1100);
    await waitFor(() => expect(timeline.state.now!.items.length).toBe(200));
    // The day that stood on top went up with the new ones: a hundred rows more.
    await waitFor(() => expect(log.scrollTop).toBe(1100 + 100 * layout.row));
    expect(askedFor(timeline, "loadOlder")).toHaveLength(1);
  });

  it("fetches older ones until the screen is full, and no further than the start", async () => {
    const timeline = new FakeTimeline(stretch(talk(9, 10), { atStart: false }));
    timeline.older = (before) => talk(Math.max(1, before - 2), before - 1);
    await open(timeline);
    await waitFor(() => expect(timeline.state.now!.atStart).toBe(true));
    expect(askedFor(timeline, "loadOlder")).toHaveLength(4);
  });

  it("does not ask in a circle when nothing comes", async () => {
    const timeline = new FakeTimeline(stretch(talk(9, 10), { atStart: false }));
    await open(timeline);
    await waitFor(() => expect(askedFor(timeline, "loadOlder")).toHaveLength(1));
    for (let turn = 0; turn < 20; turn++) await tick();
    expect(askedFor(timeline, "loadOlder").length).toBeLessThan(3);
  });

  it("says why older ones do not come, and tries again when asked or when the server is back", async () => {
    const timeline = new FakeTimeline(stretch(talk(9, 10), { atStart: false, stuck: new Failure("offline", "") }));
    const { model } = await open(timeline);
    screen.getByText(/Older messages could not be loaded/);
    expect(askedFor(timeline, "loadOlder").length).toBeLessThan(2);
    const before = askedFor(timeline, "loadOlder").length;
    await fireEvent.click(screen.getByRole("button", { name: "Try again" }));
    expect(askedFor(timeline, "loadOlder")).toHaveLength(before + 1);
    model.connection.set({ state: "offline" });
    await tick();
    model.connection.set({ state: "online" });
    await waitFor(() => expect(askedFor(timeline, "loadOlder")).toHaveLength(before + 2));
  });

  it("keeps the element of a message while it is sent", async () => {
    const { timeline } = await open(stretch([message(1), message(0, { key: "own", mine: true, text: "mine", receipt: "pending" })]));
    const before = article("mine");
    timeline.change("own", { seq: 2, receipt: "sent" });
    await waitFor(() => expect(before.dataset["seq"]).toBe("2"));
    expect(article("mine")).toBe(before);
  });

  it("keeps the row that has the focus when it leaves the screen", async () => {
    const { log } = await open(stretch(talk(1, 500, (seq) => message(seq, { text: `https://a.example/${seq}` }))));
    const link = screen.getByRole("link", { name: "https://a.example/500" });
    link.focus();
    layout.scrollTo(log, 5000);
    await tick();
    await tick();
    expect(link.isConnected).toBe(true);
    expect(document.activeElement).toBe(link);
  });
});

describe("seen", () => {
  // Kills: read marks for what nobody looked at.
  it("tells what was on the screen, while the window has the focus", async () => {
    focused = false;
    const { log, timeline } = await open(stretch(talk(1, 100), { unreadFrom: 0 }));
    const looks = vi.mocked(document.hasFocus).mock;
    await waitFor(() => expect(looks.calls.length).toBeGreaterThan(0)); // it was looked whether anybody can read
    expect(askedFor(timeline, "seen")).toEqual([]);
    focused = true;
    window.dispatchEvent(new Event("focus"));
    await waitFor(() => expect(askedFor(timeline, "seen")).toEqual(["seen(100)"]));
    layout.scrollTo(log, 0);
    timeline.say(message(101));
    const before = looks.calls.length;
    await waitFor(() => expect(looks.calls.length).toBeGreaterThan(before));
    expect(askedFor(timeline, "seen")).toEqual(["seen(100)"]);
  });

  it("tells no more than can be seen", async () => {
    const { timeline } = await open(stretch(talk(1, 200), { unreadFrom: 101 }));
    await waitFor(() => expect(askedFor(timeline, "seen")).not.toEqual([]));
    const seen = Number(/\d+/.exec(askedFor(timeline, "seen")[0]!)![0]);
    expect(seen).toBeGreaterThan(101);
    expect(seen).toBeLessThan(120);
  });
});

describe("what failed", () => {
  const failed = message(0, { key: "own", mine: true, text: "too much", receipt: "failed", failure: new Failure("too_large", "") });

  it("says why, and can be sent again", async () => {
    const { timeline } = await open(stretch([message(1), failed]));
    within(article("too much")).getByText(/too long for this server/);
    await fireEvent.click(screen.getByRole("button", { name: "Send again" }));
    expect(timeline.asked).toContain("sendAgain(own)");
  });

  it("goes back into the composer when it is discarded, unless something else is written there", async () => {
    const { timeline } = await open(stretch([message(1), failed]));
    await fireEvent.click(screen.getByRole("button", { name: "Discard" }));
    await waitFor(() => expect(screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Message" }).value).toBe("too much"));
    timeline.say({ ...failed, key: "own2", text: "other" });
    await fireEvent.click(await screen.findByRole("button", { name: "Discard" }));
    await waitFor(() => expect(timeline.asked).toContain("discard(own2)"));
    expect(screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Message" }).value).toBe("too much");
  });
});

describe("opening and leaving", () => {
  it("shows who is in a group", async () => {
    const members = people.map((person, at) => ({ ...person, role: at === 0 ? "owner" : "member" }));
    await open(stretch([message(1)], { conversation: group(), members }));
    screen.getByText("8 members");
    await fireEvent.click(screen.getByRole("button", { name: "Members" }));
    const names = within(screen.getByRole("dialog", { name: "Members" })).getAllByRole("listitem");
    expect(names).toHaveLength(8);
    expect(names[0]!.textContent).toContain("Ada Lovelace (you)");
    expect(names[0]!.textContent).toContain("Owner");
  });

  it("has a way back on a phone", async () => {
    const { asked } = await open(stretch([message(1)]), { narrow: true });
    await fireEvent.click(screen.getByRole("button", { name: "Back" }));
    expect(asked.back).toHaveBeenCalledOnce();
    cleanup();
    await open(stretch([message(1)]));
    expect(screen.queryByRole("button", { name: "Back" })).toBeNull();
  });

  it("is with oneself", async () => {
    await open(stretch([], { conversation: { ...stretch([]).conversation, with: ada, title: ada.name } }));
    expect(screen.getByRole("heading", { level: 2 }).textContent).toBe("Notes to yourself");
  });

  it("closes its timeline when another is opened, and at the end", async () => {
    const [one, two] = [new FakeTimeline(stretch([message(1)])), new FakeTimeline(stretch([message(1, { text: "other" })]))];
    const model = new Talks({ one, two });
    const props = { model, id: "one", narrow: false, onback() {}, onmissing() {} };
    const { rerender, unmount } = render(Conversation, props);
    await rerender({ ...props, id: "two" });
    expect([one.closed, two.closed]).toEqual([true, false]);
    await screen.findByText("other");
    unmount();
    expect(two.closed).toBe(true);
  });

  it("waits for one that may be on its way, and says so if none is", async () => {
    vi.useFakeTimers();
    const model = new Talks({});
    model.connection.set({ state: "catching up" });
    const onmissing = vi.fn();
    render(Conversation, { model, id: "c_none", narrow: false, onback() {}, onmissing });
    screen.getByText("Opening the conversation…");
    await vi.advanceTimersByTimeAsync(10_000);
    expect(onmissing).not.toHaveBeenCalled();
    model.connection.set({ state: "online" });
    await vi.advanceTimersByTimeAsync(10_000);
    expect(onmissing).toHaveBeenCalledOnce();
  });
});
