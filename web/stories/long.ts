/// <reference types="node" />
/**
 * Conversations that are long: one of very many messages, written by the program's own load, and a group in which two people at terminals
 * write at once.
 */
import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Caller } from "./caller";
import { parley, type Server } from "./server";
import { Terminal } from "./terminal";

interface Somebody {
  readonly handle: string;
  readonly name: string;
  readonly password: string;
}

export interface Long {
  readonly conversation: string;
  readonly title: string;
  readonly reader: Somebody;
  /** somebody else, at a terminal */
  readonly writer: Terminal;
  /** what the newest message says */
  readonly newest: string;
}

const words = "the a quick brown fox jumps over lazy dogs while nobody in this town remembers where bread was cheap and rain fell softly".split(" ");

/** Line n: short ones, long ones, and now and then one of several lines' height. */
function line(n: number): string {
  const length = [3, 8, 5, 14, 2, 40, 6][n % 7] ?? 5;
  const text = Array.from({ length }, (_, i) => words[(n * 7 + i * (1 + (n % 5))) % words.length]).join(" ");
  return `${n}: ${text}`;
}

const lines = (count: number): string[] => Array.from({ length: count }, (_, i) => line(i + 1));

/** Makes a direct conversation whose log has count entries and then two messages. */
export async function veryLong(server: Server, count: number): Promise<Long> {
  const [accounts, texts] = [join(server.home, "accounts.json"), join(server.home, "texts")];
  await writeFile(texts, lines(500).join("\n"));
  const to = ["--url", server.url, "--accounts", accounts, "--texts", texts];
  await parley(["bench", "history", "--conversations", "1", "--depth", String(count), "--readers", "1", "--duration", "10ms", "--warmup", "0s", ...to]);
  const { accounts: people } = JSON.parse(await readFile(accounts, "utf8")) as { accounts: { handle: string }[] };
  const password = "only for a bench"; // of every account that a bench signs up
  const [reader, writer] = people.map(({ handle }) => ({ handle, name: handle, password }));
  if (!reader || !writer) throw new Error("the bench signed nobody up");
  const terminal = await Terminal.open(server, writer.handle, password, "there");
  const newest = "the newest of them all";
  await terminal.send(`@${reader.handle}`, "the one before it");
  await terminal.send(`@${reader.handle}`, newest);
  return { conversation: (await terminal.list())[0]?.id ?? "", title: writer.handle, reader, writer: terminal, newest };
}

/** Makes a group of two with count messages, from both in turns as chance has it. */
export async function longGroup(server: Server, count: number): Promise<Long> {
  const reader = await Caller.come(server, "long.reader", "Reader");
  const writer = await Caller.come(server, "long.writer", "Writer");
  const title = "The long talk";
  const conversation = await reader?.converse({ kind: "group", title, members: ["long.writer"] });
  if (!reader || !writer || conversation === undefined) throw new Error("the long conversation was refused");
  const terminals = await Promise.all([reader, writer].map((who) => Terminal.open(server, who.handle, who.password, "there")));
  await Promise.all(terminals.map((terminal) => terminal.sendLines(conversation, lines(Math.floor(count / 2)))));
  const newest = "the newest of them all";
  await writer.say(conversation, "newest", newest);
  const [, other] = terminals as [Terminal, Terminal];
  return { conversation, title, reader: { handle: reader.handle, name: "Reader", password: reader.password }, writer: other, newest };
}
