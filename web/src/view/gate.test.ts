// @vitest-environment happy-dom
import { cleanup, fireEvent, screen, waitFor } from "@testing-library/svelte";
import { afterEach, describe, expect, test } from "vitest";
import { Failure } from "../wire/failure";
import { button, field, labelled, openApp } from "./fakeapp";
import { FakeModel } from "./fakemodel";

afterEach(cleanup);

function signedOut(some: { lost?: boolean; handle?: string; unsent?: number } = {}): FakeModel {
  const model = new FakeModel();
  model.account.set({ state: "out", lost: false, unsent: 0, ...some });
  return model;
}

const write = (e: HTMLElement, value: string) => fireEvent.input(e, { target: { value } });
const submit = (e: HTMLElement) => fireEvent.submit(e.closest("form")!);
const heading = (name: string) => screen.findByRole("heading", { level: 1, name });

describe("signing in", () => {
  test("by handle and password, however the handle is written", async () => {
    const { model } = openApp("#/", signedOut());
    await heading("Sign in to Parley");
    await write(field("Handle"), " @Ada ");
    await write(labelled("Password"), "difference");
    await submit(button("Sign in"));
    expect(await screen.findByRole("navigation", { name: "Conversations" })).toBeTruthy();
    expect(model.asked).toContain("signIn(ada)");
  });

  test("what is wrong is said, and the fields keep what was written", async () => {
    const model = signedOut();
    model.failing.set("signIn", new Failure("unauthorized", "Handle or password is wrong."));
    openApp("#/", model);
    await write(field("Handle"), "ada");
    await submit(button("Sign in"));
    expect((await screen.findByRole("alert")).textContent).toMatch(/handle or the password is wrong/);
    expect((field("Handle") as HTMLInputElement).value).toBe("ada");

    model.failing.set("signIn", new Failure("rate_limited", "", 30_000));
    await submit(button("Sign in"));
    await waitFor(() => expect(screen.getByRole("alert").textContent).toMatch(/Try again in 30 s\./));

    model.failing.set("signIn", new Failure("offline", ""));
    await submit(button("Sign in"));
    await waitFor(() => expect(screen.getByRole("alert").textContent).toMatch(/not reached/));
  });

  // Kills: two presses make two sessions, and two devices in the list.
  test("a second press while the first is on its way does nothing", async () => {
    const { model } = openApp("#/", signedOut());
    await write(field("Handle"), "ada");
    const form = button("Sign in").closest("form")!;
    fireEvent.submit(form);
    fireEvent.submit(form);
    await screen.findByRole("navigation");
    expect(model.asked.filter((asked) => asked.startsWith("signIn"))).toHaveLength(1);
  });

  test("who was signed out from elsewhere is told that what they wrote is kept", async () => {
    openApp("#/c/c_grace", signedOut({ lost: true, handle: "ada", unsent: 3 }));
    expect((field("Handle") as HTMLInputElement).value).toBe("ada");
    const said = screen.getAllByRole("status").map((e) => e.textContent).join(" ");
    expect(said).toMatch(/What you wrote is kept/);
    expect(said).toMatch(/3 messages wait to be sent\./);
  });

  test("after it one is where the address says", async () => {
    openApp("#/c/c_grace", signedOut());
    await write(field("Handle"), "ada");
    await submit(button("Sign in"));
    expect(await screen.findByRole("heading", { level: 2, name: "Grace Hopper" })).toBeTruthy();
  });
});

describe("signing up", () => {
  test("by the link of an invite: no code is asked for, and the link has served then", async () => {
    const { model, page } = openApp("#/invite/s3cret", signedOut());
    await heading("Create your account");
    expect(screen.queryByRole("textbox", { name: "Invite code" })).toBeNull();
    await write(field("Handle"), "Ada");
    await write(field("Name (optional)"), " Ada Lovelace ");
    await write(labelled("Password"), "difference");
    await submit(button("Create account"));
    await screen.findByRole("navigation", { name: "Conversations" });
    expect(model.asked).toContain("signUp(ada, Ada Lovelace, s3cret)");
    expect(page.hash).toBe("#/");
  });

  test("the administrator's link says what it is", async () => {
    openApp("#/setup/first", signedOut());
    await heading("Create your account");
    expect(screen.getByText(/makes the first account/)).toBeTruthy();
  });

  // Kills: a look at the sign-in loses the invite.
  test("the code of the link is kept over a look at the sign-in", async () => {
    const { model } = openApp("#/invite/s3cret", signedOut());
    await fireEvent.click(button("Sign in instead"));
    await heading("Sign in to Parley");
    await fireEvent.click(button("Create an account"));
    await write(field("Handle"), "ada");
    await write(labelled("Password"), "difference");
    await submit(button("Create account"));
    await waitFor(() => expect(model.asked).toContain("signUp(ada, , s3cret)"));
  });

  test("without a link the code is asked for", async () => {
    const { model } = openApp("#/", signedOut());
    await fireEvent.click(button("Create an account"));
    await write(field("Handle"), "ada");
    await write(labelled("Password"), "difference");
    await write(field("Invite code"), " abc ");
    await submit(button("Create account"));
    await waitFor(() => expect(model.asked).toContain("signUp(ada, , abc)"));
  });

  test.each([
    ["", "difference", /A handle is 2 to 32/, "handle"],
    ["a b", "difference", /A handle is 2 to 32/, "handle"],
    ["ada", "short", /at least 8 characters/, "password"],
    ["ada", "𝟙𝟚𝟛𝟜", /at least 8 characters/, "password"],
  ])("%j with %j is refused here, before the server is asked", async (handle, password, said, focus) => {
    const { model } = openApp("#/setup/x", signedOut());
    await write(field("Handle"), handle);
    await write(labelled("Password"), password);
    await submit(button("Create account"));
    expect((await screen.findByRole("alert")).textContent).toMatch(said);
    expect((document.activeElement as HTMLInputElement).name).toBe(focus);
    expect(model.asked).toEqual([]);
  });

  test.each([
    ["conflict", /handle is taken/, "handle"],
    ["not_found", /invite is not valid/, "invite"],
    ["forbidden", /without an invite/, "invite"],
  ])("%s leads to what can be mended", async (code, said, focus) => {
    const model = signedOut();
    model.failing.set("signUp", new Failure(code, "x"));
    openApp("#/", model);
    await fireEvent.click(button("Create an account"));
    await write(field("Handle"), "ada");
    await write(labelled("Password"), "difference");
    await submit(button("Create account"));
    expect((await screen.findByRole("alert")).textContent).toMatch(said);
    expect((document.activeElement as HTMLInputElement).name).toBe(focus);
  });
});

test("the link of an invite, opened by somebody who is signed in, leads back", async () => {
  const { page } = openApp("#/invite/abc");
  await heading("You are already here");
  await fireEvent.click(button("Back to the conversations"));
  expect(page.hash).toBe("#/");
  expect(await screen.findByRole("navigation", { name: "Conversations" })).toBeTruthy();
});

test("while the database is read it says so", async () => {
  const model = new FakeModel();
  model.account.set({ state: "starting" });
  openApp("#/", model);
  expect(screen.getByRole("status").textContent).toMatch(/Opening/);
});

describe("a database that cannot be used", () => {
  const broken = () => {
    const model = new FakeModel();
    model.account.set({ state: "broken", failure: new Failure("unreadable", "") });
    return model;
  };

  test("is said, and reloading comes first", async () => {
    const { reloads } = openApp("#/", broken());
    expect(screen.getByRole("alert").textContent).toMatch(/could not store or read/);
    await fireEvent.click(button("Reload"));
    expect(reloads.count).toBe(1);
  });

  // Kills: one press erases what waits to be sent.
  test("is erased only when that was agreed to", async () => {
    const { model } = openApp("#/", broken());
    await fireEvent.click(button("Start over on this device"));
    expect(screen.getByText(/wait to be sent are lost/)).toBeTruthy();
    await waitFor(() => expect(document.activeElement).toBe(button("Cancel")));
    expect(model.asked).toEqual([]);
    await fireEvent.click(button("Erase and start over"));
    expect(await screen.findByRole("navigation", { name: "Conversations" })).toBeTruthy();
    expect(model.asked).toEqual(["startOver()"]);
  });
});
