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
  readonly status?: string;
  readonly avatar?: string; // the address of their picture
  readonly bot?: boolean;
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
  readonly muted: boolean; // now
  readonly mutedUntil?: number; // when muted, and not until further notice
  readonly mentions?: number; // unread messages that mention the reader
  readonly archived?: boolean;
  readonly pinned?: boolean;
  readonly request?: boolean; // a stranger began it, and the reader has not answered
  readonly left?: boolean; // the reader is a member no more
  readonly blocked?: boolean; // of a direct conversation: the reader blocks the other
}

/** The newest message of a conversation, pending ones included. */
export interface Last {
  readonly mine: boolean;
  readonly sender: string; // name
  readonly text: string; // "" if it is no text
  readonly at: number;
  readonly deleted?: boolean;
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
  readonly replyTo?: number; // the message that it answers: see Stretch.quotes
  readonly forwarded?: boolean;
  readonly mentions?: readonly Person[];
  readonly mentioned?: boolean; // the reader is among them
  readonly edited?: boolean;
  readonly editedAt?: number;
  readonly reactions?: readonly Reaction[];
  readonly acting?: boolean; // something of this waits to be sent
  readonly refused?: readonly Refused[]; // what was asked of it and the server will never do
}

/** One feeling about a message, and whose it is. */
export interface Reaction {
  readonly text: string;
  readonly count: number;
  readonly mine: boolean;
  readonly people: readonly Person[]; // the first of them
}

/** Something that was asked of a message in vain. */
export interface Refused {
  readonly key: string; // for Timeline.discard
  readonly what: "edit" | "delete" | "pin" | "unpin";
  readonly text: string; // of an edit
  readonly failure: Failure;
}

/** A message as it stands beside an answer to it, or in the bar of what is pinned. */
export interface Quote {
  readonly seq: number;
  readonly sender?: Person; // absent: it is not here yet, or not to be had
  readonly text: string;
  readonly deleted: boolean;
}

/** Something that happened in a conversation and is no message. */
export interface Notice {
  readonly kind: "notice";
  readonly key: string;
  readonly seq: number;
  readonly at: number;
  readonly what: "created" | "members" | "title" | "pin" | "other";
  readonly by?: Person;
  readonly people: readonly Person[]; // who was added
  readonly removed?: readonly Person[]; // who belongs no more; by alone: they left
  readonly roles?: readonly { readonly person: Person; readonly role: string }[];
  readonly title: string; // the new one
  readonly ref?: number; // what was pinned
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
  readonly quotes?: ReadonlyMap<number, Quote>; // of what the items answer, and of what is pinned
  readonly pins?: readonly number[]; // in the order in which they were pinned
  readonly markers?: readonly Marker[]; // how far the others have got; none above 64 members, or where receipts are off
}

/** Whether somebody is online, and else when they last were; 0: not known, or not shown. */
export interface Presence {
  readonly online: boolean;
  readonly lastSeen: number;
}

/** How far somebody has got. */
export interface Marker {
  readonly user: string;
  readonly delivered: number;
  readonly read: number;
}

/** What goes with a text that is sent. */
export interface Sending {
  readonly replyTo?: number;
  readonly mentions?: readonly string[]; // ids
}

/** An open conversation. close ends it; then nothing changes any more. */
export interface Timeline {
  readonly state: Readable<Stretch | undefined>; // undefined until the database was read
  readonly draft: string; // as it was when the timeline was opened
  loadOlder(): Promise<void>; // at most one fetch at a time; resolves when state has them, or says that it is stuck
  jumpToNewest(): Promise<void>;
  readonly draftReply: number; // the message that the draft answers, or 0
  readonly typing: Readable<readonly Person[]>;
  send(text: string, more?: Sending): Promise<void>; // resolves when it is queued in the database; it clears the draft in the same transaction
  edit(seq: number, text: string): Promise<void>; // these, too, are queued; what is shown has them at once
  delete(seq: number): Promise<void>; // for everybody
  hide(seq: number): Promise<void>; // for the reader alone
  react(seq: number, text: string): Promise<void>; // "": take it back
  pin(seq: number, on: boolean): Promise<void>;
  reach(seq: number): Promise<boolean>; // loads older messages down to it; false: it is not to be had
  editions(seq: number): Promise<readonly { readonly at: number; readonly text: string }[]>; // every wording, the first one first
  reactors(seq: number): Promise<readonly { readonly person: Person; readonly text: string }[]>;
  nowTyping(): void; // the others see it for a few seconds
  sendAgain(key: string): Promise<void>; // a failed one, as a new message
  discard(key: string): Promise<void>; // a failed one; its text becomes the draft if there is none. Or what was asked in vain
  keepDraft(text: string, replyTo?: number): void; // in the database within half a second, and at close
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

/** How the reader stands with somebody: they asked, were asked, accepted, rejected, or block them. */
export type Standing = "requested" | "pending" | "accepted" | "rejected" | "blocked" | "none";

export interface Contact {
  readonly person: Person;
  readonly state: Standing;
  readonly at: number;
}

/** One message that a search found. */
export interface Hit {
  readonly conversation: string;
  readonly seq: number;
  readonly key: string;
  readonly sender: Person;
  readonly at: number;
  readonly text: string;
  readonly span?: readonly [number, number]; // where in the text, in UTF-16 units
}

/** A link into a group. */
export interface GroupInvite {
  readonly code: string;
  readonly link: string;
  readonly conversation: string;
  readonly title: string;
  readonly members: number;
  readonly by: Person;
  readonly uses: number;
  readonly used: number;
  readonly expires: number;
}

/** What others may see of the reader; who does not show it does not see it of others. */
export interface Privacy {
  readonly receipts: boolean;
  readonly presence: boolean;
}

/** A bot of the reader's. */
export interface Bot {
  readonly person: Person;
  readonly webhook?: { readonly url: string; readonly failures: number; readonly error: string; readonly paused: boolean };
  readonly token?: string; // told once, when it is made
  readonly secret?: string; // likewise
  readonly created: number;
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
  profile(change: { readonly name?: string; readonly status?: string }): Promise<void>;
  picture(file: Blob | undefined): Promise<void>; // undefined: none any more
  privacy(): Promise<Privacy>;
  setPrivacy(change: Partial<Privacy>): Promise<void>;

  devices(): Promise<readonly Device[]>;
  signOutDevice(id: string): Promise<void>;
  invites(): Promise<readonly Invite[]>;
  invite(uses: number, hours: number): Promise<Invite>;
  revokeInvite(code: string): Promise<void>;

  find(handle: string): Promise<Person>; // exact handle only
  startDirect(handle: string): Promise<string>; // the conversation's id, which is in the database then
  createGroup(title: string, handles: readonly string[]): Promise<string>;
  open(conversation: string): Timeline;

  // What one wants of a conversation is kept at once, and told to the server when it can be.
  mute(conversation: string, until: number): Promise<void>; // 0: until further notice; in the past: not muted
  archive(conversation: string, on: boolean): Promise<void>;
  pinConversation(conversation: string, on: boolean): Promise<void>;
  /** The same text in others. */
  forward(message: Message, conversations: readonly string[]): Promise<void>;

  readonly contacts: Readable<readonly Contact[]>;
  decide(who: Person, state: Standing): Promise<void>; // kept at once, likewise
  readonly presence: Readable<ReadonlyMap<string, Presence>>;
  watch(users: readonly string[]): () => void; // they are on the screen; what it returns ends that

  // Groups change at the server alone.
  addMembers(conversation: string, handles: readonly string[]): Promise<void>;
  removeMember(conversation: string, user: string): Promise<void>;
  leave(conversation: string): Promise<void>;
  setRole(conversation: string, user: string, role: string): Promise<void>;
  retitle(conversation: string, title: string): Promise<void>;
  groupInvites(conversation: string): Promise<readonly GroupInvite[]>;
  groupInvite(conversation: string, uses: number, hours: number): Promise<GroupInvite>;
  revokeGroupInvite(conversation: string, code: string): Promise<void>;
  joinPreview(code: string): Promise<GroupInvite>;
  join(code: string): Promise<string>; // the conversation's id, which is in the database then

  searchHere(wanted: string, conversation?: string): Promise<readonly Hit[]>; // on this device
  searchThere(wanted: string, conversation?: string): Promise<readonly Hit[]>; // on the server

  bots(): Promise<readonly Bot[]>;
  createBot(bot: { readonly handle: string; readonly name: string; readonly webhook: string }): Promise<Bot>;
  setWebhook(bot: string, url: string): Promise<Bot>; // "": none
  renewToken(bot: string): Promise<string>;
  deleteBot(bot: string): Promise<void>;

  retryNow(): void; // do not wait for the next try
  startOver(): Promise<void>; // erases what this device holds, what waits to be sent included, and reads everything from the server anew
  close(): Promise<void>;
}
