/// <reference types="node" />
/**
 * A conversation that is long: two people at terminals write at once, each half of it.
 */
import { Caller } from "./caller";
import type { Server } from "./server";
import { Terminal } from "./terminal";

export interface Long {
  readonly conversation: string;
  readonly title: string;
  readonly reader: { readonly handle: string; readonly name: string; readonly password: string };
  readonly writer: { readonly handle: string; readonly password: string };
  /** what the newest of n messages says */
  text(n: number): string;
}

const words = "the a quick brown fox jumps over lazy dogs while nobody in this town remembers where bread was cheap and rain fell softly".split(" ");

/** Line n: short ones, long ones, and now and then one of several lines' height. */
function line(n: number): string {
  const length = [3, 8, 5, 14, 2, 40, 6][n % 7] ?? 5;
  const text = Array.from({ length }, (_, i) => words[(n * 7 + i * (1 + (n % 5))) % words.length]).join(" ");
  return `${n}: ${text}`;
}

/** Makes a group of two whose log has count messages, the newest of which is known. They are numbered 2 to count + 1. */
export async function fill(server: Server, count: number): Promise<Long> {
  const reader = await Caller.come(server, "long.reader", "Reader");
  const writer = await Caller.come(server, "long.writer", "Writer");
  const title = "The long talk";
  const conversation = await reader?.converse({ kind: "group", title, members: ["long.writer"] });
  if (!reader || !writer || conversation === undefined) throw new Error("the long conversation was refused");
  const [one, other] = await Promise.all([reader, writer].map((who) => Terminal.open(server, who.handle, who.password, "there")));
  const half = Math.floor((count - 1) / 2);
  await Promise.all([
    one?.sendLines(conversation, Array.from({ length: half }, (_, i) => line(i + 1))),
    other?.sendLines(conversation, Array.from({ length: count - 1 - half }, (_, i) => line(half + i + 1))),
  ]);
  await other?.send(conversation, line(count));
  return { conversation, title, reader: { handle: reader.handle, name: "Reader", password: reader.password }, writer, text: line };
}
