/// <reference types="node" />
/**
 * A proxy in front of the server, as many have one. It passes everything on, and can change what is told of a path: a new version of the
 * worker, a portal that answers for the server.
 */
import { createServer, type IncomingMessage, request, type Server as Http, type ServerResponse } from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";

/** What a change makes of an answer. */
export type Change = (body: string) => string;

export class Front {
  url = "";
  readonly #changes = new Map<string, Change>();
  readonly #sockets = new Set<Socket>();

  private constructor(
    readonly behind: URL,
    readonly http: Http,
  ) {}

  static async open(url: string): Promise<Front> {
    const http = createServer();
    const front = new Front(new URL(url), http);
    http.on("request", (asked, answer) => front.#pass(asked, answer));
    http.on("upgrade", (asked: IncomingMessage, socket: Socket, head: Buffer) => front.#join(asked, socket, head));
    http.on("connection", (socket) => front.#keep(socket));
    await new Promise<void>((resolve) => http.listen(0, "127.0.0.1", resolve));
    front.url = `http://127.0.0.1:${(http.address() as AddressInfo).port}`;
    return front;
  }

  /** From now on answers to path are what change makes of them. */
  change(path: string, change: Change): void {
    this.#changes.set(path, change);
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.http.close(resolve));
  }

  #keep(socket: Socket): void {
    this.#sockets.add(socket);
    socket.on("close", () => this.#sockets.delete(socket));
    socket.on("error", () => socket.destroy());
  }

  #pass(asked: IncomingMessage, answer: ServerResponse): void {
    const change = this.#changes.get(asked.url ?? "");
    const headers = { ...asked.headers };
    if (change) {
      delete headers["if-none-match"];
      delete headers["accept-encoding"];
    }
    const on = request({ host: this.behind.hostname, port: this.behind.port, path: asked.url, method: asked.method, headers }, (from) => {
      if (!change) {
        answer.writeHead(from.statusCode ?? 502, from.headers);
        from.pipe(answer);
        return;
      }
      const parts: Buffer[] = [];
      from.on("data", (part: Buffer) => parts.push(part));
      from.on("end", () => {
        const { etag: _etag, "content-length": _length, ...rest } = from.headers;
        answer.writeHead(from.statusCode ?? 502, rest);
        answer.end(change(Buffer.concat(parts).toString()));
      });
    });
    on.on("error", () => answer.destroy());
    asked.pipe(on);
  }

  #join(asked: IncomingMessage, socket: Socket, head: Buffer): void {
    const on = connect(Number(this.behind.port), this.behind.hostname);
    this.#keep(on);
    on.on("close", () => socket.destroy());
    socket.on("close", () => on.destroy());
    const lines = [`${asked.method} ${asked.url} HTTP/1.1`];
    for (let i = 0; i < asked.rawHeaders.length; i += 2) lines.push(`${asked.rawHeaders[i]}: ${asked.rawHeaders[i + 1]}`);
    on.write(lines.join("\r\n") + "\r\n\r\n");
    on.write(head);
    on.pipe(socket).pipe(on);
  }
}
