/** Within a transaction: who people are, and how the owner stands with them. */
import type { Contact, User } from "../wire/wire.gen";
import type { Tx } from "./engine";
import { same, type ContactRecord } from "./schema";

/** How somebody is called. Returns whether that is new. */
export async function meet(tx: Tx, told: User): Promise<boolean> {
  const user = userOf(told);
  if (same(user, await tx.get("people", user.id))) return false;
  tx.put("people", user);
  return true;
}

/** The same of somebody of whom only the name was told. */
export async function call(tx: Tx, id: string, handle: string, name: string): Promise<boolean> {
  return meet(tx, { ...(await tx.get("people", id)), id, handle, name });
}

export function userOf({ id, handle, name, status, avatar, bot }: User): User {
  return { id, handle, name, ...(status ? { status } : {}), ...(avatar ? { avatar } : {}), ...(bot ? { bot } : {}) };
}

export function contactOf({ user, state, rev, at }: Contact): ContactRecord {
  return { user: user.id, state, rev, at: Date.parse(at ?? "") || 0 };
}

/** How the owner stands with somebody, unless what was decided here is newer. Returns whether that is new. */
export async function know(tx: Tx, told: ContactRecord): Promise<boolean> {
  const held = await tx.get("contacts", told.user);
  if (held?.waiting && (held.rev > told.rev || held.state === "blocked")) return false;
  if (held && (held.rev > told.rev || same(held, told))) return false;
  tx.put("contacts", told);
  return true;
}
