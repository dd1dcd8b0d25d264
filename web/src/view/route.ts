/**
 * Where in the app one is, as the page's address says after the "#": nothing of it reaches a server.
 *
 * Each entry of the history that is made here remembers the address it was reached from, so that going up is the browser's Back
 * wherever that comes to the same, and the history does not grow by going in and out.
 */
import { get, readonly, writable, type Readable } from "svelte/store";

export type Route =
  | { readonly at: "list" }
  | { readonly at: "conversation"; readonly id: string; readonly seq?: number }
  | { readonly at: "invite" | "setup" | "join"; readonly code: string }
  | { readonly at: "settings" | "contacts" }
  | { readonly at: "nowhere" };

/** What a browser's window has of this. */
export interface Page {
  readonly location: { readonly hash: string };
  readonly history: {
    readonly state: unknown;
    pushState(state: unknown, unused: string, url: string): void;
    replaceState(state: unknown, unused: string, url: string): void;
    back(): void;
  };
  addEventListener(type: "hashchange" | "popstate", run: () => void): void;
  removeEventListener(type: "hashchange" | "popstate", run: () => void): void;
}

/** The address of a route. */
export function address(route: Route): string {
  switch (route.at) {
    case "conversation":
      return `#/c/${route.id}${route.seq ? `/${route.seq}` : ""}`;
    case "invite":
    case "setup":
    case "join":
      return `#/${route.at}/${route.code}`;
    case "settings":
    case "contacts":
      return `#/${route.at}`;
    default:
      return "#/";
  }
}

/** The route of an address. */
export function parse(hash: string): Route {
  if (/^#?\/?$/.test(hash)) return { at: "list" };
  if (hash === "#/settings" || hash === "#/contacts") return { at: hash === "#/settings" ? "settings" : "contacts" };
  // A link from a server that knows no route of the app begins without the slash.
  const [, what, id, seq] = /^#\/?(c|invite|setup|join)\/([0-9A-Za-z._~-]{1,64})(?:\/([1-9]\d{0,15}))?$/.exec(hash) ?? [];
  if (!id || (seq && what !== "c")) return { at: "nowhere" };
  if (what === "c") return { at: "conversation", id, ...(seq ? { seq: Number(seq) } : {}) };
  return { at: what as "invite" | "setup" | "join", code: id };
}

export class Router {
  readonly route: Readable<Route>;
  readonly #page: Page;
  readonly #route;
  readonly #moved = () => this.#read();

  constructor(page: Page) {
    this.#page = page;
    this.#route = writable(parse(page.location.hash));
    this.route = readonly(this.#route);
    page.addEventListener("hashchange", this.#moved);
    page.addEventListener("popstate", this.#moved);
  }

  /** Goes there; Back returns here. */
  go(to: Route): void {
    const from = address(get(this.#route));
    if (address(to) === from) return;
    this.#page.history.pushState({ from }, "", address(to));
    this.#route.set(to);
  }

  /** Goes there in place of where one is. */
  replace(to: Route): void {
    this.#page.history.replaceState(this.#page.history.state, "", address(to));
    this.#route.set(to);
  }

  /** Goes up to the list, over the browser's Back if one came from there. */
  toList(): void {
    if (this.#from() === "#/") this.#page.history.back();
    else this.replace({ at: "list" });
  }

  /** Leaves what lies over something else: back to where one came from, else to the list. */
  leave(): void {
    if (this.#from() !== undefined) this.#page.history.back();
    else this.replace({ at: "list" });
  }

  close(): void {
    this.#page.removeEventListener("hashchange", this.#moved);
    this.#page.removeEventListener("popstate", this.#moved);
  }

  #read(): void {
    const now = parse(this.#page.location.hash);
    // Both events come for one move; only a change is told.
    if (address(now) !== address(get(this.#route)) || now.at !== get(this.#route).at) this.#route.set(now);
  }

  #from(): string | undefined {
    const state = this.#page.history.state;
    if (typeof state === "object" && state !== null && "from" in state && typeof state.from === "string") return state.from;
    return undefined;
  }
}
