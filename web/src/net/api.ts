import { device, entry, user } from "../wire/decode";
import { Failure } from "../wire/failure";
import type { Shape } from "../wire/shape";
import { MaxLimit } from "../wire/wire.gen";
import type * as wire from "../wire/wire.gen";
import * as answers from "./answers";
import type { Platform } from "./platform";

/** How long a call may take, its answer read to the end, in milliseconds. */
const PATIENCE = 15_000;

/** Pages of a list that are read at most: two thousand items. */
const PAGES = 10;

type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/**
 * The calls of the API, authorised by the session's cookie, which no script sees.
 *
 * Whatever goes wrong is a Failure: the server's; "offline" when no server of ours answered, or not in time, and then the outcome is unknown;
 * "internal" when the answer cannot be understood.
 */
export class Api {
  constructor(private readonly platform: Platform) {}

  /** Makes an account, and signs this device in. */
  register(form: { handle: string; password: string; name?: string; invite?: string }): Promise<wire.SignedIn> {
    const body: wire.NewAccount = { ...form, device: this.platform.device(), cookie: true };
    return this.call("POST", "/v1/accounts", answers.signedIn, body);
  }

  /** Signs this device in. */
  signIn(form: { handle: string; password: string }): Promise<wire.SignedIn> {
    const body: wire.NewSession = { ...form, device: this.platform.device(), cookie: true };
    return this.call("POST", "/v1/sessions", answers.signedIn, body);
  }

  signOut(): Promise<void> {
    return this.order("DELETE", "/v1/sessions/current");
  }

  me(): Promise<wire.Me> {
    return this.call("GET", "/v1/me", answers.me);
  }

  patchMe(patch: wire.MePatch): Promise<wire.Me> {
    return this.call("PATCH", "/v1/me", answers.me, patch);
  }

  /** Sends a picture as it is: the server says what it takes. */
  async setAvatar(picture: Blob): Promise<void> {
    await this.send("PUT", "/v1/me/avatar", picture);
  }

  async dropAvatar(): Promise<void> {
    await this.send("DELETE", "/v1/me/avatar");
  }

  devices(): Promise<wire.Device[]> {
    return this.list("/v1/devices", device);
  }

  signOutDevice(id: string): Promise<void> {
    return this.order("DELETE", `/v1/devices/${part(id)}`);
  }

  /** The invites that this person made, newest first. */
  invites(): Promise<wire.Invite[]> {
    return this.list("/v1/invites", answers.invite);
  }

  invite(uses: number, hours: number): Promise<wire.Invite> {
    return this.call("POST", "/v1/invites", answers.invite, { uses, hours } satisfies wire.NewInvite);
  }

  revokeInvite(code: string): Promise<void> {
    return this.order("DELETE", `/v1/invites/${part(code)}`);
  }

  /** Somebody by id or exact handle. */
  user(handleOrID: string): Promise<wire.User> {
    return this.call("GET", `/v1/users/${part(handleOrID)}`, user);
  }

  /** The one direct conversation with somebody, by id or handle; it is made if there is none. */
  createDirect(handleOrID: string): Promise<wire.Conversation> {
    return this.create({ kind: "direct", members: [handleOrID] });
  }

  /** A new group with these, by id or handle, and oneself. An empty title is none. */
  createGroup(title: string, members: readonly string[]): Promise<wire.Conversation> {
    return this.create({ kind: "group", members: [...members], ...(title === "" ? {} : { title }) });
  }

  conversation(id: string): Promise<wire.Conversation> {
    return this.call("GET", `/v1/conversations/${part(id)}`, answers.conversation);
  }

  /** The entries after that number, ascending, and the log's head. limit is at most MaxLimit. */
  entriesAfter(conversation: string, after: number, limit: number): Promise<wire.EntryPage> {
    return this.call("GET", `${entriesOf(conversation)}?after=${after}&limit=${limit}`, answers.entryPage);
  }

  /** The entries before that number, or up to the head if it is undefined; ascending too, the last before it last. */
  async entriesBefore(conversation: string, before: number | undefined, limit: number): Promise<wire.EntryPage> {
    const from = before === undefined ? "" : `before=${before}&`;
    const page = await this.call("GET", `${entriesOf(conversation)}?${from}limit=${limit}`, answers.entryPage);
    return { ...page, items: [...page.items].reverse() };
  }

  /** The entry that a message became, or a Failure "not_found": it was not committed. */
  entryByID(conversation: string, id: string): Promise<wire.Entry> {
    return this.call("GET", `${entriesOf(conversation)}/by-id/${part(id)}`, entry);
  }

  /** Posts. The same id again gives the same number, and again says so. */
  async post(conversation: string, message: wire.NewEntry): Promise<wire.Posted & { readonly again: boolean }> {
    const response = await this.send("POST", entriesOf(conversation), message);
    return { ...understand(response, answers.posted), again: response.status === 200 };
  }

  /** Moves the own markers, forward only. */
  mark(conversation: string, markers: wire.Markers): Promise<wire.MarkersNow> {
    return this.call("PUT", `/v1/conversations/${part(conversation)}/markers`, answers.markersNow, markers);
  }

  /** Changes a conversation: its title for everybody, the rest for the asker alone. */
  async patch(conversation: string, patch: wire.ConversationPatch): Promise<void> {
    await this.send("PATCH", `/v1/conversations/${part(conversation)}`, patch);
  }

  /** Deletes entries for the asker alone. */
  async hide(conversation: string, entries: readonly number[]): Promise<void> {
    await this.send("POST", `/v1/conversations/${part(conversation)}/hidden`, { entries: [...entries] } satisfies wire.Hide);
  }

  async addMembers(conversation: string, change: wire.NewMembers): Promise<void> {
    await this.send("POST", membersOf(conversation), change);
  }

  /** user may be "me": then the asker leaves. */
  async removeMember(conversation: string, user: string): Promise<void> {
    await this.send("DELETE", `${membersOf(conversation)}/${part(user)}`);
  }

  async setRole(conversation: string, user: string, change: wire.MemberPatch): Promise<void> {
    await this.send("PATCH", `${membersOf(conversation)}/${part(user)}`, change);
  }

  groupInvites(conversation: string): Promise<wire.GroupInvite[]> {
    return this.list(`/v1/conversations/${part(conversation)}/invites`, answers.groupInvite);
  }

  groupInvite(conversation: string, invite: wire.NewGroupInvite): Promise<wire.GroupInvite> {
    return this.call("POST", `/v1/conversations/${part(conversation)}/invites`, answers.groupInvite, invite);
  }

  async revokeGroupInvite(conversation: string, code: string): Promise<void> {
    await this.send("DELETE", `/v1/conversations/${part(conversation)}/invites/${part(code)}`);
  }

  /** What an invite leads to. */
  joinPreview(code: string): Promise<wire.GroupInvite> {
    return this.call("GET", `/v1/join/${part(code)}`, answers.groupInvite);
  }

  join(code: string): Promise<wire.Conversation> {
    return this.call("POST", `/v1/join/${part(code)}`, answers.conversation);
  }

  /** Every wording of a message, the first one first. */
  editions(conversation: string, seq: number): Promise<wire.Edition[]> {
    return this.list(`/v1/conversations/${part(conversation)}/edits/${seq}`, answers.edition);
  }

  reactors(conversation: string, seq: number): Promise<wire.Reactor[]> {
    return this.list(`/v1/conversations/${part(conversation)}/reactions/${seq}`, answers.reactor);
  }

  contacts(): Promise<wire.Contact[]> {
    return this.list("/v1/contacts", answers.contact);
  }

  setContact(user: string, change: wire.ContactChange): Promise<wire.Contact> {
    return this.call("PUT", `/v1/contacts/${part(user)}`, answers.contact, change);
  }

  /** Forgets a contact, or takes a request back. */
  async forgetContact(user: string): Promise<void> {
    await this.send("DELETE", `/v1/contacts/${part(user)}`);
  }

  /** One page of what a search finds, the newest first. */
  async search(text: string, conversation?: string): Promise<wire.Found[]> {
    const within = conversation === undefined ? "" : `&conversation=${part(conversation)}`;
    return (await this.call("GET", `/v1/search?q=${part(text)}&limit=50${within}`, answers.page(answers.found))).items;
  }

  /** All of them: nobody has many. */
  async bots(): Promise<wire.Bot[]> {
    return (await this.call("GET", "/v1/bots", answers.page(answers.bot))).items;
  }

  newBot(bot: wire.NewBot): Promise<wire.Bot> {
    return this.call("POST", "/v1/bots", answers.bot, bot);
  }

  patchBot(user: string, patch: wire.BotPatch): Promise<wire.Bot> {
    return this.call("PATCH", `/v1/bots/${part(user)}`, answers.bot, patch);
  }

  async deleteBot(user: string): Promise<void> {
    await this.send("DELETE", `/v1/bots/${part(user)}`);
  }

  /** A new token; the old one is good no more. */
  newBotToken(user: string): Promise<wire.BotToken> {
    return this.call("POST", `/v1/bots/${part(user)}/token`, answers.botToken);
  }

  private create(body: wire.NewConversation): Promise<wire.Conversation> {
    return this.call("POST", "/v1/conversations", answers.conversation, body);
  }

  /** A whole list, page after page; what is beyond the bound is left out. */
  private async list<T>(path: string, item: Shape<T>): Promise<T[]> {
    const shape = answers.page(item);
    const items: T[] = [];
    let next: string | null = "";
    for (let pages = 0; next !== null && pages < PAGES; pages++) {
      const cursor: string = next === "" ? "" : `&cursor=${part(next)}`;
      const page: wire.List<T> = await this.call("GET", `${path}?limit=${MaxLimit}${cursor}`, shape);
      items.push(...page.items);
      next = page.next;
    }
    return items;
  }

  /** A call that is answered with something. */
  private async call<T>(method: Method, path: string, shape: Shape<T>, body?: object): Promise<T> {
    return understand(await this.send(method, path, body), shape);
  }

  /** A call that is answered with nothing. */
  private async order(method: Method, path: string): Promise<void> {
    const { status } = await this.send(method, path);
    if (status !== 204) throw interposed();
  }

  /** Sends a request and reads the answer to its end. Anything but success is a Failure. */
  private async send(method: Method, path: string, body?: object): Promise<Answered> {
    const timeout = new AbortController();
    const callOff = this.platform.setTimer(() => timeout.abort(), PATIENCE);
    try {
      const response = await this.platform.fetch(path, {
        method,
        credentials: "same-origin",
        cache: "no-store",
        redirect: "error", // the API never redirects; what does must not get a password
        signal: timeout.signal,
        ...(body === undefined ? {} : content(body)),
      });
      const text = await response.text();
      if (!response.ok) throw failure(response, text, this.platform.now());
      return { status: response.status, type: response.headers.get("Content-Type") ?? "", text };
    } catch (why) {
      if (why instanceof Failure) throw why;
      throw new Failure("offline", timeout.signal.aborted ? "The server did not answer in time." : "The server cannot be reached.");
    } finally {
      callOff();
    }
  }
}

/** What is sent as it is, and the rest as JSON. */
function content(body: object): { body: BodyInit; headers: Record<string, string> } {
  if (typeof Blob !== "undefined" && body instanceof Blob) return { body, headers: { "Content-Type": body.type } };
  return { body: JSON.stringify(body), headers: { "Content-Type": "application/json" } };
}

interface Answered {
  readonly status: number;
  readonly type: string;
  readonly text: string;
}

/** Reads an answer of that shape. */
function understand<T>(answered: Answered, shape: Shape<T>): T {
  const value = /^application\/json\b/i.test(answered.type) ? json(answered.text) : undefined;
  if (value === undefined) throw interposed();
  if (!shape(value)) throw new Failure("internal", "The server gave an answer that this page does not understand.");
  return value;
}

/** What a response that is no success says. */
function failure(response: Response, text: string, now: number): Failure {
  const wait = retryAfter(response.headers.get("Retry-After"), now);
  const problem = /^application\/problem\+json\b/i.test(response.headers.get("Content-Type") ?? "") ? json(text) : undefined;
  if (!answers.problem(problem)) return interposed(wait);
  return new Failure(problem.code, problem.detail ?? "", Math.max(problem.retry_after_ms ?? 0, wait));
}

/** Something between here and the server answered in its place: a proxy that cannot reach it, the portal of a network that wants a sign-in. */
function interposed(wait = 0): Failure {
  return new Failure("offline", "Something between this device and the server answered in its place.", wait);
}

/** The value of a text; undefined if it is no JSON. */
function json(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The milliseconds that a Retry-After header asks for, in seconds or by a date; 0 if it asks for none. */
function retryAfter(header: string | null, now: number): number {
  if (header === null) return 0;
  const wait = /^\d{1,7}$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return wait > 0 ? wait : 0; // no date is NaN
}

function entriesOf(conversation: string): string {
  return `/v1/conversations/${part(conversation)}/entries`;
}

function membersOf(conversation: string): string {
  return `/v1/conversations/${part(conversation)}/members`;
}

/** A text as one part of a path, or as a value of a query. */
function part(text: string): string {
  return encodeURIComponent(text);
}
