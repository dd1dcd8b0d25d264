/**
 * What the tabs of one browser tell each other. The database is the truth; this only says where to look.
 */
import type { Presence } from "../wire/wire.gen";
import type { Connection } from "./model";
import type { Channel } from "./outside";

/** Something was committed. */
export interface Changed {
  readonly t: "changed";
  readonly conversations: readonly string[] | "all";
  /** What else: who is signed in; what the server allows; messages to be sent; how users are called; what was held was dropped; how the owner stands with others. */
  readonly also?: readonly ("account" | "limits" | "outbox" | "people" | "life" | "contacts")[];
}

export type News =
  | Changed
  | { readonly t: "connection"; readonly state: Connection } // of the tab that has the connection
  | { readonly t: "who" } // asks that tab to say so
  | { readonly t: "retry" } // asks it not to wait
  | { readonly t: "presence"; readonly items: readonly Presence[] } // what it heard
  | { readonly t: "whispered"; readonly conversation: string; readonly user: string } // somebody types
  | { readonly t: "typing"; readonly conversation: string } // one types here
  | { readonly t: "watch"; readonly users: readonly string[] } // who is on the screen here
  | { readonly t: "watches" }; // asks every tab to say so

export class Tabs {
  private readonly listeners = new Set<(news: News) => void>();
  private closed = false;

  constructor(private readonly channel: Channel | undefined) {
    channel?.listen((message) => this.hear(message as News));
  }

  /** Tells the other tabs and this one. */
  tell(news: News): void {
    if (this.closed) return;
    this.channel?.post(news);
    this.hear(news);
  }

  /** Tells the other tabs alone. */
  others(news: News): void {
    if (!this.closed) this.channel?.post(news);
  }

  changed(conversations: readonly string[] | "all", ...also: NonNullable<Changed["also"]>): void {
    this.tell({ t: "changed", conversations, also });
  }

  listen(run: (news: News) => void): () => void {
    this.listeners.add(run);
    return () => void this.listeners.delete(run);
  }

  close(): void {
    this.closed = true;
    this.listeners.clear();
    this.channel?.close();
  }

  private hear(news: News): void {
    if (this.closed) return;
    for (const run of [...this.listeners]) run(news);
  }
}

/** Whether news is of that conversation. */
export function concerns(news: News, conversation: string): boolean {
  return news.t === "changed" && (news.conversations === "all" || news.conversations.includes(conversation));
}
