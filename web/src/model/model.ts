/**
 * What the view sees of the model: values that change, and what a person can do.
 *
 * Everything shown comes from the device's database: a value changes only after what it says was committed there ("commit, then
 * emit"), in whichever tab that happened. Nothing here throws anything but a Failure.
 */
import type { Failure } from "../wire/failure";

/** A value that changes. subscribe runs at once with the value of now, and then at each change; what it returns ends it. It is a Svelte store. */
export interface Readable<T> {
  readonly now: T;
  subscribe(run: (value: T) => void): () => void;
}

/** A person as others see them. */
export interface Person {
  readonly id: string;
  readonly handle: string;
  readonly name: string; // the handle if they gave none
}

/** Who is signed in on this device. */
export type Account =
  | { readonly state: "starting" } // the database is being read
  | {
      readonly state: "out";
      readonly lost: boolean; // signed out from elsewhere: what the device holds is kept until somebody signs in
      readonly handle?: string; // of whom, when lost
      readonly unsent: number; // messages of theirs that wait to be sent
    }
  | { readonly state: "in"; readonly me: Person; readonly admin: boolean; readonly device: string }
  | { readonly state: "broken"; readonly failure: Failure }; // the device's database cannot be used: startOver is the way out

/** How this device stands with the server. */
export type Connection =
  | { readonly state: "connecting" | "catching up" | "online" }
  | { readonly state: "offline" } // the system says that there is no network
  | { readonly state: "waiting"; readonly until: number } // for the next try, milliseconds since 1970
  | { readonly state: "too old" }; // the server speaks another version: reload the page

/** How far an own message got. In a group delivered and read mean: by everybody. */
export type Receipt = "pending" | "failed" | "sent" | "delivered" | "read";

/** One conversation in the list. */
export interface Conversation {
  readonly id: string;
  readonly kind: "direct" | "group";
  readonly title: string; // of a direct conversation the other's name; of a group without one the names of its members
  readonly with?: Person; // of a direct conversation: the other, who may be oneself
  readonly head: number; // the log's newest number known here
  readonly unread: number;
  readonly read: number; // own read marker
  readonly last?: Last; // absent: nothing was said yet
  readonly at: number; // when it last moved, milliseconds since 1970; the list is ordered by it, newest first
  readonly draft: string; // what is being written, or ""
  readonly muted: boolean;
}

/** The newest message of a conversation, pending ones included. */
export interface Last {
  readonly mine: boolean;
  readonly sender: string; // name
  readonly text: string; // "" if it is no text
  readonly at: number;
  readonly receipt?: Receipt; // of an own one
}

/** One message in a timeline. */
export interface Message {
  readonly kind: "message";
  readonly key: string; // the message's id: the same while pending and after
  readonly seq: number; // 0 while pending or failed
  readonly mine: boolean;
  readonly sender: Person;
  readonly at: number; // when it was committed; while pending when it was written
  readonly written?: number; // an own one, when it was written on this device, if a minute or more before it was committed: "written earlier, offline"
  readonly text: string;
  readonly type: string; // media type; text is "" unless text/plain
  readonly deleted: boolean; // its content is gone
  readonly receipt?: Receipt; // of an own one
  readonly failure?: Failure; // of a failed one
}

/** Something that happened in a conversation and is no message. */
export interface Notice {
  readonly kind: "notice";
  readonly key: string;
  readonly seq: number;
  readonly at: number;
  readonly what: "created" | "members" | "title" | "withheld" | "other";
  readonly by?: Person;
  readonly people: readonly Person[]; // who was added
  readonly title: string; // the new one
}

export type Item = Message | Notice;

/** A stretch of a conversation without gaps, oldest first; pending messages come last when the stretch reaches the head. */
export interface Stretch {
  readonly conversation: Conversation;
  readonly members: readonly (Person & { readonly role: string })[];
  readonly items: readonly Item[];
  readonly unreadFrom: number; // the first number unread when the timeline was opened: where the "new" line stands; 0: none
  readonly atStart: boolean; // nothing is older
  readonly atEnd: boolean; // nothing is newer
  readonly loading: boolean; // older ones are being fetched
  readonly stuck?: Failure; // why older ones could not be fetched; loadOlder tries again
}

/** An open conversation. close ends it; then nothing changes any more. */
export interface Timeline {
  readonly state: Readable<Stretch | undefined>; // undefined until the database was read
  readonly draft: string; // as it was when the timeline was opened
  loadOlder(): Promise<void>; // at most one fetch at a time; resolves when state has them, or says that it is stuck
  jumpToNewest(): Promise<void>;
  send(text: string): Promise<void>; // resolves when it is queued in the database; it clears the draft in the same transaction
  sendAgain(key: string): Promise<void>; // a failed one, as a new message
  discard(key: string): Promise<void>; // a failed one; its text becomes the draft if there is none
  keepDraft(text: string): void; // in the database within half a second, and at close
  seen(seq: number): void; // up to here it was on the screen of a window that has the focus
  close(): void;
}

export interface Device {
  readonly id: string;
  readonly name: string;
  readonly created: number;
  readonly lastSeen: number;
  readonly current: boolean;
}

export interface Invite {
  readonly code: string;
  readonly link: string;
  readonly uses: number;
  readonly used: number;
  readonly expires: number;
}

export interface Model {
  readonly account: Readable<Account>;
  readonly connection: Readable<Connection>;
  readonly conversations: Readable<readonly Conversation[]>; // most recent first
  readonly limits: Readable<{ readonly text: number; readonly members: number }>; // characters of a message, members of a group

  signUp(form: { handle: string; password: string; name: string; invite: string }): Promise<void>;
  signIn(form: { handle: string; password: string }): Promise<void>;
  signOut(): Promise<void>; // and erases what this device holds; what waits to be sent is lost (the view asks before)
  unsent(): Promise<number>; // how many messages wait to be sent
  rename(name: string): Promise<void>;

  devices(): Promise<readonly Device[]>;
  signOutDevice(id: string): Promise<void>;
  invites(): Promise<readonly Invite[]>;
  invite(uses: number, hours: number): Promise<Invite>;
  revokeInvite(code: string): Promise<void>;

  find(handle: string): Promise<Person>; // exact handle only
  startDirect(handle: string): Promise<string>; // the conversation's id, which is in the database then
  createGroup(title: string, handles: readonly string[]): Promise<string>;
  open(conversation: string): Timeline;

  retryNow(): void; // do not wait for the next try
  startOver(): Promise<void>; // erases what this device holds, what waits to be sent included, and reads everything from the server anew
  close(): Promise<void>;
}
