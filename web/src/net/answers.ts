/** The shapes of HTTP answers that only HTTP gives. */
import { device, entry, user, last } from "../wire/decode";
import { flag, list, optional, orNull, record, text, whole, type Shape } from "../wire/shape";
import type * as wire from "../wire/wire.gen";

export const signedIn: Shape<wire.SignedIn> = record<wire.SignedIn>({ user, device, token: text });

export const me: Shape<wire.Me> = record<wire.Me>({ id: text, handle: text, name: text, admin: flag, device });

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
