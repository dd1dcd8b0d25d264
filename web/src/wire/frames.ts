/** Frames as the app sees them: those of wire.gen.ts, with what a post that acts on another entry carries. */
import type * as wire from "./wire.gen";

/** What a post is, if it is no plain message. */
export interface Acting {
  kind?: string; // message, edit, delete, reaction, pin, unpin; absent: message
  target?: number; // what an act points at
  mentions?: string[];
  forwarded?: boolean;
}

/** A post as the server takes it; an act may have no body. */
export type PostOp = Omit<wire.PostOp, "body"> & Acting & { body?: wire.Body };

/** The list of contacts moved: fetch it. */
export interface ContactsFrame {
  t: "contacts";
  rev: number;
}

export type ServerFrame = wire.ServerFrame | ContactsFrame;

export type ClientFrame = Exclude<wire.ClientFrame, { t: "post" }> | PostOp;
