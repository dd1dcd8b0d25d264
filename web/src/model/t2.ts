/**
 * T2: whatever happens to a browser, its tabs, the network and the server, in whatever order, the promises hold. Here are the world, the
 * things that may happen, and what is checked: after every commit, at every value that a tab shows, and when all has healed.
 */
import type { ConversationRecord } from "../db/schema";
import { FakeServer } from "./fakeserver";
import { Browser, chance, Clock, type Put, type Seams, type Tab } from "./fakeworld";
import type { Message, Stretch, Timeline } from "./model";

const ME = "u-ann";
const conversations = ["c1", "g1"] as const;

/** Something that happens; a, b and c choose where and how much. */
export interface Step {
  readonly do: keyof typeof happenings;
  readonly a: number;
  readonly b: number;
  readonly c: number;
}

export class World {
  readonly clock = new Clock();
  readonly server = new FakeServer([ME, "u-bob", "u-cid"]);
  readonly browser: Browser;
  /** What people wrote, in the order in which it was queued, by conversation. */
  readonly queued = new Map<string, string[]>();
  readonly open = new Map<Tab, Map<string, Timeline>>();
  written = 0;
  private readonly committed = new Set<string>(); // ids that were ever committed, of entries and of what waits
  private readonly texts = new Set<string>([""]);
  private settling = false;
  private violation: Violation | undefined;

  constructor(seed: number, seams: Seams) {
    this.server.create("c1", "direct", [ME, "u-bob"]);
    this.server.create("g1", "group", ["u-bob", ME, "u-cid"], "Garden");
    const random = chance(seed);
    this.server.unsettled = () => {
      if (this.settling) return;
      this.settling = true;
      this.clock.at(5 + Math.floor(random() * 40), () => {
        this.settling = false;
        this.server.settle();
      });
    };
    this.browser = new Browser(this.clock, this.server, random, seams);
    this.browser.committed = (puts) => this.afterCommit(puts);
  }

  async begin(): Promise<void> {
    const tab = this.tab();
    await this.clock.pass(5);
    const signing = tab.model.signIn({ handle: "ann", password: "correct horse" });
    await this.clock.pass(100);
    await signing;
  }

  /** Opens a tab, and watches what it shows. */
  tab(): Tab {
    const tab = this.browser.open();
    this.open.set(tab, new Map());
    tab.model.conversations.subscribe((list) => {
      for (const c of list) if (!this.texts.has(c.last?.text ?? "")) this.violated(`shown before it was committed: ${c.last?.text}`);
    });
    return tab;
  }

  timeline(tab: Tab, conversation: string): Timeline {
    const open = this.open.get(tab)!;
    let timeline = open.get(conversation);
    if (!timeline) {
      timeline = tab.model.open(conversation);
      open.set(conversation, timeline);
      timeline.state.subscribe((state) => this.shown(state));
    }
    return timeline;
  }

  async run(steps: readonly Step[]): Promise<void> {
    await this.begin();
    for (const step of steps) {
      happenings[step.do](this, step.a, step.b, step.c);
      await this.clock.pass(step.c % 3 === 0 ? 0 : step.c % 40);
    }
    await this.heal();
    if (!this.violation) await this.check();
    if (this.violation) throw this.violation;
  }

  /** Everything works again, for long enough. */
  async heal(): Promise<void> {
    this.server.refusals.length = 0;
    this.browser.loss = 0;
    for (const tab of this.browser.living) if (tab.frozen) tab.thaw();
    this.browser.setNetwork(true);
    while (this.browser.living.length < 2) this.tab();
    await this.clock.pass(100_000);
  }

  /** A commit: the run has no gap and is of the log, and the cursor stands beyond nothing that is not known. */
  private afterCommit(puts: readonly Put[]): void {
    let place = false;
    const changed = new Map<string, ConversationRecord>();
    for (const put of puts) {
      if (put.store === "entries") {
        this.committed.add(put.record.id);
        this.texts.add(put.record.text ?? "");
      } else if (put.store === "outbox") {
        this.committed.add(put.record.id);
        this.texts.add(put.record.text);
        const queue = this.queued.get(put.record.conversation) ?? [];
        if (!queue.includes(put.record.text)) this.queued.set(put.record.conversation, [...queue, put.record.text]);
      } else if (put.store === "conversations") {
        this.texts.add(put.record.last?.text ?? "");
        changed.set(put.record.id, put.record);
      } else if (put.store === "meta") place ||= put.record.key === "place";
    }
    for (const record of changed.values()) this.runIsWhole(record);
    if (place) this.cursorStands();
    this.nothingIsLost();
  }

  private runIsWhole({ id, from, to, head }: ConversationRecord): void {
    if (to > head) this.violated(`${id}: the run ends at ${to}, beyond the head ${head}`);
    for (let seq = Math.max(from, 1); seq <= to; seq++) {
      const held = this.browser.memory.peek("entries", [id, seq]);
      if (!held) return this.violated(`${id}: the run ${from}..${to} lacks ${seq}`);
      const told = [...this.server.epochs.values()].some((logs) => logs.get(id)?.entries[seq - 1]?.id === held.id);
      if (!told) this.violated(`${id}: ${seq} is not of the log`);
    }
  }

  private cursorStands(): void {
    const place = this.browser.memory.peek("meta", "place");
    if (place?.key !== "place" || place.cursor === null) return;
    const [epoch, pos] = place.cursor.split(".");
    if (epoch !== place.epoch) this.violated(`the cursor is of ${epoch}, the rest of ${place.epoch}`);
    if (epoch !== this.server.epoch) return;
    for (const row of this.server.inbox(ME).past) {
      if (row.pos > Number(pos)) continue;
      const head = this.browser.memory.peek("conversations", row.conversation)?.head ?? 0;
      if (head < row.head) this.violated(`the cursor stands at ${pos}, but nothing is known of ${row.conversation} beyond ${head}`);
    }
  }

  /** What was queued waits, or is in a log. */
  private nothingIsLost(): void {
    const waiting = new Set(this.browser.memory.peekAll("outbox").map((row) => row.text));
    for (const [conversation, queue] of this.queued) {
      for (const text of queue) {
        if (waiting.has(text)) continue;
        if (![...this.server.epochs.values()].some((logs) => logs.get(conversation)?.entries.some((e) => e.body?.text === text || e.edited || e.deleted))) this.violated(`lost: ${text}`);
      }
    }
  }

  private shown(state: Stretch | undefined): void {
    for (const item of state?.items ?? []) {
      if (item.kind === "message" && !this.committed.has(item.key)) this.violated(`shown before it was committed: ${item.text}`);
    }
  }

  /** When all has healed. */
  private async check(): Promise<void> {
    this.logsAreRight();
    for (const tab of this.browser.living) {
      this.expect("account", tab.model.account.now.state, "in");
      this.expect("connection", tab.model.connection.now.state, "online");
      for (const { id } of this.server.all()) await this.timelineIsRight(tab, id);
      this.expect("the list", tab.model.conversations.now.map((c) => c.id).sort(), this.server.all().map((log) => log.id).sort());
    }
    const place = this.browser.memory.peek("meta", "place");
    this.expect("cursor", place?.key === "place" && place.cursor, this.server.cursor(this.server.inbox(ME).pos));
  }

  /** Each message stands in the log once, in the order it was written; what does not is known to have failed, or was lost in a restore. */
  private logsAreRight(): void {
    const failed = new Set<string>();
    for (const row of this.browser.memory.peekAll("outbox")) {
      if (!row.failure) this.violated(`still waiting: ${row.text}`);
      failed.add(row.text);
    }
    for (const log of this.server.all()) {
      const ids = log.entries.map((e) => e.id);
      this.expect("ids that stand once", new Set(ids).size, ids.length);
      const said = log.entries.filter((e) => e.sender === ME && e.body?.text?.startsWith("t")).map((e) => e.body!.text!);
      const queue = this.queued.get(log.id) ?? [];
      const due = queue.filter((text) => !failed.has(text) && (!this.server.lost.has(text) || said.includes(text)));
      const again = (text: string): boolean => this.resent.has(text);
      this.expect(`own messages of ${log.id}`, [...said].sort(), [...due].sort());
      this.expect(`their order in ${log.id}`, said.filter((text) => !again(text)), due.filter((text) => !again(text)));
    }
  }

  /** What failed and was sent again stands later than it was first written. */
  readonly resent = new Set<string>();

  private async timelineIsRight(tab: Tab, conversation: string): Promise<void> {
    const timeline = this.timeline(tab, conversation);
    await this.clock.pass(500);
    for (let pages = 0; pages < 20 && !timeline.state.now?.atStart; pages++) {
      const loading = timeline.loadOlder();
      await this.clock.pass(100);
      await loading;
    }
    const state = timeline.state.now;
    if (!state?.atStart || !state.atEnd) return this.violated(`${conversation} is not shown whole: ${JSON.stringify(state && { ...state, items: state.items.length })}`);
    const log = this.server.log(conversation)!;
    const messages = state.items.filter((item): item is Message => item.kind === "message" && item.receipt !== "failed");
    const due = log.entries.filter((e) => e.kind === "message");
    this.expect(`messages of ${conversation}`, messages.map((m) => `${m.seq} ${m.key} ${m.text}`), due.map((e) => `${e.seq} ${e.id} ${e.body?.text ?? ""}`));
    const keys = state.items.map((item) => item.key);
    this.expect("keys that stand once", new Set(keys).size, keys.length);
    const row = this.server.row(ME, conversation);
    this.expect(`unread of ${conversation}`, state.conversation.unread, row.unread);
    this.expect(`unread of ${conversation} in the list`, tab.model.conversations.now.find((c) => c.id === conversation)?.unread, row.unread);
    this.expect(`delivered of ${conversation}`, Math.max(row.delivered, row.read), row.head);
    const others = log.members.filter((m) => m !== ME).map((m) => this.server.inbox(m).rows.get(conversation));
    const read = Math.min(...others.map((o) => o?.read ?? 0));
    const delivered = Math.min(...others.map((o) => Math.max(o?.delivered ?? 0, o?.read ?? 0)));
    for (const m of messages) if (m.mine) this.expect(`receipt of ${m.seq}`, m.receipt, m.seq <= read ? "read" : m.seq <= delivered ? "delivered" : "sent");
  }

  private expect(what: string, is: unknown, due: unknown): void {
    if (JSON.stringify(is) !== JSON.stringify(due)) this.violated(`${what}: ${JSON.stringify(is)} instead of ${JSON.stringify(due)}`);
  }

  /** The first one counts. It is thrown at the end: whoever is told in the middle of a commit may take a throw for something else. */
  private violated(how: string): void {
    this.violation ??= new Violation(how);
  }

  // --- for what happens ---

  /** One of the living tabs that are not frozen. */
  some(n: number): Tab | undefined {
    const awake = this.browser.living.filter((tab) => !tab.frozen);
    return awake[n % Math.max(1, awake.length)];
  }

  text(): string {
    return `t${++this.written}`;
  }
}

/** A promise was broken. */
export class Violation extends Error {
  override readonly name = "Violation";
}

const ignore = (): void => undefined; // a promise of a tab that may be killed, or of a fetch that may fail

const conversation = (n: number): string => conversations[n % conversations.length]!;

export const happenings = {
  send: (w: World, a: number, b: number) => {
    const tab = w.some(a);
    if (tab?.model.account.now.state === "in") void w.timeline(tab, conversation(b)).send(w.text()).catch(ignore);
  },
  burst: (w: World, a: number, b: number, c: number) => {
    for (let i = 0; i <= c % 4; i++) happenings.send(w, a, b);
  },
  peer: (w: World, a: number, b: number, c: number) => {
    const log = w.server.log(conversation(b))!;
    const others = log.members.filter((m) => m !== ME);
    for (let i = 0; i <= c % 3; i++) w.server.say(log.id, others[a % others.length]!, `p${++w.written}`, `p${w.written}`, c % 5 !== 0);
  },
  flood: (w: World, a: number, b: number, c: number) => {
    for (let i = 0; i <= 8 + (c % 8); i++) happenings.peer(w, a, b, 0);
  },
  elsewhere: (w: World, _a: number, b: number, c: number) => w.server.say(conversation(b), ME, `o${++w.written}`, `o${w.written}`, c % 3 !== 0),
  peerReads: (w: World, a: number, b: number, c: number) => {
    const log = w.server.log(conversation(b))!;
    const others = log.members.filter((m) => m !== ME);
    const upTo = Math.max(1, log.entries.length - (c % 4));
    w.server.mark(others[a % others.length]!, log.id, upTo, c % 2 === 0 ? upTo : 0);
  },
  readsElsewhere: (w: World, _a: number, b: number, c: number) => {
    const log = w.server.log(conversation(b))!;
    w.server.mark(ME, log.id, 0, Math.max(1, log.entries.length - (c % 4)));
  },
  sees: (w: World, a: number, b: number, c: number) => {
    const tab = w.some(a);
    const open = tab && w.open.get(tab)!.get(conversation(b));
    const seqs = open?.state.now?.items.map((item) => item.seq) ?? [];
    if (seqs.length > 0) open!.seen(seqs[Math.max(0, seqs.length - 1 - (c % 3))]!);
  },
  edits: (w: World, a: number, b: number, c: number) => {
    const log = w.server.log(conversation(b))!;
    const targets = log.entries.filter((e) => e.kind === "message" && e.sender !== ME && !e.deleted);
    const target = targets[a % Math.max(1, targets.length)];
    if (target) w.server.point(log.id, target.sender, `x${++w.written}`, target.seq, c % 2 === 0 ? undefined : `e${w.written}`);
  },
  looks: (w: World, a: number, b: number) => {
    const tab = w.some(a);
    if (tab) w.timeline(tab, conversation(b));
  },
  leaves: (w: World, a: number, b: number) => {
    const tab = w.some(a);
    const open = tab && w.open.get(tab)!;
    open?.get(conversation(b))?.close();
    open?.delete(conversation(b));
  },
  scrolls: (w: World, a: number, b: number) => {
    const tab = w.some(a);
    if (tab) void w.timeline(tab, conversation(b)).loadOlder().catch(ignore);
  },
  opens: (w: World) => {
    if (w.browser.living.length < 3) w.tab();
  },
  closes: (w: World, a: number) => void w.some(a)?.close().catch(ignore),
  dies: (w: World, a: number) => w.some(a)?.kill(),
  freezes: (w: World, a: number) => w.some(a)?.freeze(),
  thaws: (w: World, a: number) => {
    const frozen = w.browser.living.filter((tab) => tab.frozen);
    frozen[a % Math.max(1, frozen.length)]?.thaw();
  },
  cut: (w: World, a: number) => w.browser.cut(a % 4 === 0 ? 1012 : a % 7 === 0 ? 1013 : 1006),
  /** The server hears, and nobody hears the server: what it acknowledges from here is lost. */
  deaf: (w: World, _a: number, _b: number, c: number) => {
    for (const tab of w.browser.living) {
      for (const wire of tab.wires) {
        wire.deaf = true;
        w.clock.at(5 + (c % 60), () => wire.end(1006));
      }
    }
  },
  /** Nothing that the page says is heard any more. */
  mute: (w: World, _a: number, _b: number, c: number) => {
    for (const tab of w.browser.living) {
      for (const wire of tab.wires) {
        wire.mute = true;
        w.clock.at(5 + ((c * 7) % 500), () => wire.end(1006));
      }
    }
  },
  /** What was said once is said twice. */
  repeats: (w: World, _a: number, b: number) => {
    const log = w.server.log(conversation(b))!;
    const from = Math.max(0, log.entries.length - 3);
    for (const s of w.server.sessions) if (s.live) s.say({ t: "entries", conversation: log.id, entries: log.entries.slice(from), head: log.entries.length });
  },
  /** A live push that leaves out what came before it. */
  skips: (w: World, a: number, b: number) => {
    happenings.peer(w, a, b, 5); // three, and nobody is nudged
    const log = w.server.log(conversation(b))!;
    for (const s of w.server.sessions) if (s.live) s.say({ t: "entries", conversation: log.id, entries: log.entries.slice(-1), head: log.entries.length });
  },
  offline: (w: World) => w.browser.setNetwork(false),
  online: (w: World) => w.browser.setNetwork(true),
  lossy: (w: World, a: number) => {
    w.browser.loss = a % 2 === 0 ? 0.4 : 0;
  },
  refuses: (w: World, a: number) => {
    const [code, retry_after_ms] = ([["overloaded", 300], ["rate_limited", 700], ["draining", 0], ["internal", 0], ["forbidden", 0]] as const)[a % 5]!;
    w.server.refusals.push({ code, ...(retry_after_ms ? { retry_after_ms } : {}) });
  },
  sendsAgain: (w: World, a: number, b: number) => {
    const tab = w.some(a);
    const open = tab && w.open.get(tab)!.get(conversation(b));
    const failed = open?.state.now?.items.find((item): item is Message => item.kind === "message" && item.receipt === "failed");
    if (!failed) return;
    w.resent.add(failed.text);
    void open!.sendAgain(failed.key).catch(ignore);
  },
  restores: (w: World, a: number) => w.server.restore((log) => (a % 2 === 0 ? log.entries.length : log.entries.length - (a % 5))),
  jumps: (w: World, a: number, b: number) => {
    const tab = w.some(a);
    if (!tab) return;
    tab.skew += (b % 2 === 0 ? 1 : -1) * 3_600_000;
    tab.wake();
  },
  drafts: (w: World, a: number, b: number, c: number) => {
    const tab = w.some(a);
    if (tab) w.timeline(tab, conversation(b)).keepDraft(`d${c}`);
  },
} satisfies Record<string, (w: World, a: number, b: number, c: number) => unknown>;
