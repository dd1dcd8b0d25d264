/**
 * What a device keeps, and under which key.
 *
 * | store         | key                     | what                                                                                   |
 * |---------------|-------------------------|----------------------------------------------------------------------------------------|
 * | meta          | key                     | account, cursor with epoch and life, limits, and the last order given in the outbox     |
 * | conversations | id                      | the row as the server last told it, which numbers of its log are held, what is derived  |
 * | members       | conversation            | who belongs, as far as it was asked                                                    |
 * | people        | id                      | how users are called                                                                   |
 * | entries       | [conversation, seq]     | the log, write-once; of a folded one (edit, delete) only the body changes               |
 * | folds         | [conversation, ref]     | the newest edit or deletion of a number that may not be held yet                        |
 * | outbox        | [conversation, id]      | what waits to be sent, or could not be                                                 |
 * | drafts        | conversation            | what is being written                                                                  |
 * | receipts      | [conversation, user]    | how far other members have got                                                         |
 * | marks         | conversation            | own read markers that no row has shown yet                                             |
 *
 * Of each conversation one contiguous run of the log is held, from `from` to `to` (both 0: none); `head` is the newest number known to
 * exist. `to < head` is a debt that is written down: a cursor may stand beyond it, for what is missing is known and can be asked for.
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
}

export interface ConversationRecord {
  readonly id: string;
  readonly kind: string;
  readonly title: string;
  readonly with?: User;
  readonly muted: boolean;
  readonly told: boolean; // a row was told; before that the conversation is not shown
  readonly stale: boolean; // of before a resync, and no row has come since

  readonly pos: number; // the position of the row that said the next four
  readonly rowHead: number;
  readonly rowUnread: number;
  readonly rowRead: number;
  readonly delivered: number;

  readonly head: number; // the newest number known to exist
  readonly from: number;
  readonly to: number;
  readonly start: boolean; // nothing readable stands before from

  readonly read: number; // derived: the row's marker, or the mark that is on its way
  readonly unread: number; // derived: messages of others after read
  readonly last?: LastRecord; // the newest message known
  readonly at: number; // when it last moved, milliseconds since 1970
}

export interface MembersRecord {
  readonly conversation: string;
  readonly members: readonly { readonly user: string; readonly role: string }[];
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
  readonly edited?: boolean;
  readonly deleted?: boolean;
  readonly written?: number; // of one sent from this device: when it was written
}

export interface FoldRecord {
  readonly conversation: string;
  readonly ref: number;
  readonly seq: number; // of the edit or deletion
  readonly deleted: boolean;
  readonly type?: string;
  readonly text?: string;
  readonly data?: string;
}

export interface OutboxRecord {
  readonly conversation: string;
  readonly id: string; // made when it was written, and never another
  readonly order: number; // ascending as they were written, on the whole device
  readonly text: string;
  readonly base: number; // the head its writer saw; 0: not known in this life
  readonly written: number; // milliseconds since 1970
  readonly acked?: { readonly seq: number; readonly at: number }; // committed, and its entry is still to come
  readonly failure?: { readonly code: string; readonly detail: string }; // given up
}

export interface DraftRecord {
  readonly conversation: string;
  readonly text: string;
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
}

export type StoreName = keyof Stores;

/** The fields that make a record's key. The names are of version 1; a store that comes later gets a migration of its own. */
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
};

export const storeNames = Object.keys(keyPaths) as StoreName[];
