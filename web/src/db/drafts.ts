/** Drafts of two devices: the newest one stays. Everything here happens inside a transaction. */
import type { Draft } from "../wire/wire.gen";
import type { Tx } from "./engine";
import type { DraftRecord } from "./schema";

/** Whether a draft is somebody's words that no server has. */
export function unsaid(draft: DraftRecord | undefined): boolean {
  return draft !== undefined && draft.text !== "" && !draft.told;
}

/** A row says what was written on some device; absent: nothing is. What was written here since goes on waiting. */
export async function adopted(tx: Tx, conversation: string, told: Draft | undefined): Promise<void> {
  const held = await tx.get("drafts", conversation);
  const at = Date.parse(told?.at ?? "") || 0;
  if (held && !held.told && (!told || (held.at ?? Infinity) >= at)) return;
  if (told && told.text !== "") tx.put("drafts", { conversation, text: told.text, ...(told.reply_to ? { replyTo: told.reply_to } : {}), at, told: true });
  else if (held) tx.delete("drafts", conversation);
}

/** What was a draft is a message now. */
export async function sentOff(tx: Tx, conversation: string, at: number): Promise<void> {
  const held = await tx.get("drafts", conversation);
  if (!held) return;
  // The server has it, or may have: it is told that there is none any more.
  tx.put("drafts", { conversation, text: "", at });
}
