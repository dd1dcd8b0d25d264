/**
 * A server in memory that behaves as docs/PROTOCOL.md says: logs, dedupe, inbox rows with positions, cursors with an epoch, markers and
 * receipts. Nothing here takes time: whoever drives it carries what it says, and decides when rows become durable (settle).
 */
import { reacted } from "../db/acts";
import type { ClientFrame, PostOp, ServerFrame } from "../wire/wire.gen";
import type { Contact, Conversation, ConversationPatch, Draft, Entry, Found, Member, ReadOp, Row, User } from "../wire/wire.gen";

/** As the real one: a device further behind gets the row alone. Small here, so that it happens. */
const MAX_BEHIND = 6;

interface Inbox {
  pos: number;
  readonly rows: Map<string, InboxRow>;
  /** Every row there ever was in this epoch: what a cursor at pos stands for. */
  readonly past: { readonly pos: number; readonly conversation: string; readonly head: number }[];
}

interface InboxRow {
  pos: number;
  head: number;
  delivered: number;
  read: number;
  personal?: Personal;
}

interface Personal {
  readonly muted?: boolean;
  readonly muted_until?: string;
  readonly archived?: boolean;
  readonly pinned?: boolean;
  readonly hidden?: number[][];
  readonly draft?: Draft;
}

interface Log {
  readonly id: string;
  readonly kind: "direct" | "group";
  title: string;
  members: string[]; // who belongs now
  readonly roles: Map<string, string>;
  readonly since: Map<string, number>;
  readonly until: Map<string, number>; // of who belongs no more
  pins: number[];
  readonly raw: Entry[]; // as they were committed
  readonly entries: Entry[]; // as a stream has them: what was deleted has no body, and neither have edits of it
  readonly withheld: Map<number, ReadonlySet<string>>; // from whom
}

/** One connection, as the server sees it. */
export class FakeSession {
  private pos = 0;
  private readonly ahead = new Map<string, number>();
  open = true;
  live = false;

  constructor(
    private readonly server: FakeServer,
    readonly user: string,
    readonly say: (frame: ServerFrame) => void,
    readonly close: (code: number) => void,
  ) {}

  receive(frame: ClientFrame): void {
    switch (frame.t) {
      case "hello":
        return this.hello(frame.cursor ?? null);
      case "post":
        return this.server.posted(this, frame);
      case "mark":
        this.server.mark(this.user, frame.conversation, frame.delivered ?? 0, frame.read ?? 0);
        return;
      case "read":
        return this.read(frame);
      case "whisper":
        for (const other of this.server.sessions) {
          if (other.user !== this.user && other.live && this.server.log(frame.conversation)?.members.includes(other.user)) other.say({ t: "whisper", conversation: frame.conversation, sender: this.user, kind: frame.kind });
        }
        return;
      case "watch":
        this.say({ t: "presence", items: frame.users.map((user) => this.server.presence(user)) });
    }
  }

  /** News of a conversation: told at once, if it follows what this device was told. A lost nudge is one that nobody calls. */
  nudge(log: Log): void {
    if (!this.live) return;
    const head = this.server.headOf(log, this.user);
    const had = this.had(log.id);
    if (head > had && head - had <= MAX_BEHIND) this.tell(log, had, head);
  }

  /** Rows that are durable, each after the entries it stands for. */
  rows(): void {
    if (!this.live) return;
    const inbox = this.server.inbox(this.user);
    const news = [...inbox.rows].filter(([, row]) => row.pos > this.pos).sort((a, b) => a[1].pos - b[1].pos);
    while (news.length > 0) {
      const page = news.splice(0, 2);
      for (const [id, row] of page) {
        const had = this.had(id);
        if (row.head > had && row.head - had <= MAX_BEHIND) this.tell(this.server.log(id)!, had, row.head);
        this.ahead.set(id, Math.max(row.head, this.had(id)));
      }
      this.pos = page[page.length - 1]![1].pos;
      this.say({ t: "changes", rows: page.map(([id]) => this.server.row(this.user, id)), cursor: this.server.cursor(this.pos), more: news.length > 0 });
    }
  }

  private hello(cursor: string | null): void {
    const { server } = this;
    this.say({ t: "welcome", user: server.user(this.user)!, device: { id: "dev", name: "" }, epoch: server.epoch, server: "fake/1", limits: { frame: 65536, text: 1000, body_bytes: 16384, members: 1000 } });
    const [epoch, pos] = cursor === null ? [server.epoch, "0"] : cursor.split(".");
    const good = epoch === server.epoch && Number(pos) <= server.inbox(this.user).pos;
    if (!good) this.say({ t: "resync", epoch: server.epoch });
    this.pos = good ? Number(pos) : 0;
    this.live = true;
    server.settle(this.user); // what was acknowledged before is in the first answer
    const before = this.pos;
    this.rows();
    if (this.pos === before) this.say({ t: "changes", rows: [], cursor: server.cursor(this.pos), more: false });
  }

  private read(f: ReadOp): void {
    const log = this.server.log(f.conversation);
    if (!log?.members.includes(this.user)) return this.say({ t: "error", ref: f.ref, code: "not_found", message: "" });
    const head = log.entries.length;
    this.say({ t: "entries", ref: f.ref, conversation: log.id, entries: this.server.page(log, this.user, head - 1, head), head });
  }

  /** How much of a conversation this device has: what it was told, or what its cursor stood for. */
  private had(conversation: string): number {
    const told = this.ahead.get(conversation);
    if (told !== undefined) return told;
    const stood = this.server.inbox(this.user).past.findLast((p) => p.conversation === conversation && p.pos <= this.pos);
    return stood?.head ?? 0;
  }

  private tell(log: Log, had: number, head: number): void {
    this.ahead.set(log.id, head);
    this.say({ t: "entries", conversation: log.id, entries: this.server.stream(log, this.user, Math.max(had, (log.since.get(this.user) ?? 1) - 1), head), head });
  }
}

export class FakeServer {
  epoch = "e1";
  /** Ids that a restore lost, of what was acknowledged before it. */
  readonly lost = new Set<string>();
  /** The logs of every epoch there was: what a device of that epoch may hold. */
  readonly epochs = new Map<string, Map<string, Log>>();
  /** What the next posts are answered instead of being taken. */
  readonly refusals: { code: string; retry_after_ms?: number }[] = [];
  readonly sessions = new Set<FakeSession>();
  /** Told when there are rows that are not durable: settle makes them so. */
  unsettled: () => void = () => {};
  private readonly users = new Map<string, User>();
  private readonly inboxes = new Map<string, Inbox>();
  private logs = new Map<string, Log>();
  private readonly dirty = new Set<string>(); // users with rows that are not durable
  private clock = Date.UTC(2026, 0, 1);
  /** Its clock, which has nothing to do with those of devices. */
  now = (): number => (this.clock += 1000);

  constructor(users: readonly string[]) {
    for (const id of users) {
      this.users.set(id, { id, handle: id.slice(2), name: id.slice(2).toUpperCase() });
      this.inboxes.set(id, { pos: 0, rows: new Map(), past: [] });
    }
    this.epochs.set(this.epoch, this.logs);
  }

  user = (id: string): User | undefined => this.users.get(id) ?? [...this.users.values()].find((u) => u.handle === id);
  inbox = (user: string): Inbox => this.inboxes.get(user)!;
  log = (conversation: string): Log | undefined => this.logs.get(conversation);
  all = (): Log[] => [...this.logs.values()];
  cursor = (pos: number): string => `${this.epoch}.${pos}`;

  connect(user: string, say: (frame: ServerFrame) => void, close: (code: number) => void): FakeSession {
    const session = new FakeSession(this, user, say, close);
    this.sessions.add(session);
    return session;
  }

  gone(session: FakeSession): void {
    session.open = session.live = false;
    this.sessions.delete(session);
  }

  create(id: string, kind: "direct" | "group", members: string[], title = ""): Log {
    const roles = new Map(members.map((m, i) => [m, kind === "group" && i === 0 ? "owner" : "member"]));
    const log: Log = { id, kind, title, members, roles, since: new Map(), until: new Map(), pins: [], raw: [], entries: [], withheld: new Map() };
    this.logs.set(id, log);
    this.append(log, "members", `m-${id}`, members[0]!, membersBody({ add: members, ...(title ? { title } : {}) }));
    return log;
  }

  /** A post over a connection. */
  posted(session: FakeSession, f: PostOp): void {
    const log = this.logs.get(f.conversation);
    const known = log?.entries.some((e) => e.id === f.id) ?? false;
    const refusal = known && this.refusals[0]?.code === "forbidden" ? undefined : this.refusals.shift();
    const error = (code: string): void => session.say({ t: "error", ref: f.ref, code, message: "" });
    if (refusal) return session.say({ t: "error", ref: f.ref, message: "", ...refusal });
    if (!log?.members.includes(session.user)) return error("not_found");
    // A server that is told a base does not search before it: a wrong one doubles messages.
    const again = log.raw.slice(f.base ?? 0).find((e) => e.id === f.id);
    if (again && (again.body?.text !== f.body?.text || again.kind !== (f.kind ?? "message") || again.ref !== f.target)) return error("id_conflict");
    const refused = again ? undefined : this.judge(log, session.user, f);
    if (typeof refused === "string") return error(refused);
    const entry = again ?? refused ?? this.append(log, f.kind ?? "message", f.id, session.user, f.body, true, f.target, f);
    session.say({ t: "ack", ref: f.ref, conversation: log.id, id: f.id, seq: entry.seq, at: entry.at });
  }

  /** Why a post is not taken; of a deletion of what is deleted, the entry that did it. */
  private judge(log: Log, user: string, { kind = "message", target = 0 }: PostOp): string | Entry | undefined {
    const other = log.members.find((m) => m !== user);
    if (log.kind === "direct" && other !== undefined && this.stands(user, other) === "blocked") return "forbidden";
    if (kind === "message") return undefined;
    const at = log.raw[target - 1];
    if (at?.kind !== "message" || this.isWithheld(log, target, user)) return "bad_request";
    const deletion = log.raw.find((e) => e.kind === "delete" && e.ref === target);
    if (kind === "delete") return deletion ?? (at.sender === user || log.roles.get(user) !== "member" ? undefined : "forbidden");
    if (kind === "edit" && at.sender !== user) return "forbidden";
    return deletion ? (kind === "edit" ? "conflict" : "bad_request") : undefined;
  }

  /** A message of somebody elsewhere. nudged: those who are online are told at once. */
  say(conversation: string, sender: string, id: string, text: string, nudged = true, more: Partial<Entry> = {}): void {
    this.append(this.logs.get(conversation)!, "message", id, sender, { type: "text/plain", text }, nudged, undefined, more);
  }

  /** An edit or a deletion; of a kind that is given, that. */
  point(conversation: string, sender: string, id: string, ref: number, text?: string, kind = text === undefined ? "delete" : "edit"): void {
    this.append(this.logs.get(conversation)!, kind, id, sender, text === undefined ? undefined : { type: "text/plain", text }, true, ref);
  }

  /** Somebody changes who belongs. */
  change(conversation: string, by: string, id: string, body: { add?: string[]; remove?: string[]; roles?: Record<string, string> }): void {
    const log = this.logs.get(conversation)!;
    const seq = log.entries.length + 1;
    const before = log.members;
    for (const m of body.add ?? []) {
      log.since.set(m, seq);
      log.until.delete(m);
      log.roles.set(m, "member");
      log.members = [...log.members.filter((other) => other !== m), m];
    }
    for (const m of body.remove ?? []) log.until.set(m, seq);
    for (const [m, role] of Object.entries(body.roles ?? {})) log.roles.set(m, role);
    this.append(log, "members", id, by, membersBody(body));
    log.members = log.members.filter((m) => !body.remove?.includes(m));
    // Who was removed is told that much.
    for (const m of before) if (!log.members.includes(m)) this.dirty.add(m);
  }

  private append(log: Log, kind: string, id: string, sender: string, body?: Entry["body"], nudged = true, ref?: number, more: { reply_to?: number; mentions?: string[]; forwarded?: boolean } = {}): Entry {
    const entry: Entry = {
      conversation: log.id, seq: log.entries.length + 1, kind, id, sender, device: "dev", at: new Date(this.now()).toISOString(),
      ...(body ? { body } : {}), ...(ref ? { ref } : {}),
      ...(more.reply_to ? { reply_to: more.reply_to } : {}), ...(more.mentions?.length ? { mentions: more.mentions } : {}), ...(more.forwarded ? { forwarded: true } : {}),
    };
    const from = log.members.filter((m) => m !== sender && this.stands(m, sender) === "blocked");
    if (from.length > 0) log.withheld.set(entry.seq, new Set(from));
    log.raw.push(entry);
    log.entries.push(entry);
    if (kind === "delete") erase(log, ref!, this.deletedTexts);
    if (kind === "pin" || kind === "unpin") log.pins = [...log.pins.filter((p) => p !== ref), ...(kind === "pin" ? [ref!] : [])];
    for (const member of log.members) this.dirty.add(member);
    this.unsettled();
    if (nudged) for (const session of this.sessions) if (log.members.includes(session.user)) session.nudge(log);
    return entry;
  }

  /** What deletions took away. */
  readonly deletedTexts = new Set<string>();

  /** How a user stands with another. */
  stands = (user: string, other: string): string => this.contactsOf.get(user)?.get(other)?.state ?? "none";
  readonly contactsOf = new Map<string, Map<string, Contact>>();
  readonly away = new Set<string>(); // users who show no presence
  presence = (user: string) => ({ user, online: [...this.sessions].some((s) => s.user === user && s.live) && !this.away.has(user) });
  isWithheld = (log: Log, seq: number, user: string): boolean => log.withheld.get(seq)?.has(user) ?? false;
  headOf = (log: Log, user: string): number => log.until.get(user) ?? log.entries.length;

  /** Entries after..to as a stream tells them to a user. */
  stream(log: Log, user: string, after: number, to: number): Entry[] {
    return log.entries.slice(after, to).map((e) => (this.isWithheld(log, e.seq, user) ? withheld(e) : e));
  }

  /** The same folded, as of a head. */
  page(log: Log, user: string, after: number, to: number, head = this.headOf(log, user)): Entry[] {
    return this.stream(log, user, after, to).map((e) => this.folded(log, user, e, head));
  }

  /** An entry as a user reads it with the acts up to a head. */
  folded(log: Log, user: string, e: Entry, head: number): Entry {
    if (e.kind !== "message" || e.deleted) return e;
    let now = e;
    for (const act of log.entries.slice(e.seq, head)) {
      if (act.ref !== e.seq || this.isWithheld(log, act.seq, user)) continue;
      if (act.kind === "edit") now = { ...now, ...(act.body ? { body: act.body } : {}), edited: true, edited_at: act.at };
      if (act.kind === "reaction") {
        const { reactions = [], ...bare } = now;
        const felt = reacted(reactions, act.sender, act.body?.text ?? "").map((r) => ({ ...r, users: [...r.users] }));
        now = felt.length > 0 ? { ...bare, reactions: felt } : bare;
      }
    }
    return now;
  }

  /** Rows become durable, and are told. */
  settle(user?: string): void {
    for (const id of user === undefined ? [...this.dirty] : [user]) {
      if (!this.dirty.delete(id)) continue;
      for (const log of this.logs.values()) if (log.members.includes(id) || log.until.has(id)) this.advance(id, log);
      for (const session of this.sessions) if (session.user === id && session.live) session.rows();
    }
  }

  private advance(user: string, log: Log): void {
    const inbox = this.inboxes.get(user)!;
    const row = inbox.rows.get(log.id) ?? { pos: 0, head: 0, delivered: 0, read: 0 };
    const head = this.headOf(log, user);
    if (head === row.head) return;
    let read = row.read;
    for (const e of log.entries.slice(row.head, head)) if (e.sender === user && this.unreadAt(log, user, read, e.seq - 1) === 0) read = e.seq;
    this.move(inbox, log.id, { ...row, head, read });
  }

  private move(inbox: Inbox, conversation: string, row: InboxRow): void {
    const moved = { ...row, pos: ++inbox.pos };
    inbox.rows.set(conversation, moved);
    inbox.past.push({ pos: moved.pos, conversation, head: moved.head });
  }

  /** Moves a user's markers, forward only. Returns whether they moved. */
  mark(user: string, conversation: string, delivered: number, read: number): boolean {
    this.settle(user);
    const inbox = this.inboxes.get(user)!;
    const row = inbox.rows.get(conversation);
    if (!row) return false;
    const now = { ...row, delivered: Math.max(row.delivered, Math.min(Math.max(delivered, read), row.head)), read: Math.max(row.read, Math.min(read, row.head)) };
    if (now.delivered === row.delivered && now.read === row.read) return false;
    this.move(inbox, conversation, now);
    for (const session of this.sessions) {
      if (session.user === user) session.rows();
      else if (session.live && this.logs.get(conversation)!.members.includes(session.user)) session.say({ t: "receipts", conversation, member: user, delivered: now.delivered, read: now.read });
    }
    return true;
  }

  private unreadAt(log: Log, user: string, read: number, head: number): number {
    return log.entries.slice(read, head).filter((e) => e.kind === "message" && e.sender !== user && !this.isWithheld(log, e.seq, user)).length;
  }

  private mentionsAt(log: Log, user: string, read: number, head: number): number {
    return log.entries.slice(read, head).filter((e) => e.kind === "message" && e.sender !== user && e.mentions?.includes(user) && !this.isWithheld(log, e.seq, user)).length;
  }

  /** A user's own wishes for a conversation: a change like any other. */
  personal(user: string, conversation: string, change: (before: Personal) => Personal): void {
    this.settle(user);
    const inbox = this.inboxes.get(user)!;
    const row = inbox.rows.get(conversation);
    if (!row) return;
    this.move(inbox, conversation, { ...row, personal: change(row.personal ?? {}) });
    for (const session of this.sessions) if (session.user === user) session.rows();
  }

  /** A user decides how they stand with another. The greater rev stays; a block wins over what is no block. */
  contact(user: string, other: string, state: string, rev: number): Contact | undefined {
    const own = this.contactsOf.get(user) ?? new Map<string, Contact>();
    this.contactsOf.set(user, own);
    const held = own.get(other);
    if (held && (rev < held.rev || (rev === held.rev && !(state === "blocked" && held.state !== "blocked")))) return undefined;
    const now: Contact = { user: this.users.get(other)!, state, rev, at: new Date(this.now()).toISOString() };
    own.set(other, now);
    for (const session of this.sessions) if (session.user === user && session.live) session.say({ t: "contacts", rev });
    return now;
  }

  row(user: string, conversation: string): Row {
    const log = this.logs.get(conversation)!;
    const row = this.inboxes.get(user)!.rows.get(conversation) ?? { pos: 0, head: 0, delivered: 0, read: 0 };
    const last = log.entries.slice(0, row.head).findLast((e) => e.kind === "message" && !this.isWithheld(log, e.seq, user));
    const mentions = this.mentionsAt(log, user, row.read, row.head);
    const spoke = log.entries.some((e) => e.sender === user && e.kind === "message");
    const request = log.kind === "direct" && !spoke && this.stands(user, log.members.find((m) => m !== user) ?? user) !== "accepted" && last !== undefined;
    const other = log.members.find((m) => m !== user) ?? user;
    return {
      id: conversation, kind: log.kind, title: log.kind === "direct" ? this.users.get(other)!.name : log.title, ...(log.kind === "direct" ? { with: this.users.get(other)! } : {}),
      head: row.head, unread: this.unreadAt(log, user, row.read, row.head), read: row.read, delivered: row.delivered,
      last: last ? { seq: last.seq, sender: last.sender, at: last.at, text: last.body?.text ?? "" } : null, pos: row.pos, muted: false, ...row.personal,
      ...(mentions ? { mentions } : {}), ...(request ? { request } : {}),
      ...(log.since.has(user) ? { since: log.since.get(user)! } : {}), ...(log.until.has(user) ? { until: log.until.get(user)! } : {}),
    };
  }

  details(user: string, conversation: string): Conversation | undefined {
    const log = this.logs.get(conversation);
    if (!log || (!log.members.includes(user) && !log.until.has(user))) return undefined;
    this.settle(user);
    const { with: _with, ...row } = this.row(user, conversation);
    const members = log.members.map((m): Member => {
      const { handle, name } = this.users.get(m)!;
      const at = this.inboxes.get(m)!.rows.get(conversation);
      return { user: m, role: log.roles.get(m) ?? "member", handle, name, delivered: at?.delivered ?? 0, read: at?.read ?? 0 };
    });
    return { ...row, members, pins: log.pins };
  }

  /** Another epoch. of what each log had after its first keep entries nothing is left (a restore); inboxes begin anew. */
  restore(keep: (log: Log) => number): void {
    this.epoch = `e${this.epochs.size + 1}`;
    const logs = new Map<string, Log>();
    this.deletedTexts.clear(); // what was deleted after the backup is there again
    for (const log of this.logs.values()) {
      const n = Math.max(1, keep(log));
      for (const e of log.raw.slice(n)) this.lost.add(e.id);
      const raw = log.raw.slice(0, n);
      const withheldNow = new Map([...log.withheld].filter(([seq]) => seq <= n));
      const now: Log = { ...log, raw, entries: [...raw], pins: log.pins.filter((p) => p <= n), withheld: withheldNow };
      for (const e of raw) if (e.kind === "delete") erase(now, e.ref!, this.deletedTexts);
      logs.set(log.id, now);
    }
    this.logs = logs;
    this.epochs.set(this.epoch, logs);
    for (const [user, old] of this.inboxes) {
      this.inboxes.set(user, { pos: 0, rows: new Map(), past: [] });
      for (const log of logs.values()) {
        const before = old.rows.get(log.id);
        if (!log.members.includes(user)) continue;
        const head = log.entries.length;
        this.move(this.inbox(user), log.id, { pos: 0, head, delivered: Math.min(head, before?.delivered ?? 0), read: Math.min(head, before?.read ?? 0) });
      }
    }
    this.dirty.clear();
    for (const session of [...this.sessions]) session.close(1012);
  }

  /** An HTTP call of a user; undefined: no such thing. */
  call(user: string | undefined, method: string, path: string, body: unknown): { status: number; body?: unknown } {
    const url = new URL(path, "http://fake");
    const parts = url.pathname.split("/").slice(2).map(decodeURIComponent);
    if (parts[0] === "sessions" && method === "POST") {
      const found = this.user((body as { handle: string }).handle);
      return found ? { status: 201, body: { user: found, device: { id: "dev", name: "" }, token: "" } } : problem(401, "unauthorized");
    }
    if (user === undefined) return problem(401, "unauthorized");
    if (parts[0] === "sessions") return { status: 204 };
    if (parts[0] === "me") return this.meCall(user, method, body as Record<string, unknown> | undefined);
    if (parts[0] === "users") {
      const found = this.user(parts[1]!);
      return found ? { status: 200, body: found } : problem(404, "not_found");
    }
    if (parts[0] === "contacts") return this.contactsCall(user, method, parts[1], body as { state: string; rev: number } | undefined);
    if (parts[0] === "search") return { status: 200, body: { items: this.search(user, url.searchParams.get("q") ?? ""), next: null } };
    if (parts[0] === "conversations" && method === "POST" && parts.length === 1) return this.createCall(user, body as { kind: "direct" | "group"; title?: string; members: string[] });
    const details = parts[1] === undefined ? undefined : this.details(user, parts[1]);
    if (!details) return problem(404, "not_found");
    const log = this.logs.get(parts[1]!)!;
    if (parts.length === 2) return method === "PATCH" ? this.patchCall(user, log, body as ConversationPatch) : { status: 200, body: details };
    if (parts[2] === "hidden") {
      const { entries } = body as { entries: number[] };
      this.personal(user, log.id, (before) => ({ ...before, hidden: [...(before.hidden ?? []), ...entries.map((seq) => [seq, seq])] }));
      return { status: 204 };
    }
    if (parts[2] === "members") return this.membersCall(user, log, method, parts[3], body as { users?: string[]; role?: string } | undefined);
    if (parts[2] === "edits") {
      const all = log.entries.filter((e) => e.seq === Number(parts[3]) || (e.kind === "edit" && e.ref === Number(parts[3])));
      return { status: 200, body: { items: all.map(({ seq, at, body }) => ({ seq, at, ...(body ? { body } : {}) })), next: null } };
    }
    return { status: 200, body: this.pageCall(log, user, url.searchParams) };
  }

  private meCall(user: string, method: string, body: Record<string, unknown> | undefined): { status: number; body?: unknown } {
    if (method === "PATCH") this.users.set(user, { ...this.users.get(user)!, ...body });
    return { status: 200, body: { ...this.users.get(user)!, admin: false, device: { id: "dev", name: "" }, privacy: { receipts: true, presence: true } } };
  }

  private contactsCall(user: string, method: string, other: string | undefined, body: { state: string; rev: number } | undefined): { status: number; body?: unknown } {
    if (method === "GET") return { status: 200, body: { items: [...(this.contactsOf.get(user)?.values() ?? [])], next: null } };
    if (method === "DELETE") {
      this.contact(user, other!, "none", (this.contactsOf.get(user)?.get(other!)?.rev ?? 0) + 1);
      return { status: 204 };
    }
    const { state, rev } = body!;
    // What was not asked is not answered.
    if ((state === "accepted" || state === "rejected") && this.stands(user, other!) !== "pending") return problem(409, "conflict");
    const now = this.contact(user, other!, state === "unblocked" ? "none" : state, rev);
    return now ? { status: 200, body: now } : problem(409, "conflict");
  }

  private patchCall(user: string, log: Log, { title, draft, ...rest }: ConversationPatch): { status: number; body?: unknown } {
    if (title !== undefined) {
      log.title = title;
      this.append(log, "title", `t-${log.entries.length}`, user, { type: "text/plain", text: title });
    }
    const told = draft && draft.text !== "" ? { draft: { ...draft, at: new Date(this.now()).toISOString() } } : {};
    if (draft || Object.keys(rest).length > 0) {
      this.personal(user, log.id, ({ draft: before, ...held }) => ({ ...held, ...rest, ...(draft ? told : before ? { draft: before } : {}) }));
    }
    return { status: 200, body: this.details(user, log.id) };
  }

  private membersCall(user: string, log: Log, method: string, who: string | undefined, body: { users?: string[]; role?: string } | undefined): { status: number; body?: unknown } {
    const id = `mm-${log.entries.length}`;
    if (method === "POST") this.change(log.id, user, id, { add: body!.users!.map((u) => this.user(u)!.id) });
    else if (method === "DELETE") this.change(log.id, user, id, { remove: [who === "me" ? user : who!] });
    else this.change(log.id, user, id, { roles: { [who!]: body!.role! } });
    return { status: 200, body: this.details(user, log.id) };
  }

  private search(user: string, wanted: string): Found[] {
    return this.all().flatMap((log) =>
      this.page(log, user, 0, this.headOf(log, user)).flatMap((entry): Found[] => {
        const at = entry.kind === "message" ? (entry.body?.text ?? "").toLowerCase().indexOf(wanted.toLowerCase()) : -1;
        return at < 0 ? [] : [{ entry, spans: [[at, at + wanted.length]] }];
      }),
    );
  }

  private createCall(user: string, q: { kind: "direct" | "group"; title?: string; members: string[] }): { status: number; body?: unknown } {
    const members = q.members.map((m) => this.user(m)?.id);
    if (members.includes(undefined)) return problem(404, "not_found");
    const all = [user, ...(members as string[]).filter((m) => m !== user)];
    const id = q.kind === "direct" ? `d-${[...all].sort().join("-")}` : `g-${this.logs.size}`;
    const there = this.logs.has(id);
    if (!there) this.create(id, q.kind, all, q.title);
    return { status: there ? 200 : 201, body: this.details(user, id) };
  }

  private pageCall(log: Log, user: string, q: URLSearchParams): { items: Entry[]; head: number } {
    const head = this.headOf(log, user);
    const since = log.since.get(user) ?? 1;
    const page = (after: number, to: number): Entry[] => this.page(log, user, Math.max(after, since - 1), Math.min(to, head), head);
    // Pages are short, whatever was asked for less than: a client must not count on full ones but for the end of the log.
    const limit = Number(q.get("limit"));
    if (q.has("after")) {
      const after = Math.max(Number(q.get("after")), since - 1);
      return { items: page(after, after + limit), head };
    }
    const before = q.has("before") ? Number(q.get("before")) : head + 1;
    return { items: page(Math.max(0, before - 1 - limit), before - 1).reverse(), head };
  }
}

/** What a user sees of an entry of whom they block. */
function withheld({ conversation, seq, at }: Entry): Entry {
  return { conversation, seq, kind: "withheld", id: "", sender: "", device: "", at };
}

/** A deletion takes the body of what it points at, of all its edits, and of the reactions to it. */
function erase(log: Log, ref: number, gone: Set<string>): void {
  for (const e of log.entries) {
    if (e.seq !== ref && e.ref !== ref) continue;
    const { body, mentions: _mentions, ...bare } = e;
    if (body?.text && e.kind !== "reaction") gone.add(body.text);
    log.entries[e.seq - 1] = e.seq === ref ? { ...bare, deleted: true } : bare;
  }
}

function membersBody(body: object): { type: string; data: string } {
  return { type: "application/vnd.parley.members+json", data: btoa(JSON.stringify(body)) };
}

function problem(status: number, code: string): { status: number; body: unknown } {
  return { status, body: { type: "", title: "", status, code } };
}
