/// <reference types="node" />
/**
 * The real `parley serve`: a process on loopback, with a data directory of its own. It can be killed and comes back at its address.
 */
import { type ChildProcess, execFile, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { inject } from "vitest";

export interface ServerOptions {
  readonly registration?: "open" | "invite" | "closed";
  readonly limits?: "on" | "off";
}

/** How long a program may take to say what it is waited for. */
const patience = 20_000;

export class Server {
  /** http://127.0.0.1:PORT, the same for the whole life */
  url = "";
  /** the link that makes the administrator's account, as it was printed first; "" once there is one */
  setup = "";
  /** what the server logged, for a person who looks into a failure */
  log = "";

  #process: ChildProcess | undefined;

  private constructor(
    readonly home: string,
    public data: string,
    readonly options: ServerOptions,
  ) {}

  static async start(options: ServerOptions = {}): Promise<Server> {
    const home = await mkdtemp(join(tmpdir(), "parley-story-"));
    const server = new Server(home, join(home, "data"), options);
    await server.resume();
    return server;
  }

  /** Starts it, again if it was there before: on the same port and data. */
  async resume(): Promise<void> {
    const listen = this.url === "" ? "127.0.0.1:0" : new URL(this.url).host;
    const { registration = "open", limits = "off" } = this.options;
    const child = spawn(
      inject("parley"),
      ["serve", "--listen", listen, "--admin", "off", "--data", this.data, "--registration", registration, "--rate-limits", limits],
      { stdio: ["ignore", "pipe", "pipe"], env: { ...process.env, HOME: this.home } },
    );
    this.#process = child;
    child.stderr?.on("data", (chunk: Buffer) => (this.log += chunk.toString()));
    const said = await heard(child, this.url === "" ? /#\/setup\/\S+\nor:/ : /listening on (\S+)/);
    this.url = /listening on (\S+)/.exec(said)?.[1] ?? "";
    this.setup = /\s(http\S+\/#\/setup\/\S+)/.exec(said)?.[1] ?? "";
  }

  /** As a power cut would: nothing is finished. */
  kill(): Promise<void> {
    return this.#end("SIGKILL");
  }

  /** As an operator does: what was accepted is finished, everybody is told. */
  stop(): Promise<void> {
    return this.#end("SIGTERM");
  }

  async #end(signal: NodeJS.Signals): Promise<void> {
    const child = this.#process;
    this.#process = undefined;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const exited = once(child, "exit");
    child.kill(signal);
    await exited;
  }

  /** Ends it and removes everything it had. */
  async remove(): Promise<void> {
    await this.kill();
    await rm(this.home, { recursive: true, force: true });
  }
}

/** What the child printed, once that matches. */
function heard(child: ChildProcess, what: RegExp): Promise<string> {
  return new Promise((resolve, reject) => {
    let said = "";
    const late = setTimeout(() => fail(`never said ${what}`), patience);
    const fail = (why: string) => {
      clearTimeout(late);
      reject(new Error(`parley ${why}; it said:\n${said}`));
    };
    child.stdout?.on("data", (chunk: Buffer) => {
      said += chunk.toString();
      if (!what.test(said)) return;
      clearTimeout(late);
      resolve(said);
    });
    child.stderr?.on("data", (chunk: Buffer) => (said += chunk.toString()));
    child.once("exit", (code) => fail(`ended with ${code}`));
    child.once("error", (err) => fail(err.message));
  });
}

/** Runs a command of the program to its end and returns what it printed. */
export function parley(args: readonly string[], env: Record<string, string> = {}, input = ""): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      inject("parley"),
      [...args],
      { env: { ...process.env, ...env }, maxBuffer: 256 << 20 },
      (err, stdout, stderr) => (err ? reject(new Error(`parley ${args.join(" ")}: ${stderr || err.message}`)) : resolve(stdout)),
    );
    child.stdin?.end(input);
  });
}
