/** A timeline in memory, for tests and for looking at one: it does what it is asked at once, or when the test says so, and keeps what was asked. */
import type { Conversation, Item, Message, Notice, Person, Stretch, Timeline } from "../../model/model";
import type { Failure } from "../../wire/failure";
import { ada, conversation, FakeModel, grace, Value } from "../fakemodel";

/** A message of Grace's to Ada, or of Ada's if mine, with what a test names and the rest as it may be. */
export function message(seq: number, some: Partial<Message> = {}): Message {
  const mine = some.mine ?? false;
  return {
    kind: "message",
    key: `k${seq}`,
    seq,
    mine,
    sender: mine ? ada : grace,
    at: 1_700_000_000_000 + seq * 60_000,
    text: `message ${seq}`,
    type: "text/plain",
    deleted: false,
    ...(mine ? { receipt: "sent" as const } : {}),
    ...some,
  };
}

export function notice(seq: number, some: Partial<Notice> = {}): Notice {
  return { kind: "notice", key: `k${seq}`, seq, at: 1_700_000_000_000 + seq * 60_000, what: "created", people: [], title: "", ...some };
}

/** Messages first to last, of one person after the other. */
export function talk(first: number, last: number, make: (seq: number) => Item = (seq) => message(seq, { mine: seq % 3 === 0 })): Item[] {
  return Array.from({ length: last - first + 1 }, (_, at) => make(first + at));
}

/** A stretch with what a test names, whole and at rest. */
export function stretch(items: readonly Item[], some: Partial<Stretch> = {}): Stretch {
  const head = items.reduce((head, item) => Math.max(head, item.seq), 0);
  return {
    conversation: conversation({ id: "c_grace", title: grace.name, with: grace, head }),
    members: [
      { ...ada, role: "member" },
      { ...grace, role: "member" },
    ],
    items,
    unreadFrom: 0,
    atStart: true,
    atEnd: true,
    loading: false,
    ...some,
  };
}

/** A group's conversation. */
export function group(some: Partial<Conversation> = {}): Conversation {
  return conversation({ id: "c_group", kind: "group", title: "Harbour", head: 1, ...some });
}

export class FakeTimeline implements Timeline {
  readonly state: Value<Stretch | undefined>;
  draft = "";
  /** What was asked, in order, as "name(argument)". */
  readonly asked: string[] = [];
  /** Where older messages come from: given the oldest number there is, those before it. None: nothing happens until the test sets the state. */
  older: ((before: number) => Item[]) | undefined;
  /** What send throws. */
  failing: Failure | undefined;
  closed = false;
  #ids = 0;

  constructor(state?: Stretch) {
    this.state = new Value(state);
  }

  /** Changes the state by what is named. */
  now(some: Partial<Stretch>): void {
    if (this.state.now) this.state.set({ ...this.state.now, ...some });
  }

  /** Somebody says something. */
  say(...items: Item[]): void {
    const state = this.state.now!;
    const head = items.reduce((head, item) => Math.max(head, item.seq), state.conversation.head);
    this.now({ items: [...state.items, ...items], conversation: { ...state.conversation, head } });
  }

  /** Puts another in the place of the message of this key. */
  change(key: string, some: Partial<Message>): void {
    this.now({ items: this.state.now!.items.map((item) => (item.key === key ? ({ ...item, ...some } as Item) : item)) });
  }

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

  async loadOlder(): Promise<void> {
    this.asked.push("loadOlder()");
    await Promise.resolve();
    const state = this.state.now!;
    if (!this.older) return;
    const items = [...this.older(state.items[0]?.seq ?? 1), ...state.items];
    this.now({ items, atStart: (items[0]?.seq ?? 1) <= 1 });
  }

  async jumpToNewest(): Promise<void> {
    this.asked.push("jumpToNewest()");
    await Promise.resolve();
    this.now({ atEnd: true });
  }

  async send(text: string): Promise<void> {
    this.asked.push(`send(${text})`);
    await Promise.resolve();
    if (this.failing) throw this.failing;
    this.say(message(0, { key: `own${++this.#ids}`, mine: true, at: Date.now(), text, receipt: "pending" }));
  }

  async sendAgain(key: string): Promise<void> {
    this.asked.push(`sendAgain(${key})`);
  }

  async discard(key: string): Promise<void> {
    this.asked.push(`discard(${key})`);
    this.now({ items: this.state.now!.items.filter((item) => item.key !== key) });
  }

  keepDraft(text: string): void {
    this.asked.push(`keepDraft(${text})`);
  }

  seen(seq: number): void {
    this.asked.push(`seen(${seq})`);
  }

  close(): void {
    this.closed = true;
  }
}

/** A model whose conversations are the given ones. */
export class Talks extends FakeModel {
  readonly timelines: ReadonlyMap<string, FakeTimeline>;

  constructor(timelines: Record<string, FakeTimeline>) {
    super();
    this.timelines = new Map(Object.entries(timelines));
    this.conversations.set([...this.timelines.values()].flatMap(({ state }) => (state.now ? [state.now.conversation] : [])));
  }

  override open(id: string): Timeline {
    this.asked.push(`open(${id})`);
    return this.timelines.get(id) ?? new FakeTimeline();
  }
}

