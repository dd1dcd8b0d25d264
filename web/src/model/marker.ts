import type { Link } from "../net/link";
import { Coalesced } from "./coalesced";
import type { Core } from "./core";

/** How long markers are gathered before they are sent, in milliseconds. */
const GATHER = 150;

interface Markers {
  readonly delivered: number;
  readonly read: number;
}

/**
 * Tells the server what this device has stored, and what was read on it. A mark has no answer: what a row has not shown is sent again on
 * the next connection. Only the tab that has the connection has one.
 */
export class Marker {
  private readonly sent = new Map<string, Markers>(); // on this connection
  private readonly dirty = new Set<string>();
  private all = false;
  private live = false;
  private timer: (() => void) | undefined;
  private readonly work = new Coalesced(() => this.flush());

  constructor(
    private readonly core: Core,
    private readonly link: Pick<Link, "send">,
  ) {}

  /** Whether the device has caught up on a connection. */
  connected(live: boolean): void {
    this.live = live;
    this.sent.clear();
    if (live) this.changed("all");
    else this.rest();
  }

  /** Conversations in which something was committed. */
  changed(conversations: readonly string[] | "all"): void {
    if (conversations === "all") this.all = true;
    else for (const id of conversations) this.dirty.add(id);
    if (!this.live) return;
    this.timer ??= this.core.outside.setTimer(() => {
      this.timer = undefined;
      void this.work.ask();
    }, GATHER);
  }

  async stop(): Promise<void> {
    this.live = false;
    this.rest();
    await this.work.stop();
  }

  private rest(): void {
    this.timer?.();
    this.timer = undefined;
  }

  private async flush(): Promise<void> {
    const ids = this.all ? undefined : [...this.dirty];
    this.all = false;
    this.dirty.clear();
    try {
      const records = await this.core.db.read(async (tx) => (ids ? Promise.all(ids.map((id) => tx.get("conversations", id))) : tx.all("conversations")));
      for (const at of records) {
        if (!at || !at.told || !this.live) continue;
        const before = this.sent.get(at.id) ?? { delivered: Math.max(at.delivered, at.rowRead), read: at.rowRead };
        const now = { delivered: Math.max(at.to, before.delivered), read: Math.max(at.read, before.read) };
        const news = { ...(now.delivered > before.delivered ? { delivered: now.delivered } : {}), ...(now.read > before.read ? { read: now.read } : {}) };
        if (Object.keys(news).length === 0) continue;
        if (this.link.send({ t: "mark", conversation: at.id, ...news })) this.sent.set(at.id, now);
        else this.changed([at.id]); // too much waits to leave
      }
    } catch (why) {
      this.core.background(why);
    }
  }
}
