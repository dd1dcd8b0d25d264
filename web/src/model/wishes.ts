import type { ContactRecord, DraftRecord, WishRecord } from "../db/schema";
import { Failure } from "../wire/failure";
import { codes, type Contact, type ConversationPatch } from "../wire/wire.gen";
import { Coalesced } from "./coalesced";
import type { Core } from "./core";

/** How long a draft rests before the server gets it, in milliseconds: somebody is still writing. */
const REST = 2_000;

/** How long until what the server did not take is tried again, in milliseconds, and up to as much again by chance. */
const RETRY = 5_000;

/**
 * Takes to the server what the owner decided on this device and it does not know yet: wishes for conversations, drafts, contacts. Only the
 * tab that has the connection has one. Everything of it is a state, not a message: the last one counts, and saying it twice does no harm.
 */
export class Wishes {
  private readonly work = new Coalesced(() => this.round());
  private live = false;
  private due: (() => void) | undefined; // calls off the next round
  private dueAt = Infinity;

  constructor(private readonly core: Core) {}

  /** Whether there is a connection. */
  connected(live: boolean): void {
    this.live = live;
    this.rest();
    if (live) void this.work.ask();
  }

  /** Something may wait. */
  kick(): void {
    if (this.live) void this.work.ask();
  }

  async stop(): Promise<void> {
    this.live = false;
    this.rest();
    await this.work.stop();
  }

  private rest(): void {
    this.due?.();
    this.due = undefined;
    this.dueAt = Infinity;
  }

  private later(ms: number): void {
    const at = this.core.outside.now() + ms;
    if (!this.live || at >= this.dueAt) return;
    this.rest();
    this.dueAt = at;
    this.due = this.core.outside.setTimer(() => {
      this.rest();
      this.kick();
    }, ms);
  }

  private async round(): Promise<void> {
    try {
      const { wishes, drafts, contacts } = await this.core.db.read(async (tx) => ({ wishes: await tx.all("wishes"), drafts: await tx.all("drafts"), contacts: await tx.all("contacts") }));
      for (const wish of wishes) await this.attempt(() => this.wish(wish));
      for (const contact of contacts) if (contact.waiting) await this.attempt(() => this.contact(contact));
      for (const draft of drafts) if (!draft.told) await this.attempt(() => this.draft(draft));
    } catch (why) {
      this.core.background(why);
    }
  }

  /** What one is refused for a time does not keep the others from it. */
  private async attempt(work: () => Promise<void>): Promise<void> {
    if (!this.live) return;
    try {
      await work();
    } catch (why) {
      if (!(why instanceof Failure)) throw why;
      if (why.code === "unauthorized") this.core.lost();
      else this.later(Math.max(RETRY, why.retryAfter) * (1 + this.core.outside.random()));
    }
  }

  private async wish(wish: WishRecord): Promise<void> {
    const { conversation, hide, muted, mutedUntil, archived, pinned } = wish;
    const patch: ConversationPatch = {
      ...(muted === undefined ? {} : { muted, ...(muted && mutedUntil ? { muted_until: new Date(mutedUntil).toISOString() } : {}) }),
      ...(archived === undefined ? {} : { archived }),
      ...(pinned === undefined ? {} : { pinned }),
    };
    const fulfilled = await taken(async () => {
      if (hide) await this.core.api.hide(conversation, hide);
      if (Object.keys(patch).length > 0) await this.core.api.patch(conversation, patch);
    });
    await this.core.db.wished(wish, fulfilled);
    this.core.tabs.changed([conversation]);
  }

  private async draft(draft: DraftRecord): Promise<void> {
    const age = this.core.outside.now() - (draft.at ?? 0);
    if (draft.text !== "" && age >= 0 && age < REST) return this.later(REST - age);
    const { conversation, text, replyTo } = draft;
    await taken(() => this.core.api.patch(conversation, { draft: { text, ...(replyTo ? { reply_to: replyTo } : {}) } }));
    await this.core.db.draftTold(draft);
    this.core.tabs.changed([conversation]);
  }

  private async contact(contact: ContactRecord): Promise<void> {
    const { user, state, rev } = contact;
    let answer: Contact | undefined;
    try {
      if (state === "none") await this.core.api.forgetContact(user);
      else answer = await this.core.api.setContact(user, { state, rev });
    } catch (why) {
      if (!(why instanceof Failure) || !final(why)) throw why;
      if (why.code === "conflict") return this.overtaken(contact);
    }
    await this.core.db.decided(contact, answer);
    this.core.tabs.changed("all", "contacts");
  }

  /** Another device of the owner decided otherwise meanwhile. That stands, unless this one blocks. */
  private async overtaken(contact: ContactRecord): Promise<void> {
    const all = await this.core.api.contacts();
    const now = all.find((c) => c.user.id === contact.user);
    if (contact.state === "blocked" && now && now.state !== "blocked") {
      await this.core.db.blockAbove(contact.user, now.rev);
      this.later(0);
      return;
    }
    await this.core.db.decided(contact, now);
    await this.core.db.contacts(all);
    this.core.tabs.changed("all", "contacts");
  }
}

/** Whether the server did it; false: it never will. Rejects if it may later. */
async function taken(work: () => Promise<unknown>): Promise<boolean> {
  try {
    await work();
    return true;
  } catch (why) {
    if (why instanceof Failure && final(why)) return false;
    throw why;
  }
}

function final({ code }: Failure): boolean {
  return code !== "unauthorized" && code in codes && codes[code as keyof typeof codes].retry === "no";
}
