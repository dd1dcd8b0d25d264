/// <reference types="node" />
/**
 * What every story stands on: a world with a server of its own, people in browsers and at terminals, and an eye on all that must never
 * happen. A story fails on an error on any page's console, an error nobody caught, a broken content security policy, a request that leaves
 * the origin, a dialog of the browser, or a page that crashed. Then a picture of every page, a trace and the server's log are kept.
 */
import { mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Browser, type BrowserContext, type BrowserContextOptions, chromium, type Page } from "playwright-core";
import { afterAll, inject, test } from "vitest";
import { Server, type ServerOptions } from "./server";
import { soon, Tab } from "./tab";
import { Terminal } from "./terminal";

export { Server } from "./server";
export { exactly, soon, startingWith, Tab } from "./tab";
export { Terminal } from "./terminal";

/** What Chromium writes to the console by itself when a server cannot be reached. */
export const unreachable = /Failed to load resource: net::ERR_|WebSocket connection to '[^']*' failed/;
/** The same for an answer that is an error. */
export const answered = (status: number): RegExp => new RegExp(`Failed to load resource: the server responded with a status of ${status}`);

export interface StoryOptions {
  /** the server's; each story that asks for any has a server of its own */
  readonly server?: ServerOptions;
  /** what the console may say in this story */
  readonly allow?: readonly RegExp[];
  /** milliseconds for the whole story */
  readonly within?: number;
  /** false: the browser is not traced, because times are measured */
  readonly trace?: boolean;
}

/** A person with a browser of their own: what one profile on one device is. */
export interface Person {
  readonly handle: string;
  readonly name: string;
  readonly password: string;
  readonly context: BrowserContext;
  readonly tab: Tab;
}

const password = "correct horse battery";
/** How many have come: handles are told apart by it. */
let people = 0;

let browsing: Promise<Browser> | undefined;
const browser = (): Promise<Browser> => (browsing ??= chromium.connect(inject("browser")));

let common: Promise<Server> | undefined;

afterAll(async () => {
  await (await common)?.remove();
  await (await browsing)?.close();
  common = browsing = undefined;
});

/** Tells a story: a test with a world in it. */
export function story(name: string, tell: (world: World) => Promise<void>, options: StoryOptions = {}): void {
  test(name, { timeout: options.within ?? 60_000 }, async () => {
    const own = options.server !== undefined;
    const server = await (own ? Server.start(options.server) : (common ??= Server.start()));
    const world = new World(server, options);
    try {
      await tell(world);
      world.check();
    } catch (err) {
      const kept = await world.keep(name);
      throw err instanceof Error ? Object.assign(err, { message: `${err.message}\nwhat was seen is in ${kept}` }) : err;
    } finally {
      await world.end();
      if (own) await server.remove();
    }
  });
}

export class World {
  /** what happened and must not */
  readonly #faults: string[] = [];
  readonly #contexts: BrowserContext[] = [];
  readonly #pages: Page[] = [];
  readonly #allowed: RegExp[];

  constructor(
    readonly server: Server,
    readonly options: StoryOptions,
  ) {
    this.#allowed = [...(options.allow ?? [])];
  }

  /** A handle that nobody has yet. */
  handle(name: string): string {
    return `${name.toLowerCase().replace(/[^a-z0-9]/g, "")}.${(people++).toString(36)}`;
  }

  /** Somebody who opened the app for the first time, in a browser of their own. */
  async visitor(name: string, options: BrowserContextOptions = {}, url = this.server.url): Promise<Person> {
    const context = await this.#context(options, url);
    return { handle: this.handle(name), name, password, context, tab: await this.tab(context, url) };
  }

  /** Somebody who has just signed up. */
  async person(name: string, options: BrowserContextOptions = {}, url = this.server.url): Promise<Person> {
    const person = await this.visitor(name, options, url);
    await person.tab.goto();
    await person.tab.button("Create an account").click();
    await person.tab.signUp({ ...person });
    await person.tab.inside();
    return person;
  }

  /** Another browser of somebody who has an account, signed in. */
  async device(of: { handle: string; name: string; password: string }, options: BrowserContextOptions = {}): Promise<Person> {
    const context = await this.#context(options, this.server.url);
    const tab = await this.tab(context);
    await tab.goto();
    await tab.signIn(of);
    await tab.inside();
    return { ...of, context, tab };
  }

  /** Another tab in the same browser. */
  async tab(context: BrowserContext, url = this.server.url): Promise<Tab> {
    const page = await context.newPage();
    this.#pages.push(page);
    return new Tab(page, url);
  }

  /** Somebody at a terminal, with a new account. */
  terminal(name: string): Promise<Terminal> {
    return Terminal.open(this.server, this.handle(name), password);
  }

  /** A terminal of somebody who has an account. */
  terminalOf(person: Person): Promise<Terminal> {
    return Terminal.open(this.server, person.handle, person.password, "there");
  }

  /** Lets the console say this from now on. */
  allow(...what: RegExp[]): void {
    this.#allowed.push(...what);
  }

  async #context(options: BrowserContextOptions, url: string): Promise<BrowserContext> {
    const context = await (await browser()).newContext({
      locale: "en-GB",
      timezoneId: "UTC",
      viewport: { width: 1280, height: 800 },
      permissions: ["clipboard-read", "clipboard-write"],
      ...options,
    });
    this.#contexts.push(context);
    context.setDefaultTimeout(soon);
    this.#watch(context, url);
    await context.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (e) => {
        console.error(`policy broken: ${e.effectiveDirective} by ${e.blockedURI || e.sample} at ${e.sourceFile}:${e.lineNumber}`);
      });
    });
    if (this.options.trace !== false) await context.tracing.start({ snapshots: true });
    return context;
  }

  #watch(context: BrowserContext, url: string): void {
    const fault = (what: string) => {
      if (!this.#allowed.some((pattern) => pattern.test(what))) this.#faults.push(what);
    };
    context.on("console", (message) => {
      if (message.type() !== "error") return;
      const at = message.location();
      fault(`console: ${message.text()} (${at.url}:${at.lineNumber})`);
    });
    context.on("weberror", (error) => fault(`not caught: ${error.error().stack ?? error.error().message}`));
    context.on("request", (request) => {
      if (!/^(data|blob):/.test(request.url()) && new URL(request.url()).host !== new URL(url).host) fault(`left the origin: ${request.url()}`);
    });
    context.on("dialog", (dialog) => {
      fault(`a dialog of the browser: ${dialog.type()} ${dialog.message()}`);
      void dialog.dismiss();
    });
    context.on("page", (page) => page.on("crash", () => fault(`crashed: ${page.url()}`)));
  }

  /** What happened and must not, up to now; it is forgiven. */
  forgiven(): string[] {
    return this.#faults.splice(0);
  }

  /** Throws if something happened that must not. */
  check(): void {
    if (this.#faults.length > 0) throw new Error(`what must not happen:\n${this.#faults.slice(0, 20).join("\n")}`);
  }

  /** Keeps what a person wants to see who looks into a failure; the directory. */
  async keep(name: string): Promise<string> {
    const dir = await mkdtemp(join(tmpdir(), `story-${name.toLowerCase().replace(/[^a-z0-9]+/g, "-").slice(0, 40)}-`));
    await writeFile(join(dir, "faults.txt"), this.#faults.join("\n"));
    await writeFile(join(dir, "server.log"), this.server.log);
    await Promise.allSettled([
      ...this.#pages.map((page, i) => page.screenshot({ path: join(dir, `page-${i + 1}.png`), timeout: 5_000 })),
      ...this.#pages.map(async (page, i) => writeFile(join(dir, `page-${i + 1}.txt`), await page.locator("body").ariaSnapshot({ timeout: 5_000 }))),
      ...this.#contexts.map((context, i) => (this.options.trace === false ? undefined : context.tracing.stop({ path: join(dir, `trace-${i + 1}.zip`) }))),
    ]);
    return dir;
  }

  async end(): Promise<void> {
    await Promise.allSettled(this.#contexts.map((context) => context.close()));
  }
}
