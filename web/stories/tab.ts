/// <reference types="node" />
/**
 * A tab with the app in it, used as a person uses it: things are found by their role and name alone.
 */
import type { Locator, Page } from "playwright-core";
import { expect } from "vitest";

/** How long the app may take for anything, on a machine that does other things as well. */
export const soon = 15_000;

/** A pattern for texts that are this, or that begin with it. */
export const exactly = (text: string): RegExp => new RegExp(`^\\s*${escaped(text)}\\s*$`);
export const startingWith = (text: string): RegExp => new RegExp(`^\\s*${escaped(text)}`);

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&").replace(/\s+/g, "\\s+");
}

export type Receipt = "Waiting to be sent" | "Not sent" | "Sent" | "Delivered" | "Read";

export class Tab {
  constructor(
    readonly page: Page,
    readonly url: string,
  ) {}

  // What is there.

  button(name: string | RegExp, within: Locator | Page = this.page): Locator {
    return within.getByRole("button", { name, exact: true });
  }
  field(name: string, within: Locator | Page = this.page): Locator {
    return within.getByRole("textbox", { name, exact: true });
  }
  dialog(name: string): Locator {
    return this.page.getByRole("dialog", { name, exact: true });
  }
  get side(): Locator {
    return this.page.getByRole("navigation", { name: "Conversations" });
  }
  get search(): Locator {
    return this.page.getByRole("searchbox", { name: "Search conversations" });
  }
  get list(): Locator {
    return this.page.getByRole("list", { name: "Conversations" });
  }
  /** The conversation with this title, in the list. */
  row(title: string): Locator {
    return this.list.getByRole("link", { name: startingWith(title) });
  }
  get main(): Locator {
    return this.page.getByRole("main");
  }
  /** The title of the open conversation. */
  heading(title: string): Locator {
    return this.main.getByRole("heading", { level: 2, name: title, exact: true });
  }
  get log(): Locator {
    return this.page.getByRole("log", { name: "Messages" });
  }
  get articles(): Locator {
    return this.log.getByRole("article");
  }
  /** The message that says this, and nothing else. */
  message(text: string): Locator {
    return this.articles.filter({ has: this.page.locator(".text", { hasText: exactly(text) }) });
  }
  receipt(text: string, state: Receipt): Locator {
    return this.message(text).getByRole("img", { name: state, exact: true });
  }
  get composer(): Locator {
    return this.field("Message");
  }
  get alert(): Locator {
    return this.page.getByRole("alert").filter({ hasText: /\S/ });
  }
  status(text: string | RegExp): Locator {
    return this.page.getByRole("status").filter({ hasText: text });
  }

  /** What the messages that are on the page say, the oldest first. */
  async texts(): Promise<string[]> {
    return (await this.articles.locator(".text").allInnerTexts()).map((text) => text.trim());
  }

  /** Waits until the messages on the page say this, in this order, each once. */
  async shows(texts: readonly string[]): Promise<void> {
    await expect.poll(() => this.texts(), { timeout: soon }).toEqual(texts);
  }

  /** Waits until the document fulfils a condition; it runs in the page. */
  async until(condition: () => boolean): Promise<void> {
    await this.page.waitForFunction(condition, undefined, { timeout: soon });
  }

  // What a person does.

  async goto(route = "#/"): Promise<void> {
    await this.page.goto(`${this.url}/${route}`);
  }

  async signUp(form: { handle: string; name?: string; password: string; invite?: string }): Promise<void> {
    await this.page.getByRole("heading", { level: 1, name: "Create your account" }).waitFor();
    await this.field("Handle").fill(form.handle);
    if (form.name !== undefined) await this.field("Name (optional)").fill(form.name);
    await this.field("Password").fill(form.password);
    if (form.invite !== undefined) await this.field("Invite code").fill(form.invite);
    await this.button("Create account").click();
  }

  async signIn(form: { handle: string; password: string }): Promise<void> {
    await this.page.getByRole("heading", { level: 1, name: "Sign in to Parley" }).waitFor();
    await this.field("Handle").fill(form.handle);
    await this.field("Password").fill(form.password);
    await this.button("Sign in").click();
  }

  /** Waits until somebody is in: the list is there. */
  async inside(): Promise<void> {
    await this.side.waitFor();
  }

  /** Waits until the worker serves the app, so that it opens without a network. */
  async installed(): Promise<void> {
    await this.page.waitForFunction(async () => (await navigator.serviceWorker.ready).active?.state === "activated", undefined, { timeout: soon });
  }

  async newConversation(): Promise<Locator> {
    await this.button("New conversation", this.side).click();
    const dialog = this.dialog("New conversation");
    await dialog.waitFor();
    return dialog;
  }

  async startDirect(handle: string, title = handle): Promise<void> {
    const dialog = await this.newConversation();
    await this.field("Handle", dialog).fill(handle);
    await this.button("Start conversation", dialog).click();
    await this.heading(title).waitFor();
  }

  async createGroup(title: string, handles: readonly string[]): Promise<void> {
    await this.button("New group", await this.newConversation()).click();
    const dialog = this.dialog("New group");
    await this.field("Group name", dialog).fill(title);
    for (const handle of handles) {
      await this.field("Member’s handle", dialog).fill(handle);
      await this.button("Add", dialog).click();
      await dialog.getByRole("button", { name: /^Remove / }).nth(handles.indexOf(handle)).waitFor();
    }
    await this.button("Create group", dialog).click();
    await this.heading(title).waitFor();
  }

  /** Opens a conversation; a stranger who began it is looked for among the requests, and let in. */
  async open(title: string): Promise<void> {
    const requests = this.side.getByRole("button", { name: /^Message requests/ });
    await this.row(title).or(requests).first().waitFor();
    // A conversation moves between the list and the requests while somebody is let in.
    await expect
      .poll(
        async () => {
          if ((await this.row(title).count()) === 0 && (await requests.isVisible())) await requests.click({ timeout: 2_000 }).catch(() => undefined);
          return this.row(title).click({ timeout: 2_000 }).then(() => true, () => false);
        },
        { timeout: soon },
      )
      .toBe(true);
    await this.heading(title).waitFor();
    const accept = this.button("Accept", this.main);
    if (await accept.isVisible()) await accept.click();
    await this.composer.waitFor();
  }

  /** Chooses from a message's menu. */
  async act(text: string, choice: string): Promise<void> {
    await this.message(text).first().locator(".bubble").click({ button: "right" });
    await this.page.getByRole("menu").getByRole("menuitem", { name: choice, exact: true }).click();
  }

  /** Reacts to a message with one of the common emoji. */
  async react(text: string, emoji: string): Promise<void> {
    await this.message(text).first().locator(".bubble").click({ button: "right" });
    await this.page.getByRole("menuitemradio", { name: `React with ${emoji}`, exact: true }).click();
  }

  /** Chooses from the menu of the open conversation. */
  async more(choice: string): Promise<void> {
    await this.button("More about this conversation").click();
    await this.page.getByRole("menuitem", { name: choice, exact: true }).click();
  }

  /** Goes to the end, from wherever the conversation opened. */
  async toNewest(): Promise<void> {
    const jump = this.page.getByRole("button", { name: /^Jump to newest/ });
    if (await jump.isVisible()) await jump.click();
  }

  async say(text: string): Promise<void> {
    await this.composer.fill(text);
    await this.composer.press("Enter");
    await expect.poll(() => this.composer.inputValue(), { timeout: soon }).toBe("");
  }

  /** Says text and waits until the server has it. */
  async sayAndSee(text: string): Promise<void> {
    await this.say(text);
    await this.message(text).getByRole("img", { name: /^(Sent|Delivered|Read)$/ }).waitFor();
  }

  async settings(): Promise<void> {
    await this.button("Settings", this.side).click();
    await this.page.getByRole("heading", { level: 2, name: "Profile" }).waitFor();
  }

  /** The id of the open conversation. */
  conversation(): string {
    const id = /#\/c\/([^/?]+)/.exec(this.page.url())?.[1];
    if (id === undefined) throw new Error(`no conversation is open: ${this.page.url()}`);
    return decodeURIComponent(id);
  }
}
