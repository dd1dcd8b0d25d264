// @vitest-environment happy-dom
import { cleanup, fireEvent, screen } from "@testing-library/svelte";
import { afterEach, expect, test } from "vitest";
import { button, openApp } from "./fakeapp";
import { forget, more } from "./later";

afterEach(async () => {
  cleanup();
  forget();
  await more();
});

// Kills: a button that does nothing because its dialog could not be fetched, and a failure that is never tried anew.
test("what cannot be fetched says so, and is tried again", async () => {
  let asked = 0;
  forget(() => (asked++, Promise.reject(new TypeError("no network"))));
  openApp("#/settings");
  await screen.findByRole("dialog", { name: "This could not be opened" });
  await fireEvent.click(button("Try again"));
  await screen.findByRole("dialog", { name: "This could not be opened" });
  expect(asked).toBeGreaterThan(1);
  forget();
  await fireEvent.click(button("Try again"));
  await screen.findByRole("dialog", { name: "Settings" });
});

// Kills: a page that waits in silence, and one that fetches the same thing twice.
test("what is on its way says so, and is asked for once", async () => {
  let asked = 0;
  let come: () => void = () => undefined;
  const all = await more();
  forget(() => (asked++, new Promise((done) => (come = () => done(all)))));
  openApp("#/settings");
  await screen.findByRole("dialog", { name: "One moment" });
  const waiting = [more(), more()];
  come();
  await Promise.all(waiting);
  await screen.findByRole("dialog", { name: "Settings" });
  expect(asked).toBe(1);
});
