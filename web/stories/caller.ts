/// <reference types="node" />
/**
 * Somebody who speaks plain HTTP and is bound by no client: villains, and crowds.
 */
import type { Server } from "./server";

export class Caller {
  private constructor(
    readonly url: string,
    readonly handle: string,
    readonly password: string,
    readonly token: string,
  ) {}

  /** Signs up; undefined if the server refuses what it was given. */
  static async come(server: Server, handle: string, name: string, password = "correct horse battery"): Promise<Caller | undefined> {
    const answer = await post(`${server.url}/v1/accounts`, { handle, name, password });
    const { token } = await told<{ token: string }>(answer);
    return token === undefined ? undefined : new Caller(server.url, handle, password, token);
  }

  /** The id of a new conversation; undefined if the server refuses it. */
  async converse(body: { kind: "direct" | "group"; title?: string; members: readonly string[] }): Promise<string | undefined> {
    return (await told<{ id: string }>(await post(`${this.url}/v1/conversations`, body, this.token))).id;
  }

  /** Says text under that id; false if the server refuses it. */
  async say(conversation: string, id: string, text: string): Promise<boolean> {
    const answer = await post(`${this.url}/v1/conversations/${conversation}/entries`, { id, body: { type: "text/plain", text } }, this.token);
    return (await told<{ seq: number }>(answer)).seq !== undefined;
  }

  /** Has read everything there is in a conversation. */
  async read(conversation: string): Promise<void> {
    const all = Number.MAX_SAFE_INTEGER; // beyond the head counts as the head
    await told(await post(`${this.url}/v1/conversations/${conversation}/markers`, { delivered: all, read: all }, this.token, "PUT"));
  }
}

function post(url: string, body: unknown, token = "", method = "POST"): Promise<Response> {
  const headers: Record<string, string> = { "content-type": "application/json" };
  if (token !== "") headers["authorization"] = `Bearer ${token}`;
  return fetch(url, { method, headers, body: JSON.stringify(body) });
}

/** The answer's value, which is empty if the request was refused as it stands; any other failure throws. */
async function told<T>(answer: Response): Promise<Partial<T>> {
  const value = (await answer.json()) as Partial<T> & { detail?: string };
  if (answer.ok) return value;
  if (answer.status === 400) return {};
  throw new Error(`${answer.url} answered ${answer.status}: ${value.detail ?? ""}`);
}
