/// <reference types="node" />
/**
 * A conversation that is long: two people at terminals write at once, each half of it.
 */
import { Server } from "./server";
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

/** Makes a conversation of count messages, the newest of which is known. It is numbered 2 to count + 1. */
export async function fill(server: Server, count: number): Promise<Long> {
  const password = "correct horse battery";
  const reader = { handle: "long.reader", name: "long.reader", password };
  const writer = { handle: "long.writer", password };
  const [one, other] = [await Terminal.open(server, reader.handle, password), await Terminal.open(server, writer.handle, password)];
  await other.send(`@${reader.handle}`, line(1));
  const conversation = (await other.list())[0]?.id ?? "";
  const half = Math.floor((count - 2) / 2);
  await Promise.all([
    one.sendLines(conversation, Array.from({ length: half }, (_, i) => line(i + 2))),
    other.sendLines(conversation, Array.from({ length: count - 2 - half }, (_, i) => line(half + i + 2))),
  ]);
  await other.send(conversation, line(count));
  return { conversation, title: writer.handle, reader, writer, text: line };
}
