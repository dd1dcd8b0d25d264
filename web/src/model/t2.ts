/**
 * T2: whatever happens to a browser, its tabs, the network and the server, in whatever order, the promises hold. Here are the world, the
 * things that may happen, and what is checked: after every commit, at every value that a tab shows, and when all has healed.
 */
import type { ConversationRecord, EntryRecord, ReactionRecord } from "../db/schema";
import type { Entry } from "../wire/wire.gen";
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
  /** The ids of what people wrote and did, in the order in which it was queued, by conversation. */
  readonly queued = new Map<string, string[]>();
  private readonly queuedTexts = new Map<string, string>(); // of messages, by id
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
        this.isFolded(put.record);
      } else if (put.store === "outbox") {
        this.committed.add(put.record.id);
        this.texts.add(put.record.text);
        if (put.record.kind === "delete") this.deletions.add(put.record.id);
        const queue = this.queued.get(put.record.conversation) ?? [];
        if (!queue.includes(put.record.id)) this.queued.set(put.record.conversation, [...queue, put.record.id]);
        if (put.record.kind === undefined) this.queuedTexts.set(put.record.id, put.record.text);
      } else if (put.store === "conversations") {
        this.texts.add(put.record.last?.text ?? "");
        changed.set(put.record.id, put.record);
      } else if (put.store === "meta") place ||= put.record.key === "place";
    }
    for (const record of changed.values()) this.runIsWhole(record);
    if (place) this.cursorStands();
    this.nothingIsLost();
  }

  /** An entry reads as the server has it with the acts up to where it was folded, or with those of the run if they go further. */
  private isFolded(put: EntryRecord): void {
    const at = this.browser.memory.peek("conversations", put.conversation);
    const held = this.browser.memory.peek("entries", [put.conversation, put.seq]);
    if (held !== put || !at || put.kind !== "message") return;
    const is = reads(put);
    const due: string[] = [];
    for (const logs of this.server.epochs.values()) {
      const log = logs.get(put.conversation);
      const e = log?.entries[put.seq - 1];
      if (!log || e?.id !== put.id) continue;
      // Streams leave out what is deleted, before the deletion itself.
      if (e.deleted && put.text === undefined) return;
      const gone = log.entries.slice(put.seq, at.to).some((act) => act.kind === "delete" && act.ref === put.seq);
      const now = says(this.server.folded(log, ME, e, Math.max(put.asOf ?? 0, at.to)));
      // Of what is deleted later, edits are not to be had any more: then it is only due to be gone in time.
      if (is === now || (e.deleted && !gone)) return;
      due.push(now);
    }
    if (due.length > 0) this.violated(`${put.conversation} ${put.seq} as of ${put.asOf ?? put.seq} in a run to ${at.to}: ${is} instead of ${due.join(" or ")}`);
  }

  /** What was deleted is nowhere on the device. */
  private nothingOfTheDeleted(): void {
    const { memory } = this.browser;
    const held = [
      ...memory.peekAll("entries").map((e) => e.text), ...memory.peekAll("folds").flatMap((f) => f.acts.map((a) => a.text)),
      ...memory.peekAll("conversations").map((c) => c.last?.text),
    ];
    for (const text of held) if (text && this.server.deletedTexts.has(text)) this.violated(`deleted, and still on the device: ${text}`);
  }

  private runIsWhole({ id, from, to, head }: ConversationRecord): void {
    if (to > head) this.violated(`${id}: the run ends at ${to}, beyond the head ${head}`);
    for (let seq = Math.max(from, 1); seq <= to; seq++) {
      const held = this.browser.memory.peek("entries", [id, seq]);
      if (!held) return this.violated(`${id}: the run ${from}..${to} lacks ${seq}`);
      const told = [...this.server.epochs.values()].some((logs) => {
        const log = logs.get(id);
        return log !== undefined && log.entries[seq - 1] !== undefined && this.server.stream(log, ME, seq - 1, seq)[0]?.id === held.id;
      });
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

  /** What was queued waits, or is in a log; of deletions one is enough. */
  private nothingIsLost(): void {
    const waiting = new Set(this.browser.memory.peekAll("outbox").map((row) => row.id));
    for (const [conversation, queue] of this.queued) {
      for (const id of queue) {
        if (waiting.has(id) || this.discarded.has(id)) continue;
        if (![...this.server.epochs.values()].some((logs) => logs.get(conversation)?.raw.some((e) => e.id === id)) && !this.deletions.has(id)) this.violated(`lost: ${this.queuedTexts.get(id) ?? id}`);
      }
    }
  }

  readonly deletions = new Set<string>(); // ids of deletions that were queued
  readonly discarded = new Set<string>(); // ids of what failed and was given up

  private shown(state: Stretch | undefined): void {
    for (const item of state?.items ?? []) {
      if (item.kind === "notice" && item.key === "") this.violated("something withheld is shown");
      if (item.kind === "message" && !this.committed.has(item.key)) this.violated(`shown before it was committed: ${item.text}`);
    }
  }

  /** When all has healed. */
  private async check(): Promise<void> {
    this.logsAreRight();
    this.nothingOfTheDeleted();
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
      if (!row.failure) this.violated(`still waiting: ${row.kind ?? "message"} ${row.text}`);
      failed.add(row.id);
    }
    for (const log of this.server.all()) {
      const ids = log.raw.map((e) => e.id);
      this.expect("ids that stand once", new Set(ids).size, ids.length);
      const said = log.raw.filter((e) => e.sender === ME && this.queued.get(log.id)?.includes(e.id)).map((e) => e.id);
      const due = (this.queued.get(log.id) ?? []).filter((id) => !failed.has(id) && !this.discarded.has(id) && (!this.server.lost.has(id) || said.includes(id)) && (!this.deletions.has(id) || said.includes(id)));
      this.expect(`own entries of ${log.id}`, said, due);
    }
  }

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
    const due = this.server.page(log, ME, 0, log.entries.length).filter((e) => e.kind === "message");
    this.expect(`messages of ${conversation}`, messages.map((m) => `${m.seq} ${m.key} ${shows(m)}`), due.map((e) => `${e.seq} ${e.id} ${says(e)}`));
    const pins = state.pins ?? [];
    this.expect(`pins of ${conversation}`, pins, log.pins);
    const last = due.at(-1);
    if (last && state.conversation.last && !messages.some((m) => m.refused)) this.expect(`the last of ${conversation}`, this.lastShown(state), last.body?.text ?? "");
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

  /** What the list shows of the newest message, unless a message that failed stands there. */
  private lastShown(state: Stretch): string | undefined {
    const { last } = state.conversation;
    return last?.receipt === "failed" ? state.items.findLast((i): i is Message => i.kind === "message" && i.receipt !== "failed")?.text : last?.text;
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

/** What an entry says, however it is written down. */
function says(e: Entry): string {
  return [e.deleted ? "deleted" : (e.body?.text ?? ""), e.edited ? "edited" : "", ...felt(e.reactions ?? [])].join(" ");
}

function reads(e: EntryRecord): string {
  return [e.deleted ? "deleted" : (e.text ?? ""), e.edited ? "edited" : "", ...felt(e.reactions ?? [])].join(" ");
}

function shows(m: Message): string {
  return [m.deleted ? "deleted" : m.text, m.edited ? "edited" : "", ...felt((m.reactions ?? []).map((r) => ({ text: r.text, count: r.count, users: r.people.map((p) => p.id) })))].join(" ");
}

function felt(reactions: readonly ReactionRecord[]): string[] {
  return reactions.map((r) => `${r.text}${r.count}${[...r.users].sort().join()}`).sort();
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
    const targets = log.entries.filter((e) => e.kind === "message" && e.sender !== ME && !e.deleted && !w.server.isWithheld(log, e.seq, ME));
    const target = targets[a % Math.max(1, targets.length)];
    // What somebody who is blocked does is withheld, a deletion, too: then what they deleted is held until it is read again.
    const heard = target && w.server.stands(ME, target.sender) !== "blocked";
    if (target) w.server.point(log.id, target.sender, `x${++w.written}`, target.seq, heard && c % 3 === 0 ? undefined : `e${w.written}`);
  },
  /** Somebody feels something, or takes it back. */
  feels: (w: World, a: number, b: number, c: number) => {
    const log = w.server.log(conversation(b))!;
    const others = log.members.filter((m) => m !== ME);
    const targets = log.entries.filter((e) => e.kind === "message" && !e.deleted && !w.server.isWithheld(log, e.seq, ME));
    const target = targets[a % Math.max(1, targets.length)];
    if (target) w.server.point(log.id, others[b % others.length]!, `x${++w.written}`, target.seq, ["", "+", "-"][c % 3]!, "reaction");
  },
  /** Own acts, on what is on the screen. */
  acts: (w: World, a: number, b: number, c: number) => {
    const tab = w.some(a);
    const open = tab && w.open.get(tab)!.get(conversation(b));
    const on = (own: boolean): Message | undefined => {
      const all = open?.state.now?.items.filter((i): i is Message => i.kind === "message" && i.seq > 0 && !i.deleted && (i.mine || !own)) ?? [];
      return all[(a + c) % Math.max(1, all.length)];
    };
    const mine = on(true);
    const any = on(false);
    if (c % 4 === 0 && mine) void open!.edit(mine.seq, w.text()).catch(ignore);
    else if (c % 4 === 1 && mine) void open!.delete(mine.seq).catch(ignore);
    else if (c % 4 === 2 && any) void open!.react(any.seq, ["", "+", "-"][b % 3]!).catch(ignore);
    else if (any) void open!.pin(any.seq, c % 3 !== 0).catch(ignore);
  },
  blocks: (w: World, a: number, _b: number, c: number) => void w.server.contact(ME, "u-cid", a % 2 === 0 ? "blocked" : "none", c + w.written * 100),
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
    const head = log.entries.length;
    for (const s of w.server.sessions) if (s.live) s.say({ t: "entries", conversation: log.id, entries: w.server.stream(log, s.user, Math.max(0, head - 3), head), head });
  },
  /** A live push that leaves out what came before it. */
  skips: (w: World, a: number, b: number) => {
    happenings.peer(w, a, b, 5); // three, and nobody is nudged
    const log = w.server.log(conversation(b))!;
    const head = log.entries.length;
    for (const s of w.server.sessions) if (s.live) s.say({ t: "entries", conversation: log.id, entries: w.server.stream(log, s.user, head - 1, head), head });
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
    w.discarded.add(failed.key);
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
