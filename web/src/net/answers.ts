/** The shapes of HTTP answers that only HTTP gives. */
import { body, device, entry, user, last, presence as present, standing } from "../wire/decode";
import { flag, list, optional, orNull, record, text, whole, type Shape } from "../wire/shape";
import type * as wire from "../wire/wire.gen";

export const signedIn: Shape<wire.SignedIn> = record<wire.SignedIn>({ user, device, token: text });

export const me: Shape<wire.Me> = record<wire.Me>({
  id: text,
  handle: text,
  name: text,
  admin: flag,
  device,
  status: optional(text),
  avatar: optional(text),
  bot: optional(flag),
  privacy: optional(record<wire.Privacy>({ receipts: flag, presence: flag })),
});

export const invite: Shape<wire.Invite> = record<wire.Invite>({ code: text, uses: whole, used: whole, expires: text, link: optional(text) });

const member = record<wire.Member>({
  user: text,
  role: text,
  handle: optional(text),
  name: optional(text),
  delivered: optional(whole),
  read: optional(whole),
});

export const conversation: Shape<wire.Conversation> = record<wire.Conversation>({
  ...standing,
  pins: optional(list(whole)),
  id: text,
  kind: text,
  title: text,
  members: list(member),
  head: whole,
  unread: whole,
  read: whole,
  delivered: whole,
  last: orNull(last),
  pos: whole,
  muted: flag,
});

export const entryPage: Shape<wire.EntryPage> = record<wire.EntryPage>({ items: list(entry), head: whole });

export const posted: Shape<wire.Posted> = record<wire.Posted>({ seq: whole, at: text, id: text });

export const markersNow: Shape<wire.MarkersNow> = record<wire.MarkersNow>({ delivered: whole, read: whole, unread: whole });

/** What is of use in an RFC 9457 answer. */
type Problem = Pick<wire.Problem, "code" | "detail" | "retry_after_ms">;

export const problem: Shape<Problem> = record<Problem>({ code: text, detail: optional(text), retry_after_ms: optional(whole) });

const anyPage = record<wire.List<unknown>>({ items: list(anything), next: orNull(text) });

function anything(_: unknown): _ is unknown {
  return true;
}

/** A page of a list. */
export function page<T>(item: Shape<T>): Shape<wire.List<T>> {
  const items = list(item);
  return (value): value is wire.List<T> => anyPage(value) && items(value.items);
}

export const edition: Shape<wire.Edition> = record<wire.Edition>({ seq: whole, at: text, body: optional(body) });

export const reactor: Shape<wire.Reactor> = record<wire.Reactor>({ user: text, text, at: text });

export const found: Shape<wire.Found> = record<wire.Found>({ entry, spans: list(list(whole)) });

export const contact: Shape<wire.Contact> = record<wire.Contact>({ user, state: text, rev: whole, at: optional(text) });

export const presence = present;

export const groupInvite: Shape<wire.GroupInvite> = record<wire.GroupInvite>({
  code: text,
  conversation: text,
  title: text,
  members: whole,
  by: user,
  uses: whole,
  used: whole,
  expires: text,
  link: optional(text),
});

const webhook = record<wire.BotWebhook>({ url: text, failures: whole, next: optional(text), error: optional(text), paused: flag });

export const bot: Shape<wire.Bot> = record<wire.Bot>({ user, webhook: orNull(webhook), token: optional(text), secret: optional(text), created: text });

export const botToken: Shape<wire.BotToken> = record<wire.BotToken>({ token: text });
