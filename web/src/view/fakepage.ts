/** A browser's address bar and history without a browser. */
import type { Page } from "./route";

export class FakePage implements Page {
  readonly entries: { hash: string; state: unknown }[];
  at = 0;
  readonly #heard = new Map<string, Set<() => void>>();

  /** @param hash the address it was opened at */
  constructor(hash: string) {
    this.entries = [{ hash, state: null }];
  }

  get location() {
    return { hash: this.entries[this.at]?.hash ?? "" };
  }

  /** What the address bar shows. */
  get hash(): string {
    return this.location.hash;
  }

  readonly history = ((page: FakePage) => ({
    get state() {
      return page.entries[page.at]?.state;
    },
    pushState(state: unknown, _: string, hash: string) {
      page.entries.splice(++page.at, Infinity, { hash, state });
    },
    replaceState(state: unknown, _: string, hash: string) {
      page.entries[page.at] = { hash, state };
    },
    back() {
      if (page.at === 0) return; // out of the app
      page.at--;
      page.tell();
    },
  }))(this);

  addEventListener(type: string, run: () => void) {
    this.#heard.set(type, (this.#heard.get(type) ?? new Set()).add(run));
  }

  removeEventListener(type: string, run: () => void) {
    this.#heard.get(type)?.delete(run);
  }

  /** Somebody edits the address. */
  type(hash: string) {
    this.entries.splice(++this.at, Infinity, { hash, state: null });
    this.tell();
  }

  private tell() {
    for (const type of ["popstate", "hashchange"]) for (const run of this.#heard.get(type) ?? []) run();
  }
}

