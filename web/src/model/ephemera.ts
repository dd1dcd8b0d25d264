/** What is true for a moment and kept nowhere: who is online, who is typing. Any tab shows it; the one that has the connection hears and says it. */
import type { Presence as WirePresence } from "../wire/wire.gen";
import { Cell } from "./cell";
import type { Presence } from "./model";
import type { Outside } from "./outside";
import type { News, Tabs } from "./tabs";

/** How long somebody is typing after they were last heard to, in milliseconds. */
const TYPING = 5_000;

/** How often the others are told that one types, in milliseconds. */
const TOLD = 3_000;

/** Users that are watched at most: those that are on a screen. */
const WATCHED = 100;

export class Ephemera {
  readonly presence = new Cell<ReadonlyMap<string, Presence>>(new Map());
  private readonly typing = new Map<string, Cell<readonly string[]>>(); // users, by conversation
  private readonly ends = new Map<string, () => void>(); // of "conversation user"
  private readonly told = new Map<string, number>(); // when one was last said to type, by conversation
  private readonly watches = new Set<readonly string[]>();

  constructor(
    private readonly outside: Pick<Outside, "setTimer" | "now">,
    private readonly tabs: Tabs,
  ) {
    tabs.listen((news) => this.hear(news));
  }

  /** Who types in a conversation. */
  typingIn(conversation: string): Cell<readonly string[]> {
    let cell = this.typing.get(conversation);
    if (!cell) this.typing.set(conversation, (cell = new Cell<readonly string[]>([])));
    return cell;
  }

  /** One types: the others are told, and not too often. */
  nowTyping(conversation: string): void {
    const now = this.outside.now();
    if (Math.abs(now - (this.told.get(conversation) ?? -Infinity)) < TOLD) return;
    this.told.set(conversation, now);
    this.tabs.tell({ t: "typing", conversation });
  }

  /** A message came from them: they do not type it any more. */
  said(conversation: string, user: string): void {
    this.stops(conversation, user);
  }

  /** These users are on the screen. What it returns ends that. */
  watch(users: readonly string[]): () => void {
    this.watches.add(users);
    this.tell();
    return () => void (this.watches.delete(users) && this.tell());
  }

  /** No connection: nothing of it is known. */
  dark(): void {
    this.presence.set(new Map());
    for (const end of this.ends.values()) end();
    this.ends.clear();
    for (const cell of this.typing.values()) cell.set([]);
  }

  private tell(): void {
    const users = [...new Set([...this.watches].flat())].slice(0, WATCHED);
    this.tabs.tell({ t: "watch", users });
  }

  private hear(news: News): void {
    if (news.t === "whispered") this.types(news.conversation, news.user);
    else if (news.t === "presence") this.present(news.items);
    else if (news.t === "watches" && this.watches.size > 0) this.tell();
  }

  private present(items: readonly WirePresence[]): void {
    const now = new Map(this.presence.now);
    for (const { user, online, last_seen } of items) now.set(user, { online, lastSeen: Date.parse(last_seen ?? "") || 0 });
    this.presence.set(now);
  }

  private types(conversation: string, user: string): void {
    const key = `${conversation} ${user}`;
    this.ends.get(key)?.();
    this.ends.set(key, this.outside.setTimer(() => this.stops(conversation, user), TYPING));
    const cell = this.typingIn(conversation);
    if (!cell.now.includes(user)) cell.set([...cell.now, user]);
  }

  private stops(conversation: string, user: string): void {
    const key = `${conversation} ${user}`;
    this.ends.get(key)?.();
    this.ends.delete(key);
    const cell = this.typing.get(conversation);
    if (cell?.now.includes(user)) cell.set(cell.now.filter((u) => u !== user));
  }
}
