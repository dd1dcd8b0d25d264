/**
 * What the outside world is to the network layer and the model: time, chance, the network, and news of the machine itself.
 * Everything of it comes in through this interface, so that tests have a world of their own.
 */
export interface Platform {
  /** Milliseconds since 1970. It may jump either way: a person sets the clock, a laptop sleeps. */
  now(): number;
  /** Calls run once, after ms milliseconds or later. What it returns calls that off; calling it again does nothing. */
  setTimer(run: () => void, ms: number): () => void;
  /** From 0 up to but not including 1. */
  random(): number;
  fetch(path: string, init: RequestInit): Promise<Response>;
  /** Opens a WebSocket that speaks the protocol of wire. Nothing is told before this returns; it may throw. */
  socket(url: string, events: SocketEvents): Socket;
  /** False: the system is sure that there is no network. True says little. */
  online(): boolean;
  /**
   * Calls run whenever it is worth finding out how things stand: the network came or went (see online), the page became visible or came
   * back from a cache, or the clock jumped as after sleep. What it returns ends that.
   */
  onWake(run: () => void): () => void;
  /** How this device is called in its owner's list of devices: "Firefox on Linux". */
  device(): string;
}

/** What a socket tells. After closed it tells nothing. */
export interface SocketEvents {
  opened(): void;
  message(data: unknown): void; // a string, unless the other side sent bytes
  closed(code: number): void; // 1006: no close frame came
}

export interface Socket {
  /** Bytes that were sent and have not left yet. */
  readonly buffered: number;
  /** Only after opened; text sent to a socket that is closing is lost. */
  send(text: string): void;
  /** Says goodbye (1000). Nothing is told any more, not even closed. */
  close(): void;
}
