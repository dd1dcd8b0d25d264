import type { Said } from "../db/database";
import { entryRecord, pinned } from "../db/log";
import type { OutboxRecord } from "../db/schema";
import { Failure } from "../wire/failure";
import { Cell } from "./cell";
import { Coalesced } from "./coalesced";
import { reachable, type Core } from "./core";
import { conversationOf } from "./conversations";
import type { Ephemera } from "./ephemera";
import { PAGE, type Details, type History } from "./history";
import { newID } from "./id";
import { waitingItem, withActs } from "./items";
import type { Connection, Item, Marker, Message, Person, Sending, Stretch, Timeline } from "./model";
import { concerns, type News } from "./tabs";
import { Window, type View } from "./window";

/** How long a draft may be in memory alone, in milliseconds. */
const DRAFT = 400;

/** How long the numbers that were seen are gathered, in milliseconds. */
const SEEN = 250;

/** How long until what could not be fetched is asked for again, in milliseconds: at least, and up to as much again by chance. */
const RETRY = 3_000;

/** So many numbers above one that is jumped to are shown with it. */
const ABOVE = 20;

/** One open conversation. */
export class OpenTimeline implements Timeline {
  readonly state = new Cell<Stretch | undefined>(undefined);
  readonly typing = new Cell<readonly Person[]>([]);
  draftReply = 0;
  private readonly window: Window;
  private readonly work = new Coalesced(() => this.refresh());
  private readonly ends: (() => void)[] = [];
  private view: View | undefined;
  private unreadFrom: number | undefined; // once it is known
  private loading: Promise<void> | undefined;
  private fetching = false;
  private stuck: Failure | undefined;
  private unsaved: { readonly text: string; readonly replyTo: number } | undefined;
  private saving: (() => void) | undefined;
  private last = 0; // seen
  private noting: (() => void) | undefined;
  private filling = false;
  private retry: (() => void) | undefined; // calls off the next try to fetch what could not be
  private pulled = 0; // the number of the newest change of members that was asked about
  private seeking = false;
  private closed = false;

  /** @param end is told when it is closed */
  constructor(
    private readonly core: Core,
    private readonly history: History,
    private readonly details: Details,
    readonly conversation: string,
    readonly draft: string,
    private readonly ephemera: Ephemera,
    private readonly end: () => void,
  ) {
    this.window = new Window(conversation);
    this.ends.push(core.tabs.listen((news) => this.hear(news)));
    this.ends.push(ephemera.typingIn(conversation).subscribe((users) => this.typers(users)));
    let before: Connection["state"] | undefined;
    this.ends.push(
      core.connection.subscribe((now) => {
        if (now.state !== before && now.state === "online") this.catchUp();
        before = now.state;
      }),
    );
    void this.work.ask();
  }

  loadOlder(): Promise<void> {
    this.loading ??= this.load().finally(() => (this.loading = undefined));
    return this.loading;
  }

  async jumpToNewest(): Promise<void> {
    await this.history.fill(this.conversation);
    await this.work.ask();
  }

  async send(text: string, { replyTo = 0, mentions = [] }: Sending = {}): Promise<void> {
    this.forgetDraft();
    await this.queue(text, { replyTo, mentions });
  }

  edit(seq: number, text: string): Promise<void> {
    return this.queue(text, { kind: "edit", target: seq });
  }

  delete(seq: number): Promise<void> {
    return this.queue("", { kind: "delete", target: seq });
  }

  react(seq: number, text: string): Promise<void> {
    return this.queue(text, { kind: "reaction", target: seq });
  }

  pin(seq: number, on: boolean): Promise<void> {
    return this.queue("", { kind: on ? "pin" : "unpin", target: seq });
  }

  async hide(seq: number): Promise<void> {
    await this.core.db.wish(this.conversation, { hide: [seq] });
    this.core.tabs.changed([this.conversation], "outbox");
    await this.work.ask();
  }

  async reach(seq: number): Promise<boolean> {
    for (let before = 0; ; ) {
      await this.work.ask();
      if (!this.view || this.closed) return false;
      const { lo, told } = this.view;
      if (lo <= seq && told.at.to > 0) return true;
      if ((lo === told.at.from && told.at.start) || lo === before) return false;
      before = lo;
      this.window.grow(lo - seq + ABOVE);
      await this.loadOlder();
      if (this.stuck) throw this.stuck;
    }
  }

  async editions(seq: number): Promise<readonly { readonly at: number; readonly text: string }[]> {
    const all = await this.core.api.editions(this.conversation, seq);
    return all.map((e) => ({ at: Date.parse(e.at) || 0, text: e.body?.text ?? "" }));
  }

  async reactors(seq: number): Promise<readonly { readonly person: Person; readonly text: string }[]> {
    const all = await this.core.api.reactors(this.conversation, seq);
    await this.core.db.read((tx) => this.window.persons.learn(tx, all.map((r) => r.user)));
    return all.map((r) => ({ person: this.window.persons.of(r.user), text: r.text }));
  }

  nowTyping(): void {
    this.ephemera.nowTyping(this.conversation);
  }

  private async queue(text: string, said: Said): Promise<void> {
    await this.core.db.enqueue(this.conversation, newID("m", this.core.outside.bytes), text, this.core.outside.now(), said);
    this.core.tabs.changed([this.conversation], "outbox");
    await this.work.ask();
  }

  private typers(users: readonly string[]): void {
    void this.core.db
      .read((tx) => this.window.persons.learn(tx, users))
      .then(() => this.closed || this.typing.set(users.map((u) => this.window.persons.of(u))))
      .catch((why: unknown) => this.core.background(why));
  }

  async sendAgain(key: string): Promise<void> {
    await this.core.db.requeue(this.conversation, key, newID("m", this.core.outside.bytes), this.core.outside.now());
    this.core.tabs.changed([this.conversation], "outbox");
    await this.work.ask();
  }

  async discard(key: string): Promise<void> {
    await this.core.db.discard(this.conversation, key);
    this.core.tabs.changed([this.conversation], "outbox");
    await this.work.ask();
  }

  keepDraft(text: string, replyTo = 0): void {
    if (this.closed) return;
    this.unsaved = { text, replyTo };
    this.saving ??= this.core.outside.setTimer(() => void this.saveDraft(), DRAFT);
  }

  seen(seq: number): void {
    if (this.closed || seq <= this.last) return;
    this.last = seq;
    this.noting ??= this.core.outside.setTimer(() => void this.noteSeen(), SEEN);
  }

  close(): void {
    if (this.closed) return;
    this.closed = true;
    for (const end of this.ends) end();
    void this.saveDraft();
    if (this.noting) void this.noteSeen();
    this.retry?.();
    this.end();
  }

  /** News may have been missed. */
  look(): void {
    void this.work.ask();
  }

  /** Resolves when nothing of it runs any more. */
  async idle(): Promise<void> {
    await this.work.stop();
  }

  private hear(news: News): void {
    if (!concerns(news, this.conversation)) return;
    if (news.t === "changed" && news.also?.includes("people")) this.window.rename();
    void this.work.ask();
  }

  private async refresh(): Promise<void> {
    try {
      this.view = await this.window.look((work) => this.core.db.read(work));
      this.show();
      if (this.view) this.want(this.view);
    } catch (why) {
      this.core.background(why);
    }
  }

  /** Asks for what the view lacks. */
  private want({ told, items, members }: View): void {
    if (!reachable(this.core.connection.now)) return;
    if (told.at.to < told.at.head || told.at.to === 0) this.fill();
    if (this.window.missing.size > 0) void this.seekQuotes();
    const unknown = new Set<string>();
    for (const item of items) {
      if (item.kind === "message" && item.sender.handle === "") unknown.add(item.sender.id);
      if (item.kind === "notice" && item.what === "members" && item.seq > this.pulled) {
        if (this.pulled > 0) this.pull();
        this.pulled = item.seq;
      }
    }
    if (unknown.size > 0 && members.length > 0) void this.details.seek([...unknown]);
  }

  private catchUp(): void {
    this.pull();
    this.fill();
  }

  private pull(): void {
    this.details.pull(this.conversation).catch((why: unknown) => this.later(why));
  }

  private fill(): void {
    if (this.filling || this.closed) return;
    this.filling = true;
    this.history.fill(this.conversation).then(
      () => (this.filling = false), // what is still missing then, the log does not have
      (why: unknown) => {
        this.filling = false;
        this.later(why);
      },
    );
  }

  /** What could not be fetched is asked for again, unless there is nothing to be had. */
  private later(why: unknown): void {
    this.core.background(why);
    if (this.closed || this.retry || !(why instanceof Failure) || why.code === "not_found" || why.code === "unreadable") return;
    const ms = Math.max(why.retryAfter, RETRY) * (1 + this.core.outside.random());
    this.retry = this.core.outside.setTimer(() => {
      this.retry = undefined;
      if (reachable(this.core.connection.now)) this.catchUp(); // else it is done when there is a connection
    }, ms);
  }

  /** What is answered and not held is asked for, one after the other, and kept as long as this is open. */
  private async seekQuotes(): Promise<void> {
    if (this.seeking || !reachable(this.core.connection.now)) return;
    this.seeking = true;
    try {
      for (const seq of [...this.window.missing]) {
        const page = await this.core.api.entriesAfter(this.conversation, seq - 1, 1);
        if (this.closed) return;
        const found = page.items.find((e) => e.seq === seq);
        const entry = found && entryRecord(found, page.head);
        if (entry) await this.core.db.read((tx) => this.window.persons.learn(tx, [entry.sender]));
        this.window.quote(entry, seq);
      }
      this.seeking = false;
      void this.work.ask();
    } catch (why) {
      this.seeking = false;
      this.core.background(why);
    }
  }

  private show(): void {
    if (this.closed) return;
    if (!this.view) {
      this.state.set(undefined);
      return;
    }
    const { told, members, items, lo, quotes } = this.view;
    const { at } = told;
    this.draftReply = told.draftReply;
    const wasRequest = this.state.now?.conversation.request ?? false;
    this.unreadFrom ??= at.told ? (at.unread > 0 ? at.read + 1 : 0) : undefined;
    this.state.set({
      conversation: conversationOf(told, this.core.outside.now()), members, items: this.withWaiting(items), unreadFrom: this.unreadFrom ?? 0,
      atStart: at.to > 0 && lo === at.from && at.start, atEnd: at.to >= at.head,
      loading: this.fetching, ...(this.stuck ? { stuck: this.stuck } : {}), quotes, pins: this.pins(), markers: this.markers(),
    });
    if (wasRequest && !this.state.now?.conversation.request && this.last > 0) void this.noteSeen();
  }

  private withWaiting(items: readonly Item[]): readonly Item[] {
    const { told } = this.view!;
    if (told.waiting.length === 0) return items;
    const me = this.window.persons.of(told.me.id);
    const acts = new Map<number, OutboxRecord[]>();
    for (const row of told.waiting) if (row.target !== undefined) acts.set(row.target, [...(acts.get(row.target) ?? []), row]);
    const now = acts.size === 0 ? items : items.map((item) => {
      const on = item.kind === "message" ? acts.get(item.seq) : undefined;
      return on ? withActs(item as Message, on, me) : item;
    });
    return [...now, ...told.waiting.filter((row) => row.kind === undefined).map((row): Message => waitingItem(row, me))];
  }

  /** What is pinned, with what waits to be. */
  private pins(): readonly number[] {
    const { told } = this.view!;
    let pins = told.at.pins ?? [];
    for (const { kind, target, failure } of told.waiting) if (!failure && target && (kind === "pin" || kind === "unpin")) pins = pinned(pins, kind, target);
    return pins;
  }

  private markers(): readonly Marker[] {
    const { told } = this.view!;
    const members = new Set(told.members?.members.map((m) => m.user) ?? (told.at.with ? [told.at.with.id] : []));
    return told.receipts.filter((r) => r.user !== told.me.id && members.has(r.user)).map(({ user, delivered, read }) => ({ user, delivered: Math.max(delivered, read), read }));
  }

  private async load(): Promise<void> {
    await this.work.ask();
    if (!this.view || this.closed) return;
    const { lo, told } = this.view;
    this.stuck = undefined;
    try {
      if (lo <= told.at.from && !told.at.start) {
        this.fetching = true;
        this.show();
        await this.history.older(this.conversation);
      }
      this.window.grow(PAGE);
    } catch (why) {
      this.stuck = why instanceof Failure ? why : new Failure("offline", "");
      this.core.background(why);
    } finally {
      this.fetching = false;
    }
    await this.work.ask();
  }

  private async saveDraft(): Promise<void> {
    const draft = this.unsaved;
    this.forgetDraft();
    if (draft === undefined) return;
    try {
      await this.core.db.draft(this.conversation, draft.text, draft.replyTo, this.core.outside.now());
      this.core.tabs.changed([this.conversation], "outbox");
    } catch (why) {
      this.core.background(why);
    }
  }

  private forgetDraft(): void {
    this.saving?.();
    this.saving = undefined;
    this.unsaved = undefined;
  }

  private async noteSeen(): Promise<void> {
    this.noting?.();
    this.noting = undefined;
    // A stranger is not told that they were read before they were let in.
    if (this.state.now?.conversation.request) return;
    try {
      if (await this.core.db.markRead(this.conversation, this.last)) this.core.tabs.changed([this.conversation]);
    } catch (why) {
      this.core.background(why);
    }
  }
}
