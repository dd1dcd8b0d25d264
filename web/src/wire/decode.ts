/** What the server sends, checked: nothing behind this looks at a frame or an answer that has not the shape it claims. */
import { flag, list, optional, orNull, record, text, whole, type Shape } from "./shape";
import type { ContactsFrame, ServerFrame } from "./wire.gen";
import type * as wire from "./wire.gen";

export const user: Shape<wire.User> = record<wire.User>({
  id: text,
  handle: text,
  name: text,
  status: optional(text),
  avatar: optional(text),
  bot: optional(flag),
});

export const device: Shape<wire.Device> = record<wire.Device>({
  id: text,
  name: text,
  created: optional(text),
  last_seen: optional(text),
  current: optional(flag),
});

export const body = record<wire.Body>({ type: text, text: optional(text), data: optional(text) });

const reaction = record<wire.Reaction>({ text, count: whole, users: list(text) });

export const entry: Shape<wire.Entry> = record<wire.Entry>({
  conversation: text,
  seq: whole,
  kind: text,
  id: text,
  sender: text,
  device: text,
  at: text,
  body: optional(body),
  ref: optional(whole),
  reply_to: optional(whole),
  edited: optional(flag),
  deleted: optional(flag),
  edited_at: optional(text),
  reactions: optional(list(reaction)),
  mentions: optional(list(text)),
  forwarded: optional(flag),
});

export const last = record<wire.Last>({ seq: whole, sender: text, at: text, text, deleted: optional(flag) });

const draft = record<wire.Draft>({ text, reply_to: optional(whole), at: optional(text) });

/** What a row and a conversation say alike of how the reader stands with it. */
export const standing = {
  mentions: optional(whole),
  muted_until: optional(text),
  archived: optional(flag),
  pinned: optional(flag),
  request: optional(flag),
  hidden: optional(list(list(whole))),
  draft: optional(draft),
  since: optional(whole),
  until: optional(whole),
} as const;

const row = record<wire.Row>({
  ...standing,
  id: text,
  kind: text,
  title: text,
  with: optional(user),
  head: whole,
  unread: whole,
  read: whole,
  delivered: whole,
  last: orNull(last),
  pos: whole,
  muted: flag,
});

const limits = record<wire.Limits>({ frame: whole, text: whole, body_bytes: whole, members: whole });

const ref: Shape<wire.Ref> = (value): value is wire.Ref => text(value) || whole(value);

export const presence: Shape<wire.Presence> = record<wire.Presence>({ user: text, online: flag, last_seen: optional(text) });

/** The text a frame names itself by, checked when the frame was told apart by it. */
function named<T extends string>(name: T): Shape<T> {
  return (value): value is T => value === name;
}

const frames: { readonly [T in ServerFrame["t"]]: Shape<Extract<ServerFrame, { t: T }>> } = {
  welcome: record<wire.WelcomeFrame>({ t: named("welcome"), user, device, epoch: text, server: text, limits, rev: optional(whole) }),
  ack: record<wire.AckFrame>({ t: named("ack"), ref, conversation: text, id: text, seq: whole, at: text }),
  entries: record<wire.EntriesFrame>({
    t: named("entries"),
    conversation: text,
    entries: list(entry),
    head: whole,
    ref: optional(ref),
    cursor: optional(text),
  }),
  changes: record<wire.ChangesFrame>({ t: named("changes"), rows: list(row), cursor: text, more: flag }),
  whisper: record<wire.WhisperFrame>({ t: named("whisper"), conversation: text, sender: text, kind: text }),
  receipts: record<wire.ReceiptsFrame>({ t: named("receipts"), conversation: text, member: text, delivered: whole, read: whole }),
  presence: record<wire.PresenceFrame>({ t: named("presence"), items: list(presence) }),
  contacts: record<ContactsFrame>({ t: named("contacts"), rev: whole }),
  error: record<wire.ErrorFrame>({ t: named("error"), code: text, message: text, ref: optional(ref), retry_after_ms: optional(whole) }),
  resync: record<wire.ResyncFrame>({ t: named("resync"), epoch: text }),
  goaway: record<wire.GoawayFrame>({ t: named("goaway"), after_ms: whole, url: optional(text) }),
};

/** What a received text is: a frame; "later", one of a version after ours, to be ignored; or "broken", which no server should send. */
export type Parsed = ServerFrame | "later" | "broken";

/** Reads a text from the server. It never throws. */
export function parse(received: string): Parsed {
  let value: unknown;
  try {
    value = JSON.parse(received);
  } catch {
    return "broken";
  }
  if (typeof value !== "object" || value === null || !("t" in value) || typeof value.t !== "string") return "broken";
  if (!Object.hasOwn(frames, value.t)) return "later";
  const shape: Shape<ServerFrame> = frames[value.t as ServerFrame["t"]];
  return shape(value) ? value : "broken";
}

/** Reads a frame. undefined: it is of a later version, or broken. */
export function decode(received: string): ServerFrame | undefined {
  const parsed = parse(received);
  return typeof parsed === "string" ? undefined : parsed;
}
