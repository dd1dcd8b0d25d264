/**
 * The model: what the app knows and does, without a screen.
 *
 * The parts: Accounts (who is signed in), List, Contacts and OpenTimeline (what is shown), History and Details (what is fetched over HTTP, in
 * any tab), Ephemera (who is online and types), Leadership (which tab has the connection) and, in that tab alone, Sync with its Sender, Marker and Wishes. They work on one Database, and tell
 * each other and the other tabs through Tabs what was committed there.
 */
import { Database, Fault, Stale } from "../db/database";
import { Api } from "../net/api";
import { Failure } from "../wire/failure";
import {
  MaxMembers,
  MaxTextRunes,
  type Bot as WireBot,
  type Conversation as WireConversation,
  type Device as WireDevice,
  type GroupInvite as WireGroupInvite,
  type Invite as WireInvite,
} from "../wire/wire.gen";
import { Accounts } from "./account";
import { Cell } from "./cell";
import { Coalesced } from "./coalesced";
import { Contacts } from "./contacts";
import { List } from "./conversations";
import { fetched, type Core } from "./core";
import { Ephemera } from "./ephemera";
import { Details, History } from "./history";
import { Leadership } from "./leadership";
import { newID } from "./id";
import type { Bot, Connection, Device, GroupInvite, Hit, Invite, Message, Model, Person, Privacy, Standing, Timeline } from "./model";
import { world, type Outside } from "./outside";
import { person } from "./persons";
import { here, there } from "./search";
import { Sync } from "./sync";
import { Tabs, type News } from "./tabs";
import { OpenTimeline } from "./timeline";

export type * from "./model";
export type { Outside } from "./outside";

/** createModel begins to read the database and to connect. Parts of the outside world may be given by tests. */
export function createModel(outside: Partial<Outside> = {}): Model {
  return new Parley({ ...(complete(outside) ? {} : world()), ...outside } as Outside);
}

function complete(outside: Partial<Outside>): outside is Outside {
  return "locks" in outside && "fetch" in outside; // a whole world of a test: the browser's is not touched
}

class Parley implements Model, Core {
  readonly connection = new Cell<Connection>({ state: "connecting" });
  readonly limits = new Cell({ text: MaxTextRunes, members: MaxMembers });
  readonly db: Database;
  readonly api: Api;
  readonly tabs: Tabs;
  private readonly accounts: Accounts;
  private readonly list: List;
  private readonly history: History;
  private readonly details: Details;
  private readonly ephemera: Ephemera;
  private readonly people: Contacts;
  private readonly leadership: Leadership;
  private readonly timelines = new Set<OpenTimeline>();
  private readonly unwake: () => void;
  private readonly steering = new Coalesced(() => this.steer());
  private sync: Sync | undefined;
  private syncFor: string | undefined; // the user whom sync serves
  private readonly named = new Set<string>(); // conversations whose members were asked for, for their names
  private leads = false;
  private me: string | undefined;
  private closed = false;

  constructor(readonly outside: Outside) {
    this.db = new Database(outside.engine());
    this.db.open = () => new Set([...this.timelines].map((t) => t.conversation));
    this.api = new Api(outside);
    this.tabs = new Tabs(outside.channel("parley"));
    this.history = new History(this);
    this.details = new Details(this);
    this.ephemera = new Ephemera(outside, this.tabs);
    this.people = new Contacts(this);
    this.list = new List(this, (ids) => this.name(ids));
    this.accounts = new Accounts(this, () => this.prepare(), (me) => this.turned(me));
    this.tabs.listen((news) => this.hear(news));
    this.unwake = outside.onWake(() => void this.look());
    this.leadership = new Leadership(outside, () => this.lead());
    void this.accounts.changed().then(() => this.accounts.finishLeaving()).catch((why: unknown) => this.background(why));
    this.tabs.others({ t: "who" });
    this.leadership.start();
  }

  get account() {
    return this.accounts.cell;
  }

  get conversations() {
    return this.list.cell;
  }

  signUp(form: { handle: string; password: string; name: string; invite: string }): Promise<void> {
    return this.accounts.signUp(form);
  }

  signIn(form: { handle: string; password: string }): Promise<void> {
    return this.accounts.signIn(form);
  }

  signOut(): Promise<void> {
    return this.accounts.signOut();
  }

  unsent(): Promise<number> {
    return this.db.read(async (tx) => (await tx.all("outbox")).filter((row) => !row.acked).length);
  }

  async profile(change: { readonly name?: string; readonly status?: string }): Promise<void> {
    await this.accounts.changedTo(await this.ask(() => this.api.patchMe(change)));
  }

  async picture(file: Blob | undefined): Promise<void> {
    await this.ask(() => (file ? this.api.setAvatar(file) : this.api.dropAvatar()));
    await this.accounts.changedTo(await this.ask(() => this.api.me()));
  }

  async privacy(): Promise<Privacy> {
    return (await this.ask(() => this.api.me())).privacy ?? { receipts: true, presence: true };
  }

  async setPrivacy(change: Partial<Privacy>): Promise<void> {
    await this.ask(() => this.api.patchMe(change));
  }

  async devices(): Promise<readonly Device[]> {
    return (await this.ask(() => this.api.devices())).map(deviceOf);
  }

  signOutDevice(id: string): Promise<void> {
    return this.ask(() => this.api.signOutDevice(id));
  }

  async invites(): Promise<readonly Invite[]> {
    return (await this.ask(() => this.api.invites())).map((i) => inviteOf(i, this.outside.url));
  }

  async invite(uses: number, hours: number): Promise<Invite> {
    return inviteOf(await this.ask(() => this.api.invite(uses, hours)), this.outside.url);
  }

  revokeInvite(code: string): Promise<void> {
    return this.ask(() => this.api.revokeInvite(code));
  }

  async find(handle: string): Promise<Person> {
    const user = await this.ask(() => this.api.user(handle));
    return person(user.id, user);
  }

  startDirect(handle: string): Promise<string> {
    return this.begin(() => this.api.createDirect(handle));
  }

  createGroup(title: string, handles: readonly string[]): Promise<string> {
    return this.begin(() => this.api.createGroup(title, handles));
  }

  open(conversation: string): Timeline {
    const draft = this.list.cell.now.find((c) => c.id === conversation)?.draft ?? "";
    const timeline: OpenTimeline = new OpenTimeline(this, this.history, this.details, conversation, draft, this.ephemera, () => this.timelines.delete(timeline));
    this.timelines.add(timeline);
    return timeline;
  }

  async mute(conversation: string, until: number): Promise<void> {
    const muted = until === 0 || until > this.outside.now();
    await this.wish(conversation, { muted, mutedUntil: muted ? until : 0 });
  }

  archive(conversation: string, on: boolean): Promise<void> {
    return this.wish(conversation, { archived: on });
  }

  pinConversation(conversation: string, on: boolean): Promise<void> {
    return this.wish(conversation, { pinned: on });
  }

  async forward(message: Message, conversations: readonly string[]): Promise<void> {
    for (const id of conversations) await this.db.enqueue(id, newID("m", this.outside.bytes), message.text, this.outside.now(), { forwarded: true });
    this.tabs.changed(conversations, "outbox");
    await this.list.changed(conversations);
  }

  get contacts() {
    return this.people.cell;
  }

  decide(who: Person, state: Standing): Promise<void> {
    return this.people.decide(who, state);
  }

  get presence() {
    return this.ephemera.presence;
  }

  watch(users: readonly string[]): () => void {
    return this.ephemera.watch(users);
  }

  addMembers(conversation: string, handles: readonly string[]): Promise<void> {
    const id = newID("m", this.outside.bytes);
    return this.change(conversation, () => this.api.addMembers(conversation, { id, users: [...handles] }));
  }

  removeMember(conversation: string, user: string): Promise<void> {
    return this.change(conversation, () => this.api.removeMember(conversation, user));
  }

  leave(conversation: string): Promise<void> {
    return this.change(conversation, () => this.api.removeMember(conversation, this.me ?? ""));
  }

  setRole(conversation: string, user: string, role: string): Promise<void> {
    const id = newID("m", this.outside.bytes);
    return this.change(conversation, () => this.api.setRole(conversation, user, { id, role }));
  }

  retitle(conversation: string, title: string): Promise<void> {
    const id = newID("m", this.outside.bytes);
    return this.change(conversation, () => this.api.patch(conversation, { id, title }));
  }

  async groupInvites(conversation: string): Promise<readonly GroupInvite[]> {
    return (await this.ask(() => this.api.groupInvites(conversation))).map((i) => groupInviteOf(i, this.outside.url));
  }

  async groupInvite(conversation: string, uses: number, hours: number): Promise<GroupInvite> {
    return groupInviteOf(await this.ask(() => this.api.groupInvite(conversation, { uses, hours })), this.outside.url);
  }

  revokeGroupInvite(conversation: string, code: string): Promise<void> {
    return this.ask(() => this.api.revokeGroupInvite(conversation, code));
  }

  async joinPreview(code: string): Promise<GroupInvite> {
    return groupInviteOf(await this.ask(() => this.api.joinPreview(code)), this.outside.url);
  }

  join(code: string): Promise<string> {
    return this.begin(() => this.api.join(code));
  }

  searchHere(wanted: string, conversation?: string): Promise<readonly Hit[]> {
    return here(this, wanted, conversation);
  }

  searchThere(wanted: string, conversation?: string): Promise<readonly Hit[]> {
    return this.ask(() => there(this, wanted, conversation));
  }

  async bots(): Promise<readonly Bot[]> {
    return (await this.ask(() => this.api.bots())).map(botOf);
  }

  async createBot({ handle, name, webhook }: { readonly handle: string; readonly name: string; readonly webhook: string }): Promise<Bot> {
    return botOf(await this.ask(() => this.api.newBot({ handle, ...(name ? { name } : {}), ...(webhook ? { webhook } : {}) })));
  }

  async setWebhook(bot: string, url: string): Promise<Bot> {
    return botOf(await this.ask(() => this.api.patchBot(bot, { webhook: url })));
  }

  async renewToken(bot: string): Promise<string> {
    return (await this.ask(() => this.api.newBotToken(bot))).token;
  }

  deleteBot(bot: string): Promise<void> {
    return this.ask(() => this.api.deleteBot(bot));
  }

  retryNow(): void {
    this.tabs.tell({ t: "retry" });
  }

  async startOver(): Promise<void> {
    this.turned(undefined);
    await this.steering.ask();
    await this.db.destroy();
    this.accounts.mended();
    // The session is still good, if it was: who is signed in is asked of the server.
    await this.adopt().catch((why: unknown) => this.background(why));
    this.tabs.changed("all", "account");
    await this.accounts.changed();
  }

  async close(): Promise<void> {
    if (this.closed) return;
    for (const timeline of [...this.timelines]) timeline.close();
    this.closed = true;
    this.unwake();
    await this.leadership.stop();
    await this.steering.stop();
    await this.halt();
    await Promise.all([this.accounts.stop(), this.list.stop(), this.people.stop()]);
    this.ephemera.dark();
    this.tabs.close();
    this.db.close();
  }

  // --- what the parts ask of each other (Core) ---

  background(why: unknown): void {
    if (this.closed) return;
    if (why instanceof Failure) {
      if (why.code === "unreadable") this.accounts.breakDown(why);
      return; // of the network: it is tried again
    }
    if (!(why instanceof Stale || why instanceof Fault)) this.accounts.breakDown(new Failure("unreadable", why instanceof Error ? why.name : ""));
  }

  async distrusted(life: number, why: unknown): Promise<void> {
    if (!(why instanceof Fault)) return this.background(why);
    try {
      await this.db.distrust(life);
      this.tabs.changed("all", "life", "outbox");
    } catch (broken) {
      this.background(broken);
    }
  }

  overtaken(): void {
    this.leadership.stepAside();
  }

  lost(): void {
    this.accounts.lost().catch((why: unknown) => this.background(why));
  }

  // --- this tab and the others ---

  private hear(news: News): void {
    if (news.t === "connection" && !this.sync) this.connection.set(news.state);
    if (news.t === "connection" && news.state.state !== "online") this.ephemera.dark();
    if (news.t !== "changed") return;
    if (news.also?.includes("account")) void this.accounts.changed();
    if (news.also?.includes("limits")) this.prepare().catch((why: unknown) => this.background(why));
    const everywhere = news.also?.includes("people") || news.also?.includes("contacts");
    void this.list.changed(everywhere ? "all" : news.conversations);
    if (everywhere || news.also?.includes("account")) void this.people.changed();
  }

  /** After a sleep, or in front again: news may have been missed. */
  private async look(): Promise<void> {
    await this.accounts.changed();
    for (const timeline of this.timelines) timeline.look();
    this.tabs.others({ t: "who" });
  }

  private async prepare(): Promise<void> {
    await Promise.all([this.list.changed("all"), this.people.changed()]);
    const told = await this.db.read((tx) => tx.get("meta", "limits"));
    if (told?.key === "limits") this.limits.set({ text: told.limits.text, members: told.limits.members });
  }

  private lead(): () => Promise<void> {
    this.leads = true;
    void this.steering.ask();
    return async () => {
      this.leads = false;
      await this.steering.ask();
    };
  }

  private turned(me: string | undefined): void {
    this.me = me;
    void this.steering.ask();
  }

  /** There is a Sync if this tab leads and somebody is signed in. */
  private async steer(): Promise<void> {
    const wanted = this.leads && !this.closed ? this.me : undefined;
    if (this.sync && wanted !== this.syncFor) {
      await this.halt();
      this.tabs.others({ t: "who" }); // what it said meanwhile was not heeded
    }
    if (wanted === undefined || this.sync) return;
    this.syncFor = wanted;
    this.sync = new Sync(this, this.history, this.details, this.people, this.ephemera, wanted);
    void this.admin();
  }

  private async halt(): Promise<void> {
    const sync = this.sync;
    this.sync = undefined;
    this.syncFor = undefined;
    await sync?.stop();
  }

  /** Whether this person may administer is asked when this tab begins to lead, and kept. */
  private async admin(): Promise<void> {
    try {
      const { admin } = await this.api.me();
      if (await this.db.updateAccount((account) => ({ ...account, admin }))) this.tabs.changed([], "account");
    } catch (why) {
      this.background(why);
    }
  }

  private async adopt(): Promise<void> {
    const { id, handle, name, status, avatar, admin, device } = await this.api.me();
    await this.db.signIn({ id, handle, name, ...(status ? { status } : {}), ...(avatar ? { avatar } : {}) }, device.id, admin);
  }

  /** Names that the list lacks are those of members. */
  private name(conversations: readonly string[]): void {
    if (!this.leads || this.connection.now.state !== "online") return;
    for (const id of conversations.filter((c) => !this.named.has(c))) {
      this.named.add(id);
      this.details.pull(id).catch((why: unknown) => this.background(why));
    }
  }

  private async ask<T>(call: () => Promise<T>): Promise<T> {
    try {
      return await call();
    } catch (why) {
      if (why instanceof Failure && why.code === "unauthorized") this.lost();
      throw why;
    }
  }

  private async wish(conversation: string, wanted: Parameters<Database["wish"]>[1]): Promise<void> {
    await this.db.wish(conversation, wanted);
    this.tabs.changed([conversation], "outbox");
    await this.list.changed([conversation]);
  }

  /** Changes a group at the server; what became of it is asked for at once, though the server tells it, too. */
  private async change(conversation: string, call: () => Promise<void>): Promise<void> {
    await this.ask(call);
    await this.details.pull(conversation).catch((why: unknown) => this.background(why));
    await this.list.changed([conversation]);
  }

  private async begin(create: () => Promise<WireConversation>): Promise<string> {
    const id = await fetched(this, create, async (life, details) => {
      await this.db.details(life, details);
      return details.id;
    });
    this.tabs.changed("all", "people");
    await this.list.changed([id]);
    return id;
  }
}

function groupInviteOf(i: WireGroupInvite, socket: string): GroupInvite {
  const { code, conversation, title, members, by, uses, used, expires } = i;
  return { code, link: i.link || linkTo(socket, `join/${code}`), conversation, title, members, by: person(by.id, by), uses, used, expires: Date.parse(expires) || 0 };
}

function botOf({ user, webhook, token, secret, created }: WireBot): Bot {
  return {
    person: person(user.id, user), created: Date.parse(created) || 0, ...(token ? { token } : {}), ...(secret ? { secret } : {}),
    ...(webhook ? { webhook: { url: webhook.url, failures: webhook.failures, error: webhook.error ?? "", paused: webhook.paused } } : {}),
  };
}

/** A server that was not told where people reach it gives no link: then the page's own address is as good. */
function linkTo(socket: string, route: string): string {
  return `${new URL(socket.replace(/^ws/, "http")).origin}/#/${route}`;
}

function deviceOf(d: WireDevice): Device {
  return { id: d.id, name: d.name, created: Date.parse(d.created ?? "") || 0, lastSeen: Date.parse(d.last_seen ?? "") || 0, current: d.current ?? false };
}

function inviteOf(i: WireInvite, socket: string): Invite {
  return { code: i.code, link: i.link || linkTo(socket, `invite/${i.code}`), uses: i.uses, used: i.used, expires: Date.parse(i.expires) || 0 };
}
