/** A model in memory with believable people and talk, for tests and for looking at the screens. It keeps what was asked of it. */
import type {
  Account, Bot, Connection, Contact, Conversation, Device, GroupInvite, Hit, Invite, Item, Message, Model, Person, Presence, Privacy, Readable, Standing, Stretch, Timeline,
} from "../model/model";
import { Failure } from "../wire/failure";

/** A value that a test changes. */
export class Value<T> implements Readable<T> {
  readonly #watching = new Set<(value: T) => void>();

  constructor(public now: T) {}

  subscribe(run: (value: T) => void): () => void {
    this.#watching.add(run);
    run(this.now);
    return () => this.#watching.delete(run);
  }

  set(value: T): void {
    this.now = value;
    for (const run of this.#watching) run(value);
  }
}

export const ada: Person = { id: "u_ada", handle: "ada", name: "Ada Lovelace" };
export const grace: Person = { id: "u_grace", handle: "grace", name: "Grace Hopper" };
export const people: readonly Person[] = [
  ada,
  grace,
  { id: "u_edsger", handle: "edsger", name: "Edsger W. Dijkstra" },
  { id: "u_barbara", handle: "barbara", name: "Barbara Liskov" },
  { id: "u_margaret", handle: "margaret", name: "Margaret Hamilton" },
  { id: "u_al", handle: "alkhwarizmi", name: "محمد بن موسى" },
  { id: "u_hedy", handle: "hedy", name: "Hedy Lamarr" },
  { id: "u_zoe", handle: "zoe", name: "zoe" },
];

const minute = 60_000;
const hour = 60 * minute;
const day = 24 * hour;

/** A conversation with what a test names, and the rest as it may be. */
export function conversation(some: Partial<Conversation> & { id: string }): Conversation {
  return { kind: "direct", title: some.id, head: 1, unread: 0, read: 1, at: 0, draft: "", muted: false, ...some };
}

/** A list as somebody who is at home here has it. */
export function someConversations(now: number): Conversation[] {
  const [, , edsger, barbara, margaret, al, hedy, zoe] = people as [Person, Person, Person, Person, Person, Person, Person, Person];
  const direct = (other: Person, ago: number, rest: Partial<Conversation>): Conversation =>
    conversation({ id: `c_${other.handle}`, title: other.name, with: other, at: now - ago, ...rest });
  return [
    direct(grace, 2 * minute, { unread: 2, last: { mine: false, sender: grace.name, text: "I found the moth. It was in relay 70 of panel F, and it is taped into the log book now.", at: now - 2 * minute } }),
    conversation({ id: "c_harbour", kind: "group", title: "Harbour festival 🎪", at: now - 9 * minute, unread: 128, muted: true, last: { mine: false, sender: "zoe", text: "Who brings the long tables?", at: now - 9 * minute } }),
    direct(edsger, hour, { last: { mine: true, sender: ada.name, text: "Considered harmful by whom?", at: now - hour, receipt: "read" } }),
    direct(barbara, 2 * hour, { last: { mine: true, sender: ada.name, text: "I will substitute it tonight.", at: now - 2 * hour, receipt: "delivered" } }),
    direct(al, 5 * hour, { unread: 1, last: { mine: false, sender: al.name, text: "السلام عليكم! متى نلتقي؟", at: now - 5 * hour } }),
    conversation({ id: "c_engine", kind: "group", title: "Analytical Engine, the long group name that does not fit anywhere", at: now - day, draft: "About note G: the", last: { mine: false, sender: "Margaret Hamilton", text: "1202 again", at: now - day } }),
    direct(hedy, 2 * day, { last: { mine: true, sender: ada.name, text: "Hop to the next frequency", at: now - 2 * day, receipt: "pending" } }),
    direct(zoe, 3 * day, { last: { mine: true, sender: ada.name, text: "Did you get my letter?", at: now - 3 * day, receipt: "failed" } }),
    direct(ada, 20 * day, { last: { mine: true, sender: ada.name, text: "Milk, bread, punched cards", at: now - 20 * day, receipt: "sent" } }),
    direct(margaret, 400 * day, { last: { mine: false, sender: margaret.name, text: "", at: now - 400 * day } }),
  ];
}

/** A little talk. */
function talk(other: Person, now: number): Item[] {
  const lines: [mine: boolean, ago: number, text: string][] = [
    [false, day + 3 * hour, "Good morning! Are you coming to the harbour on Saturday?"],
    [true, day + 3 * hour - 2 * minute, "Yes, with the whole workshop. We bring the *difference engine*, if the wagon holds."],
    [false, day + 2 * hour, "Wonderful. The plan is at https://harbour.example/plan"],
    [true, 2 * hour, "Read it. Two questions about the power supply, but they can wait."],
    [false, 12 * minute, "The Mark II stopped again."],
    [false, 11 * minute, "No idea why 🤷"],
    [true, 5 * minute, "Did you look between the relays?"],
    [false, 3 * minute, "Looking now"],
    [false, 2 * minute, "I found the moth. It was in relay 70 of panel F, and it is taped into the log book now."],
  ];
  return lines.map(([mine, ago, text], i): Message => ({
    kind: "message",
    key: `m${i + 1}`,
    seq: i + 2,
    mine,
    sender: mine ? ada : other,
    at: now - ago,
    text,
    type: "text/plain",
    deleted: false,
    ...(mine ? { receipt: i < 6 ? "read" : "delivered" } : {}),
  }));
}

export class FakeModel implements Model {
  readonly account: Value<Account>;
  readonly connection = new Value<Connection>({ state: "online" });
  readonly conversations: Value<readonly Conversation[]>;
  readonly limits = new Value({ text: 1000, members: 1000 });

  /** What was asked, in order, as "name(arguments)". */
  readonly asked: string[] = [];
  /** What the call of this name throws. */
  readonly failing = new Map<string, Failure>();
  waiting = 0; // messages that wait to be sent
  devicesHeld: Device[];
  invitesHeld: Invite[] = [];

  constructor(readonly clock: () => number = () => Date.now()) {
    const now = clock();
    this.account = new Value<Account>({ state: "in", me: ada, admin: true, device: "d1" });
    this.conversations = new Value<readonly Conversation[]>(someConversations(now));
    this.devicesHeld = [
      { id: "d1", name: "Firefox on Linux", created: now - 30 * day, lastSeen: now, current: true },
      { id: "d2", name: "Chrome on Android", created: now - 9 * day, lastSeen: now - 3 * hour, current: false },
      { id: "d3", name: "", created: now - 90 * day, lastSeen: now - 60 * day, current: false },
    ];
  }

  async signUp(form: { handle: string; password: string; name: string; invite: string }): Promise<void> {
    await this.#ask("signUp", form.handle, form.name, form.invite);
    this.#enter(form.handle, form.name || form.handle);
  }

  async signIn(form: { handle: string; password: string }): Promise<void> {
    await this.#ask("signIn", form.handle);
    this.#enter(form.handle, people.find((person) => person.handle === form.handle)?.name ?? form.handle);
  }

  async signOut(): Promise<void> {
    await this.#ask("signOut");
    this.account.set({ state: "out", lost: false, unsent: 0 });
  }

  async unsent(): Promise<number> {
    await this.#ask("unsent");
    return this.waiting;
  }

  async profile(change: { readonly name?: string; readonly status?: string }): Promise<void> {
    await this.#ask("profile", change.name ?? "", change.status ?? "");
    const account = this.account.now;
    if (account.state === "in") this.account.set({ ...account, me: { ...account.me, ...change } });
  }

  async picture(file: Blob | undefined): Promise<void> {
    await this.#ask("picture", file?.type ?? "none");
  }

  readonly #privacy = { receipts: true, presence: true };

  async privacy(): Promise<Privacy> {
    await this.#ask("privacy");
    return { ...this.#privacy };
  }

  async setPrivacy(change: Partial<Privacy>): Promise<void> {
    await this.#ask("setPrivacy", JSON.stringify(change));
    Object.assign(this.#privacy, change);
  }

  async devices(): Promise<readonly Device[]> {
    await this.#ask("devices");
    return this.devicesHeld;
  }

  async signOutDevice(id: string): Promise<void> {
    await this.#ask("signOutDevice", id);
    this.devicesHeld = this.devicesHeld.filter((device) => device.id !== id);
  }

  async invites(): Promise<readonly Invite[]> {
    await this.#ask("invites");
    return this.invitesHeld;
  }

  async invite(uses: number, hours: number): Promise<Invite> {
    await this.#ask("invite", uses, hours);
    const code = `code${this.invitesHeld.length + 1}`;
    const made = { code, link: `https://parley.example/#/invite/${code}`, uses, used: 0, expires: this.clock() + hours * hour };
    this.invitesHeld = [made, ...this.invitesHeld];
    return made;
  }

  async revokeInvite(code: string): Promise<void> {
    await this.#ask("revokeInvite", code);
    this.invitesHeld = this.invitesHeld.filter((invite) => invite.code !== code);
  }

  async find(handle: string): Promise<Person> {
    await this.#ask("find", handle);
    const found = people.find((person) => person.handle === handle);
    if (!found) throw new Failure("not_found", "There is no such user.");
    return found;
  }

  async startDirect(handle: string): Promise<string> {
    await this.#ask("startDirect", handle);
    const other = people.find((person) => person.handle === handle);
    if (!other) throw new Failure("not_found", "There is no such user.");
    return this.#begin(conversation({ id: `c_${handle}`, title: other.name, with: other, at: this.clock() }));
  }

  async createGroup(title: string, handles: readonly string[]): Promise<string> {
    await this.#ask("createGroup", title, ...handles);
    return this.#begin(conversation({ id: "c_new", kind: "group", title, at: this.clock() }));
  }

  open(id: string): Timeline {
    const found = this.conversations.now.find((conversation) => conversation.id === id);
    return new FakeTimeline(this, found);
  }

  #change(id: string, change: Partial<Conversation>): void {
    this.conversations.set(this.conversations.now.map((c) => (c.id === id ? { ...c, ...change } : c)));
  }

  async mute(id: string, until: number): Promise<void> {
    await this.#ask("mute", id, until);
    this.#change(id, { muted: until === 0 || until > this.clock() });
  }

  async archive(id: string, on: boolean): Promise<void> {
    await this.#ask("archive", id, on);
    this.#change(id, { archived: on });
  }

  async pinConversation(id: string, on: boolean): Promise<void> {
    await this.#ask("pinConversation", id, on);
    this.#change(id, { pinned: on });
  }

  async forward(message: Message, conversations: readonly string[]): Promise<void> {
    await this.#ask("forward", message.key, ...conversations);
  }

  readonly contacts = new Value<readonly Contact[]>([]);
  readonly presence = new Value<ReadonlyMap<string, Presence>>(new Map());

  async decide(who: Person, state: Standing): Promise<void> {
    await this.#ask("decide", who.handle, state);
    const rest = this.contacts.now.filter((c) => c.person.id !== who.id);
    this.contacts.set(state === "none" ? rest : [...rest, { person: who, state, at: this.clock() }]);
  }

  watch(): () => void {
    return () => undefined;
  }

  async addMembers(id: string, handles: readonly string[]): Promise<void> {
    await this.#ask("addMembers", id, ...handles);
  }

  async removeMember(id: string, user: string): Promise<void> {
    await this.#ask("removeMember", id, user);
  }

  async leave(id: string): Promise<void> {
    await this.#ask("leave", id);
    this.#change(id, { left: true });
  }

  async setRole(id: string, user: string, role: string): Promise<void> {
    await this.#ask("setRole", id, user, role);
  }

  async retitle(id: string, title: string): Promise<void> {
    await this.#ask("retitle", id, title);
    this.#change(id, { title });
  }

  groupInvitesHeld: readonly GroupInvite[] = [];

  async groupInvites(id: string): Promise<readonly GroupInvite[]> {
    await this.#ask("groupInvites", id);
    return this.groupInvitesHeld;
  }

  async groupInvite(id: string, uses: number, hours: number): Promise<GroupInvite> {
    await this.#ask("groupInvite", id, uses, hours);
    const made = { code: "join1", link: "https://parley.example/#/join/join1", conversation: id, title: "Harbour", members: 5, by: ada, uses, used: 0, expires: this.clock() + hours * hour };
    this.groupInvitesHeld = [made, ...this.groupInvitesHeld];
    return made;
  }

  async revokeGroupInvite(id: string, code: string): Promise<void> {
    await this.#ask("revokeGroupInvite", id, code);
    this.groupInvitesHeld = this.groupInvitesHeld.filter((i) => i.code !== code);
  }

  async joinPreview(code: string): Promise<GroupInvite> {
    await this.#ask("joinPreview", code);
    return { code, link: "", conversation: "c_new", title: "Harbour festival", members: 12, by: grace, uses: 10, used: 1, expires: this.clock() + hour };
  }

  async join(code: string): Promise<string> {
    await this.#ask("join", code);
    return this.#begin(conversation({ id: "c_new", kind: "group", title: "Harbour festival", at: this.clock() }));
  }

  hits: readonly Hit[] = [];

  async searchHere(wanted: string): Promise<readonly Hit[]> {
    await this.#ask("searchHere", wanted);
    return this.hits;
  }

  async searchThere(wanted: string): Promise<readonly Hit[]> {
    await this.#ask("searchThere", wanted);
    return this.hits;
  }

  botsHeld: readonly Bot[] = [];

  async bots(): Promise<readonly Bot[]> {
    await this.#ask("bots");
    return this.botsHeld;
  }

  async createBot({ handle, name, webhook }: { readonly handle: string; readonly name: string; readonly webhook: string }): Promise<Bot> {
    await this.#ask("createBot", handle, name, webhook);
    const made: Bot = { person: { id: `u_${handle}`, handle, name: name || handle, bot: true }, token: "the-token", created: this.clock(), ...(webhook ? { webhook: { url: webhook, failures: 0, error: "", paused: false }, secret: "whsec_x" } : {}) };
    this.botsHeld = [...this.botsHeld, made];
    return made;
  }

  async setWebhook(bot: string, url: string): Promise<Bot> {
    await this.#ask("setWebhook", bot, url);
    return this.botsHeld.find((b) => b.person.id === bot)!;
  }

  async renewToken(bot: string): Promise<string> {
    await this.#ask("renewToken", bot);
    return "another-token";
  }

  async deleteBot(bot: string): Promise<void> {
    await this.#ask("deleteBot", bot);
    this.botsHeld = this.botsHeld.filter((b) => b.person.id !== bot);
  }

  retryNow(): void {
    this.asked.push("retryNow()");
  }

  async startOver(): Promise<void> {
    await this.#ask("startOver");
    this.account.set({ state: "in", me: ada, admin: true, device: "d1" });
  }

  async close(): Promise<void> {}

  /** Notes the call, and lets time pass as a real one would. */
  async #ask(name: string, ...given: unknown[]): Promise<void> {
    this.asked.push(`${name}(${given.join(", ")})`);
    await Promise.resolve();
    const failure = this.failing.get(name);
    if (failure) throw failure;
  }

  #enter(handle: string, name: string): void {
    this.account.set({ state: "in", me: { ...ada, handle, name }, admin: false, device: "d1" });
  }

  #begin(begun: Conversation): string {
    if (!this.conversations.now.some(({ id }) => id === begun.id)) this.conversations.set([begun, ...this.conversations.now]);
    return begun.id;
  }
}

class FakeTimeline implements Timeline {
  readonly state: Value<Stretch | undefined>;
  readonly draft: string;
  readonly asked: string[] = [];
  readonly typing = new Value<readonly Person[]>([]);
  draftReply = 0;

  async edit(seq: number, text: string): Promise<void> {
    this.asked.push(`edit(${seq}, ${text})`);
  }

  async delete(seq: number): Promise<void> {
    this.asked.push(`delete(${seq})`);
  }

  async hide(seq: number): Promise<void> {
    this.asked.push(`hide(${seq})`);
  }

  async react(seq: number, text: string): Promise<void> {
    this.asked.push(`react(${seq}, ${text})`);
  }

  async pin(seq: number, on: boolean): Promise<void> {
    this.asked.push(`pin(${seq}, ${on})`);
  }

  async reach(seq: number): Promise<boolean> {
    this.asked.push(`reach(${seq})`);
    return true;
  }

  async editions(): Promise<readonly { at: number; text: string }[]> {
    return [{ at: 1, text: "first" }, { at: 2, text: "second" }];
  }

  async reactors(): Promise<readonly { person: Person; text: string }[]> {
    return [];
  }

  nowTyping(): void {}


  constructor(
    readonly model: FakeModel,
    of: Conversation | undefined,
  ) {
    this.draft = of?.draft ?? "";
    if (!of) {
      this.state = new Value<Stretch | undefined>(undefined);
      return;
    }
    const members = (of.kind === "group" ? people.slice(0, 5) : [ada, of.with ?? grace]).map((person) => ({ ...person, role: "member" }));
    const items = talk(of.with ?? grace, model.clock());
    this.state = new Value<Stretch | undefined>({ conversation: of, members, items, unreadFrom: of.unread > 0 ? 9 : 0, atStart: true, atEnd: true, loading: false });
  }

  async loadOlder(): Promise<void> {}
  async jumpToNewest(): Promise<void> {}

  async send(text: string): Promise<void> {
    const now = this.state.now;
    if (!now) return;
    const message: Message = { kind: "message", key: `sent${now.items.length}`, seq: 0, mine: true, sender: ada, at: this.model.clock(), text, type: "text/plain", deleted: false, receipt: "pending" };
    this.state.set({ ...now, items: [...now.items, message] });
  }

  async sendAgain(): Promise<void> {}
  async discard(): Promise<void> {}
  keepDraft(): void {}
  seen(): void {}
  close(): void {}
}
