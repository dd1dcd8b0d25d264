/** The whole app on a model in memory and a history without a browser, for tests. */
import { configure, render, screen } from "@testing-library/svelte";
import { vi } from "vitest";
import App from "./App.svelte";
import { FakeModel, Value } from "./fakemodel";
import { FakePage } from "./fakepage";
import { more } from "./later";
import { Router } from "./route";

// A busy machine may take its time; what fails by waiting fails all the same.
configure({ asyncUtilTimeout: 10_000 });
vi.setConfig({ testTimeout: 60_000 });

// As on a page that has been there for a moment.
await more();

/** Opens the app at an address. The window is as wide as given, in pixels. */
export function openApp(hash = "#/", model = new FakeModel(), width = 1280) {
  window.happyDOM.setViewport({ width, height: 800 });
  const page = new FakePage(hash);
  const ready = new Value(false);
  const reloads = { count: 0 };
  const app = render(App, { model, router: new Router(page), update: { ready, reload: () => void reloads.count++ } });
  return { model, page, ready, reloads, app };
}

/** Something that can be pressed or written in, by its role and name. */
export const button = (name: string | RegExp) => screen.getByRole("button", { name });
export const field = (name: string | RegExp) => screen.getByRole("textbox", { name });
/** Password fields have no role; they have a label. */
export const labelled = (name: string | RegExp) => screen.getByLabelText(name);

declare global {
  interface Window {
    happyDOM: { setViewport(size: { width: number; height: number }): void };
  }
}
