/**
 * The outside world of the model: that of the network, a place to keep things, and the other tabs.
 */
import type { Engine } from "../db/engine";
import { available, IdbEngine } from "../db/idb";
import { MemoryEngine } from "../db/memory";
import { browser, connectURL } from "../net/browser";
import type { Platform } from "../net/platform";

/** A lock that one tab holds at a time. */
export interface Locks {
  /** Calls held when this tab has the lock, which it keeps until what that returns settles. Rejects if signal ends the wait. */
  request(name: string, signal: AbortSignal, held: () => Promise<void>): Promise<void>;
}

/** A way to speak to the other tabs of this browser. */
export interface Channel {
  post(message: unknown): void;
  listen(run: (message: unknown) => void): void;
  close(): void;
}

export interface Outside extends Platform {
  readonly url: string; // of the WebSocket
  /** The database. */
  engine(): Engine;
  /** undefined: this browser has none, and a tab is alone. */
  readonly locks: Locks | undefined;
  channel(name: string): Channel | undefined;
  /** Random bytes that nobody can guess. */
  bytes(n: number): Uint8Array;
}

/** The browser that this page runs in. */
export function world(): Outside {
  return {
    ...browser(),
    url: connectURL(),
    engine: () => (available() ? new IdbEngine() : new MemoryEngine()),
    locks: webLocks(),
    channel: (name) => (typeof BroadcastChannel === "undefined" ? undefined : broadcast(name)),
    bytes: (n) => crypto.getRandomValues(new Uint8Array(n)),
  };
}

function webLocks(): Locks | undefined {
  const locks = (navigator as { locks?: LockManager }).locks; // not where a page is not secure
  if (!locks) return undefined;
  return { request: async (name, signal, held) => void (await locks.request(name, { signal }, held)) };
}

function broadcast(name: string): Channel {
  const channel = new BroadcastChannel(name);
  return {
    post: (message) => channel.postMessage(message),
    listen: (run) => void (channel.onmessage = (event) => run(event.data)),
    close: () => channel.close(),
  };
}
