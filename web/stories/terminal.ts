/// <reference types="node" />
/**
 * A person at a terminal: the other client, whose history is another witness of what was said.
 */
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { parley, type Server } from "./server";

/** An entry as `parley tail --json` prints it; only what stories look at. */
export interface Said {
  readonly conversation: string;
  readonly seq: number;
  readonly kind: string;
  readonly id: string;
  readonly sender: string;
  readonly body?: { readonly type: string; readonly text?: string };
}

export class Terminal {
  readonly #env: Record<string, string>;

  private constructor(
    readonly handle: string,
    home: string,
    password: string,
  ) {
    this.#env = { PARLEY_HOME: home, PARLEY_PASSWORD: password };
  }

  /** Signs in at a terminal of its own, after signing up unless the account is there already. */
  static async open(server: Server, handle: string, password: string, account: "new" | "there" = "new"): Promise<Terminal> {
    const home = join(server.home, `terminal-${handle}`);
    await mkdir(home, { recursive: true });
    const terminal = new Terminal(handle, home, password);
    await terminal.#run(["login", server.url, handle, ...(account === "new" ? ["--register"] : [])]);
    return terminal;
  }

  /** Says text; it is committed when this resolves. */
  async send(to: string, text: string): Promise<void> {
    await this.#run(["send", to], text);
  }

  /** Says every line. */
  async sendLines(to: string, lines: readonly string[]): Promise<void> {
    await this.#run(["send", "--lines", to], lines.join("\n") + "\n");
  }

  /** The whole log of a conversation, oldest first. */
  async tail(to: string): Promise<Said[]> {
    const out = await this.#run(["tail", to, "--json"]);
    return out
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as Said);
  }

  /** The texts of a conversation's messages, oldest first. */
  async texts(to: string): Promise<string[]> {
    return (await this.tail(to)).filter((e) => e.kind === "message").map((e) => e.body?.text ?? "");
  }

  /** The recent conversations. */
  async list(): Promise<{ id: string; title: string; unread: number }[]> {
    const out = await this.#run(["list", "--json"]);
    return out
      .split("\n")
      .filter((line) => line !== "")
      .map((line) => JSON.parse(line) as { id: string; title: string; unread: number });
  }

  #run(args: readonly string[], input = ""): Promise<string> {
    return parley(args, this.#env, input);
  }
}
