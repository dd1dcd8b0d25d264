import type { MembersRecord, ReceiptRecord } from "../db/schema";
import type { Receipt } from "./model";

/** Up to which number everybody else has got: an own message up to there is delivered, or read. */
export interface Reached {
  readonly delivered: number;
  readonly read: number;
}

export const nobody: Reached = { delivered: 0, read: 0 };

/** How far all the others have got. Of whom nothing is known has got nowhere. */
export function reached(me: string, withUser: string | undefined, members: MembersRecord | undefined, receipts: readonly ReceiptRecord[]): Reached {
  const others = (members?.members.map((m) => m.user) ?? (withUser === undefined ? [] : [withUser])).filter((user) => user !== me);
  if (others.length === 0) return nobody; // a message to oneself, or members that are not known
  let delivered = Infinity;
  let read = Infinity;
  for (const user of others) {
    const got = receipts.find((r) => r.user === user);
    read = Math.min(read, got?.read ?? 0);
    delivered = Math.min(delivered, Math.max(got?.delivered ?? 0, got?.read ?? 0)); // who has read it has got it
  }
  return { delivered, read };
}

export function receiptOf(seq: number, to: Reached): Receipt {
  if (seq <= to.read) return "read";
  return seq <= to.delivered ? "delivered" : "sent";
}
