import { Failure } from "../wire/failure";
import { MaxLimit } from "../wire/wire.gen";
import { fetched, type Core } from "./core";

/** Entries of one page of older history. */
export const PAGE = 100;

/** A device that is further behind begins anew at the newest page. */
const LEAP = 1_000;

/** Fetches what the device does not hold. Each conversation has at most one fetch of a kind under way in a tab. */
export class History {
  private readonly filling = new Once();
  private readonly reaching = new Map<string, Promise<void>>();

  constructor(private readonly core: Core) {}

  /** Fetches what lies between the run and the head; of a conversation of which nothing is held the newest page. Rejects with a Failure. */
  fill(conversation: string): Promise<void> {
    return this.filling.run(conversation, () => this.fillUp(conversation));
  }

  /** Fetches the page before the run, if there is one. Rejects with a Failure. */
  older(conversation: string): Promise<void> {
    let way = this.reaching.get(conversation);
    if (!way) {
      way = this.reach(conversation).finally(() => this.reaching.delete(conversation));
      this.reaching.set(conversation, way);
    }
    return way;
  }

  private async fillUp(conversation: string): Promise<void> {
    for (let before = -1; ; ) {
      const at = await this.held(conversation);
      if (!at || (at.to >= at.head && at.to > 0) || at.head === 0) return;
      if (at.to === before) return; // the log has no more: the end of a membership
      before = at.to;
      if (at.to === 0 || at.head - at.to > LEAP) await this.newest(conversation);
      else await this.following(conversation, at.to);
    }
  }

  private async newest(conversation: string): Promise<void> {
    await fetched(
      this.core,
      () => this.core.api.entriesBefore(conversation, undefined, PAGE),
      (life, page) => this.core.db.history(life, conversation, page.items, { leap: true, start: page.items.length < PAGE, head: page.head }),
    );
    this.core.tabs.changed([conversation]);
  }

  private async following(conversation: string, to: number): Promise<void> {
    await fetched(
      this.core,
      () => this.core.api.entriesAfter(conversation, to, MaxLimit),
      // Who was away and came back may not read what was said meanwhile: then the run begins anew.
      (life, page) => this.core.db.history(life, conversation, page.items, { leap: true, head: page.head }),
    );
    this.core.tabs.changed([conversation]);
  }

  private async reach(conversation: string): Promise<void> {
    const at = await this.held(conversation);
    if (!at) return;
    if (at.to === 0) return this.fill(conversation);
    if (at.start) return;
    await fetched(
      this.core,
      () => this.core.api.entriesBefore(conversation, at.from, PAGE),
      (life, page) => this.core.db.history(life, conversation, page.items, { start: page.items.length < PAGE, head: page.head }),
    );
    this.core.tabs.changed([conversation]);
  }

  private held(conversation: string) {
    return this.core.db.read((tx) => tx.get("conversations", conversation));
  }
}

/** Asks who belongs to a conversation, how they are called, and how far they have got. */
export class Details {
  private readonly pulling = new Once();
  private readonly sought = new Set<string>(); // users asked for, found or not

  constructor(private readonly core: Core) {}

  /** Rejects with a Failure. */
  pull(conversation: string): Promise<void> {
    return this.pulling.run(conversation, async () => {
      const renamed = await fetched(
        this.core,
        () => this.core.api.conversation(conversation),
        (life, details) => this.core.db.details(life, details),
      );
      // How somebody is called shows in every conversation.
      if (renamed) this.core.tabs.changed("all", "people");
      else this.core.tabs.changed([conversation]);
    });
  }

  /** Asks for users who belong no more, each once as long as the page lives. It tells of no failure: names come when they come. */
  async seek(users: readonly string[]): Promise<void> {
    for (const id of users) {
      if (this.sought.has(id)) continue;
      this.sought.add(id);
      try {
        const user = await this.core.api.user(id);
        await this.core.db.people([user]);
        this.core.tabs.changed("all", "people");
      } catch (why) {
        if (why instanceof Failure && why.code === "offline") this.sought.delete(id);
        this.core.background(why);
      }
    }
  }
}

/** Fetches of one kind, at most one under way for each conversation. Who asks meanwhile gets one that begins after that: it knows what came since. */
class Once {
  private readonly under = new Map<string, { readonly now: Promise<void>; next?: Promise<void> }>();

  run(conversation: string, work: () => Promise<void>): Promise<void> {
    const way = this.under.get(conversation);
    if (way) return (way.next ??= way.now.catch(() => undefined).then(() => this.run(conversation, work)));
    const now = work().finally(() => this.under.delete(conversation));
    this.under.set(conversation, { now });
    return now;
  }
}
