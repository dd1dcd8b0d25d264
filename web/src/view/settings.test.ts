// @vitest-environment happy-dom
import { cleanup, fireEvent, screen, waitFor, within } from "@testing-library/svelte";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { Failure } from "../wire/failure";
import { chooseLanguage } from "./catalogue";
import { button, field, openApp } from "./fakeapp";
import { FakeModel } from "./fakemodel";
import { chooseTheme, papers } from "./theme";

beforeEach(() => {
  document.head.innerHTML =
    '<meta name="theme-color" media="(prefers-color-scheme: light)" content="x"><meta name="theme-color" media="(prefers-color-scheme: dark)" content="y">';
});
afterEach(() => {
  cleanup();
  vi.unstubAllGlobals();
  chooseTheme("system");
  chooseLanguage("");
  localStorage.clear();
});

const dialog = () => within(screen.getByRole("dialog"));
const alert = () => dialog().findByRole("alert");

test("has its parts, each under its name", async () => {
  openApp("#/settings");
  expect(screen.getByRole("dialog", { name: "Settings" })).toBeTruthy();
  const parts = dialog().getAllByRole("heading", { level: 2 }).map((e) => e.textContent);
  expect(parts).toEqual(["Settings", "Profile", "Privacy", "Appearance", "Language", "Devices", "Invites", "Bots"]);
});

describe("profile", () => {
  test("the name is changed, and what went wrong is said", async () => {
    const { model } = openApp("#/settings");
    expect((field("Name") as HTMLInputElement).value).toBe("Ada Lovelace");
    await fireEvent.input(field("Name"), { target: { value: " Countess of Lovelace " } });
    await fireEvent.submit(field("Name").closest("form")!);
    await dialog().findByText("Saved");
    expect(model.asked).toContain("profile(Countess of Lovelace, )");

    model.failing.set("profile", new Failure("bad_request", "A name has no control characters."));
    await fireEvent.submit(field("Name").closest("form")!);
    expect((await alert()).textContent).toMatch(/no control characters/);
    expect(dialog().queryByText("Saved")).toBeNull();
  });
});

describe("appearance", () => {
  test("light and dark are chosen for this device, the browser's bars along with them", async () => {
    openApp("#/settings");
    const radio = (name: string) => screen.getByRole("radio", { name }) as HTMLInputElement;
    const bars = () => [...document.querySelectorAll<HTMLMetaElement>("meta")].map((meta) => meta.content);
    expect(radio("System").checked).toBe(true);
    expect(bars()).toEqual([papers.light, papers.dark]);
    await fireEvent.click(radio("Dark"));
    expect(document.documentElement.dataset["theme"]).toBe("dark");
    expect(bars()).toEqual([papers.dark, papers.dark]);
    expect(localStorage.getItem("parley.theme")).toBe("dark");
    await fireEvent.click(radio("System"));
    expect(document.documentElement.dataset["theme"]).toBeUndefined();
    expect(localStorage.getItem("parley.theme")).toBeNull();
  });

  test("another tab's choice is followed", async () => {
    openApp("#/settings");
    window.dispatchEvent(Object.assign(new Event("storage"), { key: "parley.theme", newValue: "light" }));
    await waitFor(() => expect(document.documentElement.dataset["theme"]).toBe("light"));
    window.dispatchEvent(Object.assign(new Event("storage"), { key: "parley.theme", newValue: "rubbish" }));
    await waitFor(() => expect(document.documentElement.dataset["theme"]).toBeUndefined());
  });

  // Kills: a browser that refuses storage stops the app.
  test("a choice holds where nothing may be kept", async () => {
    const refuse = () => {
      throw new DOMException("no", "QuotaExceededError");
    };
    vi.stubGlobal("localStorage", { getItem: refuse, setItem: refuse, removeItem: refuse });
    openApp("#/settings");
    await fireEvent.click(screen.getByRole("radio", { name: "Dark" }));
    expect(document.documentElement.dataset["theme"]).toBe("dark");
  });
});

test("the language changes at once, the page's own with it", async () => {
  openApp("#/settings");
  await fireEvent.change(screen.getByRole("combobox", { name: "Language" }), { target: { value: "de" } });
  expect(await screen.findByRole("dialog", { name: "Einstellungen" })).toBeTruthy();
  await waitFor(() => expect(document.documentElement.lang).toBe("de"));
  expect(document.documentElement.dir).toBe("ltr");
});

describe("devices", () => {
  test("this one first; another is signed out, and the focus is not lost", async () => {
    const { model } = openApp("#/settings");
    await dialog().findByText("Firefox on Linux");
    const items = dialog().getAllByRole("listitem").map((e) => e.textContent!.replace(/\s+/g, " "));
    expect(items[0]).toMatch(/Firefox on Linux This device/);
    expect(items[1]).toMatch(/Chrome on Android Last here/);
    expect(items[2]).toMatch(/Unnamed device/);
    await fireEvent.click(button("Sign out Chrome on Android"));
    await waitFor(() => expect(dialog().queryByText("Chrome on Android")).toBeNull());
    expect(model.asked).toContain("signOutDevice(d2)");
    expect(document.activeElement?.textContent).toBe("Devices");
  });

  test("without a server they can be asked for again", async () => {
    const model = new FakeModel();
    model.failing.set("devices", new Failure("offline", ""));
    openApp("#/settings", model);
    expect((await alert()).textContent).toMatch(/not reached/);
    model.failing.clear();
    await fireEvent.click(button("Try again"));
    await dialog().findByText("Chrome on Android");
    expect(dialog().queryByRole("alert")).toBeNull();
  });
});

describe("invites", () => {
  test("are made, copied and withdrawn", async () => {
    const { model } = openApp("#/settings");
    const written: string[] = [];
    vi.spyOn(navigator.clipboard, "writeText").mockImplementation(async (text) => void written.push(text));
    await dialog().findByText("There are no invites.");
    await fireEvent.change(screen.getByRole("combobox", { name: "For how many people" }), { target: { value: "5" } });
    await fireEvent.submit(button("Create invite").closest("form")!);
    const link = (await screen.findByRole("textbox", { name: "Link of the invite" })) as HTMLInputElement;
    expect(link.value).toBe("https://parley.example/#/invite/code1");
    expect(model.asked).toContain("invite(5, 168)");
    expect(dialog().getByText(/^0 of 5 used, good until /)).toBeTruthy();
    await fireEvent.click(button("Copy link"));
    await dialog().findByText("Copied");
    expect(written).toEqual(["https://parley.example/#/invite/code1"]);
    await fireEvent.click(button("Withdraw"));
    await dialog().findByText("There are no invites.");
    expect(model.asked).toContain("revokeInvite(code1)");
  });

  test("a link that cannot be copied can be selected", async () => {
    openApp("#/settings");
    vi.spyOn(navigator.clipboard, "writeText").mockRejectedValue(new DOMException("no", "NotAllowedError"));
    await dialog().findByText("There are no invites.");
    await fireEvent.submit(button("Create invite").closest("form")!);
    await screen.findByRole("textbox", { name: "Link of the invite" });
    await fireEvent.click(button("Copy link"));
    expect((await alert()).textContent).toMatch(/copy it yourself/);
  });

  test("who may make none is told", async () => {
    const { model } = openApp("#/settings");
    await dialog().findByText("There are no invites.");
    model.failing.set("invite", new Failure("forbidden", "You have 50 invites."));
    await fireEvent.submit(button("Create invite").closest("form")!);
    expect((await alert()).textContent).toMatch(/may not/);
  });
});

describe("signing out", () => {
  test("at once when nothing waits, and the address keeps nothing of it", async () => {
    const { page } = openApp("#/settings");
    await fireEvent.click(button("Sign out"));
    expect(await screen.findByRole("heading", { level: 1, name: "Sign in to Parley" })).toBeTruthy();
    expect(page.hash).toBe("#/");
  });

  // Kills: messages that were never sent are lost by one press.
  test("asks first when messages wait to be sent", async () => {
    const { model } = openApp("#/settings");
    model.waiting = 2;
    await fireEvent.click(button("Sign out"));
    expect((await alert()).textContent).toMatch(/2 messages still wait to be sent/);
    await waitFor(() => expect(document.activeElement).toBe(button("Stay signed in")));
    await fireEvent.click(button("Stay signed in"));
    expect(model.asked).not.toContain("signOut()");
    await waitFor(() => expect(document.activeElement).toBe(button("Sign out")));

    await fireEvent.click(button("Sign out"));
    await fireEvent.click(await screen.findByRole("button", { name: "Sign out and lose what waits" }));
    await screen.findByRole("heading", { level: 1, name: "Sign in to Parley" });
  });

  test("what went wrong is said, and one stays", async () => {
    const { model } = openApp("#/settings");
    model.failing.set("signOut", new Failure("offline", ""));
    await fireEvent.click(button("Sign out"));
    expect((await alert()).textContent).toMatch(/not reached/);
  });
});
