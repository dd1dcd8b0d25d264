/**
 * A server in memory that behaves as docs/PROTOCOL.md says: logs, dedupe, inbox rows with positions, cursors with an epoch, markers and
 * receipts. Nothing here takes time: whoever drives it carries what it says, and decides when rows become durable (settle).
 */
import type { ClientFrame, Conversation, Entry, Member, ReadOp, Row, ServerFrame, User } from "../wire/wire.gen";

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
}

interface Log {
  readonly id: string;
  readonly kind: "direct" | "group";
  readonly title: string;
  readonly members: string[];
  readonly raw: Entry[]; // as they were committed
  readonly entries: Entry[]; // as they are read: edits and deletions folded in
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
    }
  }

  /** News of a conversation: told at once, if it follows what this device was told. A lost nudge is one that nobody calls. */
  nudge(log: Log): void {
    if (!this.live) return;
    const head = log.entries.length;
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
    this.say({ t: "entries", ref: f.ref, conversation: log.id, entries: log.entries.slice(-1), head: log.entries.length });
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
    this.say({ t: "entries", conversation: log.id, entries: log.entries.slice(had, head), head });
  }
}

export class FakeServer {
  epoch = "e1";
  /** Texts that a restore lost, of messages that were acknowledged before it. */
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
    const log: Log = { id, kind, title, members, raw: [], entries: [] };
    this.logs.set(id, log);
    this.append(log, "members", `m-${id}`, members[0]!, { type: "application/vnd.parley.members+json", data: btoa(JSON.stringify({ add: members })) });
    return log;
  }

  /** A post over a connection. */
  posted(session: FakeSession, f: Extract<ClientFrame, { t: "post" }>): void {
    const log = this.logs.get(f.conversation);
    const known = log?.entries.some((e) => e.id === f.id) ?? false;
    const refusal = known && this.refusals[0]?.code === "forbidden" ? undefined : this.refusals.shift();
    if (refusal) return session.say({ t: "error", ref: f.ref, message: "", ...refusal });
    if (!log?.members.includes(session.user)) return session.say({ t: "error", ref: f.ref, code: "not_found", message: "" });
    // A server that is told a base does not search before it: a wrong one doubles messages.
    const again = log.entries.slice(f.base ?? 0).find((e) => e.id === f.id);
    if (again && again.body?.text !== f.body.text) return session.say({ t: "error", ref: f.ref, code: "id_conflict", message: "" });
    const entry = again ?? this.append(log, "message", f.id, session.user, f.body);
    session.say({ t: "ack", ref: f.ref, conversation: log.id, id: f.id, seq: entry.seq, at: entry.at });
  }

  /** A message of somebody elsewhere. nudged: those who are online are told at once. */
  say(conversation: string, sender: string, id: string, text: string, nudged = true): void {
    this.append(this.logs.get(conversation)!, "message", id, sender, { type: "text/plain", text }, nudged);
  }

  /** An edit or a deletion. */
  point(conversation: string, sender: string, id: string, ref: number, text?: string): void {
    const log = this.logs.get(conversation)!;
    this.append(log, text === undefined ? "delete" : "edit", id, sender, text === undefined ? undefined : { type: "text/plain", text }, true, ref);
    // Reads fold them in: what stands in the log is an entry of its own, what is read is changed.
    fold(log.entries, log.entries[log.entries.length - 1]!);
  }

  private append(log: Log, kind: string, id: string, sender: string, body?: Entry["body"], nudged = true, ref?: number): Entry {
    const entry: Entry = {
      conversation: log.id, seq: log.entries.length + 1, kind, id, sender, device: "dev", at: new Date(this.now()).toISOString(),
      ...(body ? { body } : {}), ...(ref ? { ref } : {}),
    };
    log.raw.push(entry);
    log.entries.push(entry);
    for (const member of log.members) this.dirty.add(member);
    this.unsettled();
    if (nudged) for (const session of this.sessions) if (log.members.includes(session.user)) session.nudge(log);
    return entry;
  }

  /** Rows become durable, and are told. */
  settle(user?: string): void {
    for (const id of user === undefined ? [...this.dirty] : [user]) {
      if (!this.dirty.delete(id)) continue;
      for (const log of this.logs.values()) if (log.members.includes(id)) this.advance(id, log);
      for (const session of this.sessions) if (session.user === id && session.live) session.rows();
    }
  }

  private advance(user: string, log: Log): void {
    const inbox = this.inboxes.get(user)!;
    const row = inbox.rows.get(log.id) ?? { pos: 0, head: 0, delivered: 0, read: 0 };
    if (log.entries.length === row.head) return;
    let read = row.read;
    for (const e of log.entries.slice(row.head)) if (e.sender === user && this.unreadAt(log, user, read, e.seq - 1) === 0) read = e.seq;
    this.move(inbox, log.id, { ...row, head: log.entries.length, read });
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
    return log.entries.slice(read, head).filter((e) => e.kind === "message" && e.sender !== user).length;
  }

  row(user: string, conversation: string): Row {
    const log = this.logs.get(conversation)!;
    const row = this.inboxes.get(user)!.rows.get(conversation) ?? { pos: 0, head: 0, delivered: 0, read: 0 };
    const last = log.entries.slice(0, row.head).findLast((e) => e.kind === "message");
    const other = log.members.find((m) => m !== user) ?? user;
    return {
      id: conversation, kind: log.kind, title: log.kind === "direct" ? this.users.get(other)!.name : log.title, ...(log.kind === "direct" ? { with: this.users.get(other)! } : {}),
      head: row.head, unread: this.unreadAt(log, user, row.read, row.head), read: row.read, delivered: row.delivered,
      last: last ? { seq: last.seq, sender: last.sender, at: last.at, text: last.body?.text ?? "" } : null, pos: row.pos, muted: false,
    };
  }

  details(user: string, conversation: string): Conversation | undefined {
    const log = this.logs.get(conversation);
    if (!log?.members.includes(user)) return undefined;
    this.settle(user);
    const { with: _with, ...row } = this.row(user, conversation);
    const members = log.members.map((m): Member => {
      const { handle, name } = this.users.get(m)!;
      const at = this.inboxes.get(m)!.rows.get(conversation);
      return { user: m, role: "member", handle, name, delivered: at?.delivered ?? 0, read: at?.read ?? 0 };
    });
    return { ...row, members };
  }

  /** Another epoch. of what each log had after its first keep entries nothing is left (a restore); inboxes begin anew. */
  restore(keep: (log: Log) => number): void {
    this.epoch = `e${this.epochs.size + 1}`;
    const logs = new Map<string, Log>();
    for (const log of this.logs.values()) {
      const n = Math.max(1, keep(log));
      for (const e of log.entries.slice(n)) if (e.body?.text) this.lost.add(e.body.text);
      const raw = log.raw.slice(0, n);
      const entries = [...raw];
      for (const e of raw) fold(entries, e);
      logs.set(log.id, { ...log, raw, entries });
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
    if (parts[0] === "me") return { status: 200, body: { ...this.users.get(user)!, admin: false, device: { id: "dev", name: "" } } };
    if (parts[0] === "users") {
      const found = this.user(parts[1]!);
      return found ? { status: 200, body: found } : problem(404, "not_found");
    }
    if (parts[0] === "conversations" && method === "POST") return this.createCall(user, body as { kind: "direct" | "group"; title?: string; members: string[] });
    const details = parts[1] === undefined ? undefined : this.details(user, parts[1]);
    if (!details) return problem(404, "not_found");
    if (parts.length === 2) return { status: 200, body: details };
    return { status: 200, body: this.page(this.logs.get(parts[1]!)!, url.searchParams) };
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

  private page(log: Log, q: URLSearchParams): { items: Entry[]; head: number } {
    const head = log.entries.length;
    // Pages are short, whatever was asked for less than: a client must not count on full ones but for the end of the log.
    const limit = Number(q.get("limit"));
    if (q.has("after")) return { items: log.entries.slice(Number(q.get("after"))).slice(0, limit), head };
    const before = q.has("before") ? Number(q.get("before")) : head + 1;
    return { items: log.entries.slice(Math.max(0, before - 1 - limit), before - 1).reverse(), head };
  }
}

/** Folds an edit or a deletion into what is read. */
function fold(entries: Entry[], { kind, ref, body }: Entry): void {
  if (ref === undefined || (kind !== "edit" && kind !== "delete")) return;
  const { body: _body, ...bare } = entries[ref - 1]!;
  entries[ref - 1] = kind === "delete" || bare.deleted ? { ...bare, deleted: true } : { ...bare, ...(body ? { body } : {}), edited: true };
}

function problem(status: number, code: string): { status: number; body: unknown } {
  return { status, body: { type: "", title: "", status, code } };
}
