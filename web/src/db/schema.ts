/**
 * What a device keeps, and under which key.
 *
 * | store         | key                     | what                                                                                   |
 * |---------------|-------------------------|----------------------------------------------------------------------------------------|
 * | meta          | key                     | account, cursor with epoch and life, limits, and the last order given in the outbox     |
 * | conversations | id                      | the row as the server last told it, which numbers of its log are held, what is derived  |
 * | members       | conversation            | who belongs, as far as it was asked                                                    |
 * | people        | id                      | how users are called                                                                   |
 * | entries       | [conversation, seq]     | the log, write-once; acts change what they point at, and keep no body of their own      |
 * | folds         | [conversation, ref]     | acts on a number that is not held yet                                                   |
 * | outbox        | [conversation, id]      | what waits to be sent, or could not be: messages and acts                               |
 * | drafts        | conversation            | what is being written                                                                  |
 * | receipts      | [conversation, user]    | how far other members have got                                                         |
 * | marks         | conversation            | own read markers that no row has shown yet                                             |
 * | contacts      | user                    | how the owner stands with others, and what they decided and the server does not know yet |
 * | wishes        | conversation            | what the owner wants of a conversation (mute, archive …) and the server does not know yet |
 *
 * Of each conversation one contiguous run of the log is held, from `from` to `to` (both 0: none); `head` is the newest number known to
 * exist. `to < head` is a debt that is written down: a cursor may stand beyond it, for what is missing is known and can be asked for.
 *
 * An entry is held as it reads at `asOf` (pages are folded as of a head, streams as of each own number) with the acts of the run after that
 * applied on top. As the run has no gap nothing is missed, and as it is dropped whole when too much lies before the head, nothing that is held
 * is older than its run.
 *
 * Records are values: nobody changes one that was read or put; a change is a new record.
 */
import type { Limits, User } from "../wire/wire.gen";

/** The last number a stretch of a log can have. */
export const MAX_SEQ = Number.MAX_SAFE_INTEGER;

export interface AccountRecord {
  readonly key: "account";
  readonly me: User;
  readonly admin: boolean;
  readonly device: string;
  readonly lost: boolean; // signed out from elsewhere
}

/** Where this device stands in its user's inbox. */
export interface PlaceRecord {
  readonly key: "place";
  readonly cursor: string | null;
  readonly epoch: string; // "": none was heard of yet
  readonly life: number; // grows whenever what was held is dropped: what was asked for in an earlier life is not stored in this one
}

export interface LimitsRecord {
  readonly key: "limits";
  readonly limits: Limits;
}

export interface OrderRecord {
  readonly key: "order";
  readonly last: number;
}

/** Somebody signed out without a network: the server is still to be told. */
export interface LeavingRecord {
  readonly key: "leaving";
}

export type MetaRecord = AccountRecord | PlaceRecord | LimitsRecord | OrderRecord | LeavingRecord;

export interface LastRecord {
  readonly seq: number;
  readonly sender: string;
  readonly at: number;
  readonly text: string;
  readonly deleted?: boolean;
}

export interface ConversationRecord {
  readonly id: string;
  readonly kind: string;
  readonly title: string;
  readonly with?: User;
  readonly muted: boolean;
  readonly told: boolean; // a row was told; before that the conversation is not shown
  readonly stale: boolean; // of before a resync, and no row has come since

  readonly pos: number; // the position of the row that said what follows, up to until
  readonly rowHead: number;
  readonly rowUnread: number;
  readonly rowRead: number;
  readonly rowMentions?: number;
  readonly delivered: number;
  readonly mutedUntil?: number; // when muted, and not for good
  readonly archived?: boolean;
  readonly pinned?: boolean;
  readonly request?: boolean;
  readonly hidden?: readonly Run[]; // deleted for the owner alone
  readonly since?: number; // the first number that may be read, if not 1
  readonly until?: number; // the last one, of who is a member no more

  readonly head: number; // the newest number known to exist
  readonly from: number;
  readonly to: number;
  readonly start: boolean; // nothing readable stands before from

  readonly pins?: readonly number[]; // as of pinsAt, and the acts of the run after it
  readonly pinsAt?: number;

  readonly read: number; // derived: the row's marker, or the mark that is on its way
  readonly unread: number; // derived: messages of others after read
  readonly mentions?: number; // derived: those of them that mention the owner
  readonly last?: LastRecord; // the newest message known
  readonly at: number; // when it last moved, milliseconds since 1970
}

/** Numbers from the first to the second, both included. */
export type Run = readonly [number, number];

export interface MembersRecord {
  readonly conversation: string;
  readonly members: readonly { readonly user: string; readonly role: string }[];
}

export interface ReactionRecord {
  readonly text: string;
  readonly count: number;
  readonly users: readonly string[]; // the first of them
}

export interface EntryRecord {
  readonly conversation: string;
  readonly seq: number;
  readonly kind: string;
  readonly id: string;
  readonly sender: string;
  readonly at: number; // milliseconds since 1970
  readonly type?: string;
  readonly text?: string;
  readonly data?: string; // base64
  readonly ref?: number;
  readonly replyTo?: number;
  readonly mentions?: readonly string[];
  readonly forwarded?: boolean;
  readonly asOf?: number; // acts up to here are in it; absent: its own number
  readonly edited?: boolean;
  readonly editedAt?: number;
  readonly deleted?: boolean;
  readonly reactions?: readonly ReactionRecord[];
  readonly written?: number; // of one sent from this device: when it was written
}

/** One act, with what it does. */
export interface ActRecord {
  readonly seq: number;
  readonly kind: string;
  readonly sender: string;
  readonly at: number;
  readonly type?: string;
  readonly text?: string;
  readonly data?: string;
}

export interface FoldRecord {
  readonly conversation: string;
  readonly ref: number;
  readonly acts: readonly ActRecord[]; // ascending; a deletion stands alone
}

export interface OutboxRecord {
  readonly conversation: string;
  readonly id: string; // made when it was written, and never another
  readonly order: number; // ascending as they were written, on the whole device
  readonly kind?: string; // of an act; absent: a message
  readonly target?: number; // of an act
  readonly text: string;
  readonly replyTo?: number;
  readonly mentions?: readonly string[];
  readonly forwarded?: boolean;
  readonly base: number; // the head its writer saw; 0: not known in this life
  readonly written: number; // milliseconds since 1970
  readonly acked?: { readonly seq: number; readonly at: number }; // committed, and its entry is still to come
  readonly failure?: { readonly code: string; readonly detail: string }; // given up
}

export interface DraftRecord {
  readonly conversation: string;
  readonly text: string; // "": it was taken away, and the server does not know yet
  readonly replyTo?: number;
  readonly at?: number; // when it was written here, or on the other device by the server's clock
  readonly told?: boolean; // the server has it
}

export interface ReceiptRecord {
  readonly conversation: string;
  readonly user: string;
  readonly delivered: number;
  readonly read: number;
}

export interface MarkRecord {
  readonly conversation: string;
  readonly read: number;
}

export interface ContactRecord {
  readonly user: string;
  readonly state: string; // requested, pending, accepted, rejected, blocked, none; unblocked, until the server knows
  readonly rev: number;
  readonly at: number;
  readonly waiting?: boolean; // decided here, and the server does not know yet
}

/** What is absent stays as it is. */
export interface WishRecord {
  readonly conversation: string;
  readonly turn: number; // grows with each wish: what was sent is forgotten only if nothing was added
  readonly muted?: boolean;
  readonly mutedUntil?: number; // 0: for good
  readonly archived?: boolean;
  readonly pinned?: boolean;
  readonly hide?: readonly number[];
}

export interface Stores {
  meta: MetaRecord;
  conversations: ConversationRecord;
  members: MembersRecord;
  people: User;
  entries: EntryRecord;
  folds: FoldRecord;
  outbox: OutboxRecord;
  drafts: DraftRecord;
  receipts: ReceiptRecord;
  marks: MarkRecord;
  contacts: ContactRecord;
  wishes: WishRecord;
}

export type StoreName = keyof Stores;

/** The fields that make a record's key. */
export const keyPaths: { readonly [S in StoreName]: string | readonly [string, string] } = {
  meta: "key",
  conversations: "id",
  members: "conversation",
  people: "id",
  entries: ["conversation", "seq"],
  folds: ["conversation", "ref"],
  outbox: ["conversation", "id"],
  drafts: "conversation",
  receipts: ["conversation", "user"],
  marks: "conversation",
  contacts: "user",
  wishes: "conversation",
};

export const storeNames = Object.keys(keyPaths) as StoreName[];

/** Whether two records say the same, as their fields are written in one order. */
export function same(a: object, b: object | undefined): boolean {
  return JSON.stringify(a) === JSON.stringify(b);
}
