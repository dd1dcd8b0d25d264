import { Stale, type Place } from "../db/database";
import type { ConversationRecord } from "../db/schema";
import { Link, type LinkState } from "../net/link";
import { Failure } from "../wire/failure";
import type { ServerFrame } from "../wire/wire.gen";
import type { WelcomeFrame } from "../wire/wire.gen";
import { Coalesced } from "./coalesced";
import type { Contacts } from "./contacts";
import { reachable, type Core } from "./core";
import type { Ephemera } from "./ephemera";
import { Details, History, PAGE } from "./history";
import { Marker } from "./marker";
import type { Connection } from "./model";
import { Sender } from "./sender";
import type { News } from "./tabs";
import { Wishes } from "./wishes";

/** Conversations of which a page is kept at hand, so that they can be read without a network. */
const AT_HAND = 30;

/** Conversations whose receipts are asked for on a new connection. */
const ASKED = 20;

/** How long until what could not be fetched is tried again, in milliseconds: at first and at most, and up to as much again by chance. */
const RETRY = 2_000;
const MAX_RETRY = 120_000;

/** How this page calls itself. */
const CLIENT = "parley-web/1";

/**
 * The tab that leads keeps the device in step with the server: it has the connection, commits what comes, asks for what is missing, and has
 * the outbox and the markers sent.
 */
export class Sync {
  private readonly link: Link;
  private readonly sender: Sender;
  private readonly marker: Marker;
  private readonly wishes: Wishes;
  private readonly place: Place = { life: 0, cursor: null };
  private readonly owing = new Set<string>(); // conversations that may lack what lies before their head
  private readonly paying = new Coalesced(() => this.pay());
  private readonly unlisten: () => void;
  private state: LinkState = { state: "connecting" };
  private again: (() => void) | undefined; // calls off the next try to fetch what is owed
  private failures = 0; // since there is a connection
  private stopped = false;

  constructor(
    private readonly core: Core,
    private readonly history: History,
    private readonly details: Details,
    private readonly contacts: Contacts,
    private readonly ephemera: Ephemera,
    private readonly me: string,
  ) {
    this.link = new Link(core.outside, {
      url: core.outside.url,
      hello: () => this.hello(),
      frame: (frame) => this.frame(frame),
      state: (state) => this.stands(state),
    });
    this.sender = new Sender(core, this.link);
    this.marker = new Marker(core, this.link);
    this.wishes = new Wishes(core);
    this.unlisten = core.tabs.listen((news) => this.hear(news));
    this.link.start();
  }

  /** Resolves when nothing of it runs any more. */
  async stop(): Promise<void> {
    this.stopped = true;
    this.unlisten();
    this.rest();
    await this.link.stop();
    await Promise.all([this.sender.stop(), this.marker.stop(), this.wishes.stop(), this.paying.stop()]);
  }

  private async hello(): Promise<{ cursor: string | null; client: string }> {
    try {
      Object.assign(this.place, await this.core.db.place());
    } catch (why) {
      this.core.background(why);
      throw why;
    }
    return { cursor: this.place.cursor, client: CLIENT };
  }

  /** Commits a frame, then tells. What cannot be committed ends the connection, and the next one begins from what is committed. */
  private async frame(frame: ServerFrame): Promise<void> {
    try {
      await this.take(frame);
    } catch (why) {
      if (why instanceof Stale) this.core.overtaken();
      await this.core.distrusted(this.place.life, why);
      throw why;
    }
  }

  private async take(frame: ServerFrame): Promise<void> {
    const { db, tabs } = this.core;
    switch (frame.t) {
      case "welcome":
        return this.welcome(frame);
      case "resync":
        await db.resync(this.place, frame.epoch);
        return tabs.changed("all", "outbox");
      case "entries":
        await db.pushed(this.place, frame.conversation, frame.entries, frame.head);
        this.owes([frame.conversation]);
        for (const e of frame.entries) if (e.kind === "message") this.ephemera.said(frame.conversation, e.sender);
        return tabs.changed([frame.conversation]);
      case "changes": {
        const changed = await db.changes(this.place, frame.rows, frame.cursor, !frame.more);
        this.owes(frame.rows.map((row) => row.id));
        return tabs.changed(changed);
      }
      case "receipts":
        await db.receipt(frame);
        return tabs.changed([frame.conversation]);
      case "whisper":
        if (frame.kind === "typing" && frame.sender !== this.me) tabs.tell({ t: "whispered", conversation: frame.conversation, user: frame.sender });
        return;
      case "presence":
        return tabs.tell({ t: "presence", items: frame.items });
      case "contacts":
        void this.contacts.pull();
        return;
      default:
        return; // of others, or nobody's here
    }
  }

  private async welcome(frame: WelcomeFrame): Promise<void> {
    if (frame.user.id !== this.me) {
      // The browser's session is another person's: nothing of theirs belongs here.
      this.core.lost();
      throw new Failure("unauthorized", "the session is of another account");
    }
    const { db, tabs } = this.core;
    const { life } = this.place;
    if (await db.welcome(this.place, frame.epoch, frame.limits)) tabs.changed([], "limits");
    if (await db.updateAccount((account) => ({ ...account, me: frame.user, device: frame.device.id }))) tabs.changed([], "account", "people");
    if (life !== this.place.life) tabs.changed("all", "outbox");
  }

  private stands(state: LinkState): void {
    const before = reachable(this.core.connection.now);
    this.state = state;
    if (state.state === "signed out") {
      this.core.lost();
      return;
    }
    this.core.connection.set(state);
    this.core.tabs.others({ t: "connection", state });
    this.sender.connected(reachable(state));
    this.marker.connected(state.state === "online");
    this.wishes.connected(state.state === "online");
    if (before && !reachable(state)) this.rest();
    if (state.state !== "online") return this.ephemera.dark();
    void this.contacts.pull();
    this.core.tabs.tell({ t: "watches" });
    void this.atHand();
  }

  private hear(news: News): void {
    if (news.t === "who" && this.state.state !== "signed out") this.core.tabs.others({ t: "connection", state: this.state satisfies Connection });
    if (news.t === "retry") this.link.retryNow();
    if (news.t === "typing") this.link.send({ t: "whisper", conversation: news.conversation, kind: "typing" });
    if (news.t === "watch" && this.state.state === "online") this.link.send({ t: "watch", users: [...news.users] });
    if (news.t !== "changed") return;
    this.marker.changed(news.conversations);
    if (news.also?.includes("outbox")) {
      this.sender.kick();
      this.wishes.kick();
    }
    if (news.also?.includes("life")) void this.checkLife();
  }

  /** What is held was dropped, and not by this connection: it stands nowhere any more. */
  private async checkLife(): Promise<void> {
    try {
      if ((await this.core.db.place()).life !== this.place.life && !this.stopped) this.core.overtaken();
    } catch (why) {
      this.core.background(why);
    }
  }

  /** Nothing is to be tried again: the next connection does it. */
  private rest(): void {
    this.again?.();
    this.again = undefined;
    this.failures = 0;
  }

  private owes(conversations: readonly string[]): void {
    for (const id of conversations) this.owing.add(id);
    if (this.owing.size > 0 && this.core.connection.now.state === "online") void this.paying.ask();
  }

  /** Fetches what lies between the runs and the heads; where nothing is held that waits until somebody opens the conversation. */
  private async pay(): Promise<void> {
    for (const id of [...this.owing]) {
      if (this.stopped || !reachable(this.core.connection.now)) return;
      this.owing.delete(id);
      try {
        const at = await this.core.db.read((tx) => tx.get("conversations", id));
        if (at && at.to > 0 && at.to < at.head) await this.history.fill(id);
      } catch (why) {
        if (passing(why)) this.owing.add(id);
        this.later(why);
      }
    }
  }

  /** What could not be fetched is tried again, ever more seldom, unless there is nothing to fetch for us. */
  private later(why: unknown): void {
    this.core.background(why);
    if (!passing(why) || this.stopped || this.again) return;
    const backoff = Math.min(RETRY * 2 ** this.failures++, MAX_RETRY);
    const ms = Math.max(why.retryAfter, backoff) * (1 + this.core.outside.random());
    this.again = this.core.outside.setTimer(() => {
      this.again = undefined;
      if (this.state.state === "online") void this.atHand(); // else it is done when there is a connection
    }, ms);
  }

  /** On a new connection: a page of the newest conversations, what is owed, and the receipts of own messages on show. */
  private async atHand(): Promise<void> {
    try {
      const records = await this.core.db.read((tx) => tx.all("conversations"));
      for (const at of records) if (at.to < at.head) this.owing.add(at.id);
      const recent = records.filter((at) => at.told).sort((a, b) => b.at - a.at).slice(0, AT_HAND);
      await this.paying.ask();
      await this.each(recent, async (at) => {
        if (at.to === 0) await this.history.fill(at.id);
        const now = await this.core.db.read((tx) => tx.get("conversations", at.id)); // it may have begun with a push
        if (now && !now.start && now.to - now.from < PAGE / 2) await this.history.older(at.id);
      });
      const own = recent.filter((at) => at.last?.sender === this.me).slice(0, ASKED);
      await this.each(own, (at) => this.details.pull(at.id));
    } catch (why) {
      this.core.background(why);
    }
  }

  /** One after the other, as long as there is a connection; what one conversation is refused does not keep the others from it. */
  private async each(records: readonly ConversationRecord[], work: (at: ConversationRecord) => Promise<void>): Promise<void> {
    for (const at of records) {
      if (this.stopped || !reachable(this.core.connection.now)) return;
      await work(at).catch((why: unknown) => this.later(why));
    }
  }
}

/** Whether asking again may help. */
function passing(why: unknown): why is Failure {
  return why instanceof Failure && why.code !== "not_found" && why.code !== "unreadable";
}
