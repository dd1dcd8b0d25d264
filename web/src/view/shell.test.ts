// @vitest-environment happy-dom
import { cleanup, fireEvent, screen, waitFor, within } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { Failure } from "../wire/failure";
import { button, field, openApp } from "./fakeapp";
import { conversation, FakeModel } from "./fakemodel";
import { dismiss, toasts } from "./toasts";
import { get } from "svelte/store";

beforeEach(() => {
  document.head.innerHTML = '<link rel="icon" href="/icon.svg">';
});
afterEach(() => {
  cleanup();
  for (const { id } of get(toasts)) dismiss(id);
});

const title = (name: string) => screen.findByRole("heading", { level: 2, name });
const links = () => within(screen.getByRole("list", { name: "Conversations" })).getAllByRole("link");
const link = (name: RegExp) => screen.getByRole("link", { name });
const press = (key: string, more: object = {}) => fireEvent.keyDown(document.activeElement ?? document.body, { key, bubbles: true, cancelable: true, ...more });
/** Escape in a dialog: the browser turns it into this. */
const escape = () => fireEvent(screen.getByRole("dialog"), new Event("cancel", { cancelable: true }));

describe("the list", () => {
  test("is in the model's order, and each link says what there is to know", () => {
    openApp();
    const names = links().map((e) => e.textContent!.replace(/\s+/g, " ").trim());
    expect(names[0]).toMatch(/Grace Hopper .* I found the moth\..* 2 unread$/);
    expect(links().map((e) => e.dataset["conversation"]).slice(0, 3)).toEqual(["c_grace", "c_harbour", "c_edsger"]);
    expect(link(/^Harbour festival 🎪\s*Muted.*zoe:\s*Who brings the long tables\?\s*128 unread$/)).toBeTruthy();
    expect(link(/^Analytical Engine.*Draft:\s*About note G: the$/)).toBeTruthy();
    expect(within(link(/^Edsger/)).getByRole("img", { name: "Read" })).toBeTruthy();
    expect(within(link(/^zoe/)).getByRole("img", { name: "Not sent" })).toBeTruthy();
    expect(link(/^Notes to yourself/)).toBeTruthy();
  });

  test("searches by name; Enter opens the first, Escape gives up", async () => {
    const { page } = openApp();
    const box = screen.getByRole("searchbox", { name: "Search conversations" });
    await fireEvent.input(box, { target: { value: "hopper" } });
    expect(links()).toHaveLength(1);
    await fireEvent.input(box, { target: { value: "zzz" } });
    expect(screen.getByText("No conversation is called “zzz”")).toBeTruthy();
    box.focus();
    await press("Escape");
    expect(links()).toHaveLength(10);
    await fireEvent.input(box, { target: { value: "liskov" } });
    await press("Enter");
    expect(page.hash).toBe("#/c/c_barbara");
  });

  test("is walked with the arrows", async () => {
    openApp();
    screen.getByRole("searchbox").focus();
    await press("ArrowDown");
    expect(document.activeElement).toBe(links()[0]);
    await press("ArrowDown");
    expect(document.activeElement).toBe(links()[1]);
    await press("ArrowUp");
    await press("ArrowUp");
    expect(document.activeElement).toBe(screen.getByRole("searchbox"));
  });

  // Kills: the focus is lost when a message moves a conversation up.
  test("keeps the focus on a conversation that moves", async () => {
    const { model } = openApp();
    link(/^Hedy/).focus();
    const all = model.conversations.now;
    model.conversations.set([all.find(({ id }) => id === "c_hedy")!, ...all.filter(({ id }) => id !== "c_hedy")]);
    await waitFor(() => expect(links()[0]!.dataset["conversation"]).toBe("c_hedy"));
    expect(document.activeElement).toBe(links()[0]);
  });

  test("says what to do when it is empty", async () => {
    const model = new FakeModel();
    model.conversations.set([]);
    openApp("#/", model);
    expect(screen.getByText("No conversations yet")).toBeTruthy();
    await fireEvent.click(button("Start conversation"));
    expect(screen.getByRole("dialog", { name: "New conversation" })).toBeTruthy();
  });

  test("leaves a press that asks for a new tab to the browser", async () => {
    const { page } = openApp();
    await fireEvent.click(links()[0]!, { ctrlKey: true });
    await fireEvent.click(links()[0]!, { button: 1 });
    expect(page.hash).toBe("#/");
    await fireEvent.click(links()[0]!);
    expect(page.hash).toBe("#/c/c_grace");
  });
});

describe("a conversation", () => {
  test("opens beside the list, is the current one, and takes the focus", async () => {
    openApp();
    await fireEvent.click(link(/^Grace/));
    await title("Grace Hopper");
    expect(link(/^Grace/).getAttribute("aria-current")).toBe("page");
    await waitFor(() => expect(document.activeElement).toBe(field("Message")));
  });

  test("that is not here says so and leads back", async () => {
    const { page } = openApp("#/c/nothing");
    // The timeline is patient: it may be on its way.
    await title("This conversation is not here");
    await fireEvent.click(button("Back to the conversations"));
    expect(page.hash).toBe("#/");
  });

  test("an address of nothing leads back", async () => {
    const { page } = openApp("#/rubbish");
    await title("There is nothing at this address");
    await fireEvent.click(button("Back to the conversations"));
    expect(page.hash).toBe("#/");
  });

  test("on a phone takes the screen, and Back gives the list with the focus where it was", async () => {
    const { page } = openApp("#/", new FakeModel(), 390);
    expect(screen.getByRole("main").contains(links()[0]!)).toBe(true);
    await fireEvent.click(link(/^Edsger/));
    await title("Edsger W. Dijkstra");
    await fireEvent.click(button("Back"));
    expect(page.hash).toBe("#/");
    await waitFor(() => expect(document.activeElement).toBe(link(/^Edsger/)));
  });
});

describe("keys", () => {
  test("Alt with the arrows goes through the conversations, also while writing", async () => {
    const { page } = openApp();
    await press("ArrowDown", { altKey: true });
    expect(page.hash).toBe("#/c/c_grace");
    await waitFor(() => expect(document.activeElement).toBe(field("Message")));
    await press("ArrowDown", { altKey: true });
    expect(page.hash).toBe("#/c/c_harbour");
    await press("ArrowUp", { altKey: true });
    expect(page.hash).toBe("#/c/c_grace");
    await press("ArrowUp", { altKey: true });
    expect(page.hash).toBe("#/c/c_grace");
  });

  test("search, new, help", async () => {
    openApp("#/c/c_grace");
    await press("k", { ctrlKey: true });
    await waitFor(() => expect(document.activeElement).toBe(screen.getByRole("searchbox")));
    await press("j", { metaKey: true });
    expect(screen.getByRole("dialog", { name: "New conversation" })).toBeTruthy();
    await escape();
    (document.activeElement as HTMLElement).blur();
    await press("?");
    expect(screen.getByRole("dialog", { name: "Keyboard shortcuts" })).toBeTruthy();
  });

  test("Escape goes between the list and the composer", async () => {
    openApp("#/c/c_grace");
    await waitFor(() => expect(document.activeElement).toBe(field("Message")));
    await press("Escape");
    expect(document.activeElement).toBe(link(/^Grace/));
    await press("Escape");
    await waitFor(() => expect(document.activeElement).toBe(field("Message")));
  });

  test("Escape on a phone goes back to the list", async () => {
    const { page } = openApp("#/c/c_grace", new FakeModel(), 390);
    await title("Grace Hopper");
    await press("Escape");
    expect(page.hash).toBe("#/");
  });

  // Kills: keys reach the app behind a dialog.
  test("nothing happens behind a dialog", async () => {
    const { page } = openApp();
    await press("?");
    await press("ArrowDown", { altKey: true });
    await press("n");
    expect(page.hash).toBe("#/");
    expect(screen.getAllByRole("dialog")).toHaveLength(1);
  });
});

describe("dialogs", () => {
  test("give the focus back to what opened them", async () => {
    openApp();
    const opener = button("New conversation");
    opener.focus();
    await fireEvent.click(opener);
    expect(document.activeElement).toBe(field("Handle"));
    await escape();
    expect(screen.queryByRole("dialog")).toBeNull();
    expect(document.activeElement).toBe(opener);
    await fireEvent.click(opener);
    await fireEvent.click(button("Close"));
    expect(document.activeElement).toBe(opener);
  });

  test("from one to the next and out, the focus still returns", async () => {
    openApp();
    const opener = button("New conversation");
    opener.focus();
    await fireEvent.click(opener);
    await fireEvent.click(button("New group"));
    expect(screen.getAllByRole("dialog")).toHaveLength(1);
    expect(document.activeElement).toBe(field("Group name"));
    await escape();
    expect(document.activeElement).toBe(opener);
  });

  test("a press beside closes, one that begins within does not", async () => {
    openApp();
    await fireEvent.click(button("New conversation"));
    const dialog = screen.getByRole("dialog");
    dialog.getBoundingClientRect = () => ({ left: 100, right: 500, top: 100, bottom: 400 }) as DOMRect;
    await fireEvent.pointerDown(dialog, { clientX: 300, clientY: 105 });
    await fireEvent.pointerDown(field("Handle"), { clientX: 10, clientY: 10 });
    expect(screen.queryByRole("dialog")).not.toBeNull();
    await fireEvent.pointerDown(dialog, { clientX: 10, clientY: 10 });
    expect(screen.queryByRole("dialog")).toBeNull();
  });

  test("settings lie over what is open, by address, and leave it open", async () => {
    const { page } = openApp();
    await fireEvent.click(link(/^Grace/));
    await fireEvent.click(button("Settings"));
    expect(page.hash).toBe("#/settings");
    await title("Grace Hopper");
    await fireEvent.click(within(screen.getByRole("dialog", { name: "Settings" })).getByRole("button", { name: "Close" }));
    expect(page.hash).toBe("#/c/c_grace");
  });
});

describe("beginning", () => {
  const submit = () => fireEvent.submit(screen.getByRole("dialog").querySelector("form")!);

  test("a conversation by handle", async () => {
    const { model, page } = openApp();
    await fireEvent.click(button("New conversation"));
    await fireEvent.input(field("Handle"), { target: { value: "@Grace" } });
    await submit();
    await waitFor(() => expect(page.hash).toBe("#/c/c_grace"));
    expect(model.asked).toEqual(["startDirect(grace)"]);
    expect(screen.queryByRole("dialog")).toBeNull();
    await waitFor(() => expect(document.activeElement).toBe(field("Message")));
  });

  test("a handle that nobody has", async () => {
    openApp();
    await fireEvent.click(button("New conversation"));
    await fireEvent.input(field("Handle"), { target: { value: "nobody" } });
    await submit();
    expect((await within(screen.getByRole("dialog")).findByRole("alert")).textContent).toMatch(/Nobody here has the handle “nobody”/);
    expect((field("Handle") as HTMLInputElement).value).toBe("nobody");
  });

  async function group(title: string, ...handles: string[]) {
    await fireEvent.click(button("New conversation"));
    await fireEvent.click(button("New group"));
    await fireEvent.input(field("Group name"), { target: { value: title } });
    for (const handle of handles) {
      await fireEvent.input(field("Member’s handle"), { target: { value: handle } });
      await fireEvent.click(button("Add"));
    }
  }

  test("a group, with those added and who is still in the field", async () => {
    const { model, page } = openApp();
    await group("Harbour", "grace", "edsger");
    await screen.findByRole("button", { name: "Remove Edsger W. Dijkstra" });
    await fireEvent.click(button("Remove Grace Hopper"));
    await fireEvent.input(field("Member’s handle"), { target: { value: "hedy" } });
    await submit();
    await waitFor(() => expect(page.hash).toBe("#/c/c_new"));
    expect(model.asked.at(-1)).toBe("createGroup(Harbour, edsger, hedy)");
  });

  test.each([
    ["", ["grace"], /Give the group a name/],
    ["Harbour", [], /at least one member/],
    ["Harbour", ["ada"], /in any case/],
    ["Harbour", ["nobody"], /Nobody here/],
    ["Harbour", ["no body"], /A handle is/],
  ])("a group called %j with %j is not made", async (title, handles, said) => {
    const { model } = openApp();
    await group(title, ...handles);
    await submit();
    await waitFor(() => expect(within(screen.getByRole("dialog")).getByRole("alert").textContent).toMatch(said));
    expect(model.asked.some((asked) => asked.startsWith("createGroup"))).toBe(false);
  });

  test("nobody is added twice, nor more than fit", async () => {
    const { model } = openApp();
    model.limits.set({ text: 1000, members: 3 });
    await group("Harbour", "grace");
    await screen.findByRole("button", { name: "Remove Grace Hopper" });
    await fireEvent.input(field("Member’s handle"), { target: { value: "grace" } });
    field("Member’s handle").focus();
    await press("Enter");
    await waitFor(() => expect(within(screen.getByRole("dialog")).getByRole("alert").textContent).toMatch(/already added/));
    for (const handle of ["zoe", "hedy"]) {
      await fireEvent.input(field("Member’s handle"), { target: { value: handle } });
      field("Member’s handle").focus();
      await press("Enter");
    }
    await waitFor(() => expect(within(screen.getByRole("dialog")).getByRole("alert").textContent).toMatch(/at most 3 members/));
  });
});

describe("the tab", () => {
  test("counts what is unread, what is muted aside, and dots its icon", async () => {
    const { model } = openApp("#/c/c_grace");
    await waitFor(() => expect(document.title).toBe("(3) Grace Hopper · Parley"));
    const icon = () => document.querySelector<HTMLLinkElement>('link[rel="icon"]')!.href;
    expect(icon()).toMatch(/^data:image\/svg/);
    model.conversations.set([conversation({ id: "c_harbour", kind: "group", title: "Harbour", unread: 9, muted: true })]);
    await waitFor(() => expect(document.title).toBe("Parley"));
    expect(icon()).toMatch(/\/icon\.svg$/);
    model.account.set({ state: "out", lost: false, unsent: 0 });
    await waitFor(() => expect(document.title).toBe("Parley"));
  });
});

describe("the connection", () => {
  const said = () => screen.getAllByRole("status").map((e) => e.textContent).filter((text) => text !== "").join("|");

  test("is told in words, with a way to hurry", async () => {
    const { model, reloads } = openApp();
    expect(said()).toBe("");
    model.connection.set({ state: "connecting" });
    await waitFor(() => expect(said()).toBe("Connecting…"));
    model.connection.set({ state: "catching up" });
    await waitFor(() => expect(said()).toBe("Catching up…"));
    model.connection.set({ state: "offline" });
    await waitFor(() => expect(said()).toBe("Offline"));
    model.connection.set({ state: "waiting", until: Date.now() + 12_000 });
    await waitFor(() => expect(said()).toMatch(/^Reconnecting in 1[12] s$/));
    await fireEvent.click(button("Retry now"));
    expect(model.asked).toEqual(["retryNow()"]);
    model.connection.set({ state: "too old" });
    await waitFor(() => expect(said()).toBe("This page is older than the server"));
    await fireEvent.click(button("Reload"));
    expect(reloads.count).toBe(1);
    model.connection.set({ state: "online" });
    await waitFor(() => expect(said()).toBe(""));
  });

  test("a new version waits until one says so", async () => {
    const { ready, reloads } = openApp();
    ready.set(true);
    await waitFor(() => expect(said()).toBe("A new version is ready"));
    expect(reloads.count).toBe(0);
    await fireEvent.click(button("Reload"));
    expect(reloads.count).toBe(1);
  });
});

// Kills: a call of the timeline that nobody waited for fails in silence.
test("a failure that no screen caught is told, once, until it is closed", async () => {
  openApp();
  const reject = (reason: unknown) => {
    const e = new Event("unhandledrejection", { cancelable: true });
    Object.assign(e, { reason });
    window.dispatchEvent(e);
    return e;
  };
  expect(reject(new TypeError("a bug is the console's")).defaultPrevented).toBe(false);
  expect(reject(new Failure("unreadable", "")).defaultPrevented).toBe(true);
  reject(new Failure("unreadable", ""));
  await waitFor(() => expect(screen.getAllByText(/could not store or read/)).toHaveLength(1));
  await fireEvent.click(within(screen.getByText(/could not store or read/).parentElement!).getByRole("button", { name: "Close" }));
  expect(screen.queryByText(/could not store or read/)).toBeNull();
});
