// @vitest-environment happy-dom
import { cleanup, configure, fireEvent, render, screen, waitFor, within } from "@testing-library/svelte";
import { tick } from "svelte";
import { afterEach, describe, expect, it, vi } from "vitest";
import { Failure } from "../../wire/failure";
import Composer from "./Composer.svelte";
import { offered } from "./emoji";
import { FakeTimeline, message, stretch } from "./fake";

// A busy machine may take its time.
vi.setConfig({ testTimeout: 60_000 });
configure({ asyncUtilTimeout: 20_000 });

afterEach(cleanup);

function compose({ draft = "", limit = 1000 } = {}) {
  const timeline = new FakeTimeline(stretch([message(1)]));
  timeline.draft = draft;
  const heard = { send: vi.fn(), page: vi.fn() };
  const view = render(Composer, { timeline, me: "u_ada", limit, onsend: heard.send, onpage: heard.page });
  const field = screen.getByRole<HTMLTextAreaElement>("textbox", { name: "Message" });
  return { timeline, field, heard, view };
}

const sent = (timeline: FakeTimeline) => timeline.asked.filter((one) => one.startsWith("send("));
const write = (field: HTMLTextAreaElement, value: string) => fireEvent.input(field, { target: { value } });
const status = () => screen.getByRole("status").textContent;

describe("sending", () => {
  it("sends with Enter, frees the field and keeps the focus", async () => {
    const { timeline, field, heard } = compose();
    field.focus();
    await write(field, "hello \n");
    await fireEvent.keyDown(field, { key: "Enter" });
    expect(sent(timeline)).toEqual(["send(hello)"]);
    expect(field.value).toBe("");
    expect(document.activeElement).toBe(field);
    expect(heard.send).toHaveBeenCalledOnce();
  });

  it("sends with the button", async () => {
    const { timeline, field } = compose();
    await write(field, "hello");
    await fireEvent.click(screen.getByRole("button", { name: "Send" }));
    expect(sent(timeline)).toEqual(["send(hello)"]);
    expect(document.activeElement).toBe(field);
  });

  // Kills: half a word that is sent while an input method composes it.
  it.each([
    ["Shift+Enter", { key: "Enter", shiftKey: true }],
    ["Enter in a composition", { key: "Enter", isComposing: true }],
    ["Enter in a composition, as some browsers say it", { key: "Enter", keyCode: 229 }],
    ["another key", { key: "a" }],
  ])("does not send with %s", async (_, key) => {
    const { timeline, field } = compose();
    await write(field, "hello");
    const event = new KeyboardEvent("keydown", { ...key, bubbles: true, cancelable: true });
    if ("isComposing" in key) Object.defineProperty(event, "isComposing", { value: true });
    if ("keyCode" in key) Object.defineProperty(event, "keyCode", { value: 229 });
    field.dispatchEvent(event);
    await tick();
    expect(sent(timeline)).toEqual([]);
    expect(event.defaultPrevented).toBe(false);
    expect(field.value).toBe("hello");
  });

  it("sends nothing but space", async () => {
    const { timeline, field } = compose();
    await write(field, " \n ");
    await fireEvent.keyDown(field, { key: "Enter" });
    expect(sent(timeline)).toEqual([]);
  });

  // Kills: a message that is lost because the device could not keep it.
  it("gives a message back that could not be kept, before what was written meanwhile", async () => {
    const { timeline, field } = compose();
    timeline.failing = new Failure("unreadable", "");
    await write(field, "first");
    await fireEvent.keyDown(field, { key: "Enter" });
    await waitFor(() => expect(field.value).toBe("first"));
    screen.getByRole("alert");
    expect(timeline.asked.at(-1)).toBe("keepDraft(first)");
    await write(field, "first again");
    expect(screen.queryByRole("alert")).toBeNull();
  });

  it("keeps as a draft what is written while the one before is on its way to the database", async () => {
    const { timeline, field } = compose();
    let stored = () => {};
    timeline.send = (text) => new Promise((resolve) => ((stored = resolve), timeline.asked.push(`send(${text})`)));
    await write(field, "one");
    await fireEvent.keyDown(field, { key: "Enter" });
    await write(field, "two");
    stored();
    await waitFor(() => expect(timeline.asked.at(-1)).toBe("keepDraft(two)"));
    expect(field.value).toBe("two");
  });
});

describe("drafts", () => {
  it("begins with the draft and keeps each change", async () => {
    const { timeline, field } = compose({ draft: "half a" });
    expect(field.value).toBe("half a");
    await write(field, "half a sentence");
    expect(timeline.asked).toEqual(["keepDraft(half a sentence)"]);
  });
});

describe("the limit", () => {
  it("is shown near its end, in characters", async () => {
    const { field } = compose();
    await write(field, "😀".repeat(899));
    expect(status()).toBe("");
    await write(field, "😀".repeat(900));
    expect(status()).toBe("100 characters left");
    await write(field, "😀".repeat(999));
    expect(status()).toBe("1 character left");
  });

  it("keeps a long paste whole and offers to send it in parts", async () => {
    const { timeline, field } = compose({ limit: 20 });
    const text = "one two three four\n\nfive six seven eight nine";
    await write(field, text);
    expect(field.value).toBe(text);
    expect(status()).toBe("25 characters too many");
    await fireEvent.keyDown(field, { key: "Enter" });
    await fireEvent.click(screen.getByRole("button", { name: "Send" }));
    expect(sent(timeline)).toEqual([]);
    await fireEvent.click(screen.getByRole("button", { name: "Send as 3 messages" }));
    await waitFor(() => expect(sent(timeline)).toEqual(["send(one two three four)", "send(five six seven eight)", "send(nine)"]));
    expect(field.value).toBe("");
  });

  it("gives back the parts that could not be kept", async () => {
    const { timeline, field } = compose({ limit: 5 });
    const send = timeline.send.bind(timeline);
    timeline.send = async (text) => {
      if (text === "bbbb") timeline.failing = new Failure("unreadable", "");
      await send(text);
    };
    await write(field, "aaaa bbbb cccc");
    await fireEvent.click(screen.getByRole("button", { name: /Send as/ }));
    await waitFor(() => expect(field.value).toBe("bbbb\n\ncccc"));
  });
});

describe("emoji", () => {
  it("are chosen by keys and go where the caret is", async () => {
    const { timeline, field } = compose();
    await write(field, "ab");
    field.setSelectionRange(1, 1);
    const button = screen.getByRole("button", { name: "Emoji" });
    await fireEvent.click(button);
    const grid = screen.getByRole("toolbar", { name: "Choose an emoji" });
    await tick();
    const all = within(grid).getAllByRole("button");
    expect(all.map((one) => one.textContent)).toEqual(offered);
    expect(document.activeElement).toBe(all[0]);
    await fireEvent.keyDown(all[0]!, { key: "ArrowRight" });
    expect(document.activeElement).toBe(all[1]);
    await fireEvent.keyDown(all[1]!, { key: "End" });
    await fireEvent.keyDown(all.at(-1)!, { key: "ArrowRight" });
    expect(document.activeElement).toBe(all.at(-1));
    await fireEvent.click(all.at(-1)!);
    expect(field.value).toBe(`a${offered.at(-1)}b`);
    expect(timeline.asked.at(-1)).toBe(`keepDraft(a${offered.at(-1)}b)`);
    expect(document.activeElement).toBe(field);
    expect(screen.queryByRole("toolbar")).toBeNull();
  });

  it("are closed by Escape, which nobody else hears, and the focus returns", async () => {
    compose();
    const button = screen.getByRole("button", { name: "Emoji" });
    await fireEvent.click(button);
    await tick();
    const prevented = !(await fireEvent.keyDown(document.activeElement!, { key: "Escape" }));
    expect(prevented).toBe(true);
    expect(screen.queryByRole("toolbar")).toBeNull();
    expect(document.activeElement).toBe(button);
    expect(button.getAttribute("aria-expanded")).toBe("false");
  });
});

it("pages through the timeline from the field", async () => {
  const { field, heard } = compose();
  await fireEvent.keyDown(field, { key: "PageUp" });
  await fireEvent.keyDown(field, { key: "PageDown" });
  expect(heard.page.mock.calls).toEqual([[-1], [1]]);
});
