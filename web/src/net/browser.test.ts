// @vitest-environment happy-dom
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { browser, connectURL } from "./browser";

test("the page's own server takes WebSockets, with TLS if the page has it", () => {
  expect(connectURL({ protocol: "https:", host: "chat.example:8443" })).toBe("wss://chat.example:8443/v1/connect");
  expect(connectURL({ protocol: "http:", host: "127.0.0.1:8080" })).toBe("ws://127.0.0.1:8080/v1/connect");
});

describe("time", () => {
  let visible: DocumentVisibilityState;
  let wakes: number;
  let stop: () => void;

  beforeEach(() => {
    vi.useFakeTimers({ now: Date.UTC(2026, 0, 2) });
    visible = "visible";
    vi.spyOn(document, "visibilityState", "get").mockImplementation(() => visible);
    wakes = 0;
    stop = browser().onWake(() => wakes++);
  });

  afterEach(() => {
    stop();
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
  });

  /** The clock jumps, and the next tick comes. */
  function jump(ms: number): void {
    vi.setSystemTime(Date.now() + ms);
    vi.advanceTimersByTime(5_000);
  }

  test("that passes as it should wakes nobody", () => {
    vi.advanceTimersByTime(3_600_000);
    expect(wakes).toBe(0);
  });

  test("that jumps wakes, once for each jump", () => {
    jump(3_600_000);
    expect(wakes).toBe(1);
    vi.advanceTimersByTime(60_000);
    expect(wakes).toBe(1);
    jump(-3_600_000);
    expect(wakes).toBe(2);
    jump(8_000); // a busy machine
    expect(wakes).toBe(2);
  });

  // Kills a question to the server every minute, from every page that nobody looks at.
  test("of a page that nobody sees may pass in minutes", () => {
    visible = "hidden";
    jump(60_000);
    expect(wakes).toBe(0);
    jump(3_600_000);
    expect(wakes).toBe(1);
  });

  test("ends with the last listener: what it returns ends everything", () => {
    stop();
    jump(3_600_000);
    for (const name of ["online", "offline", "pageshow"]) window.dispatchEvent(new Event(name));
    document.dispatchEvent(new Event("visibilitychange"));
    document.dispatchEvent(new Event("resume"));
    expect(wakes).toBe(0);
  });

  test("news of the network and of the page wake, but not that it went out of sight", () => {
    for (const name of ["online", "offline", "pageshow"]) window.dispatchEvent(new Event(name));
    expect(wakes).toBe(3);
    document.dispatchEvent(new Event("resume"));
    expect(wakes).toBe(4);
    visible = "hidden";
    document.dispatchEvent(new Event("visibilitychange"));
    expect(wakes).toBe(4);
    visible = "visible";
    document.dispatchEvent(new Event("visibilitychange"));
    expect(wakes).toBe(5);
  });

  test("a timer runs once, can be called off, and may be longer than the browser's are", () => {
    const ran: string[] = [];
    const platform = browser();
    platform.setTimer(() => ran.push("a"), 1_000);
    const callOff = platform.setTimer(() => ran.push("b"), 1_000);
    const far = platform.setTimer(() => ran.push("c"), 2 ** 40);
    callOff();
    vi.advanceTimersByTime(10_000);
    expect(ran).toEqual(["a"]);
    far();
  });
});

describe("a socket", () => {
  class WebSocketDouble {
    static opened: WebSocketDouble[] = [];
    binaryType = "blob";
    bufferedAmount = 7;
    sent: string[] = [];
    closes: unknown[] = [];
    onopen: (() => void) | null = null;
    onmessage: ((event: { data: unknown }) => void) | null = null;
    onclose: ((event: { code: number }) => void) | null = null;

    constructor(
      readonly url: string,
      readonly protocols: string,
    ) {
      WebSocketDouble.opened.push(this);
    }

    send(text: string): void {
      this.sent.push(text);
    }

    close(code: unknown): void {
      this.closes.push(code);
    }
  }

  test("speaks our protocol, tells what happens, and nothing after it was closed", () => {
    vi.stubGlobal("WebSocket", WebSocketDouble);
    const told: unknown[] = [];
    const socket = browser().socket("ws://parley.test/v1/connect", {
      opened: () => told.push("opened"),
      message: (data) => told.push(data),
      closed: (code) => told.push(code),
    });
    const [double] = WebSocketDouble.opened;
    if (double === undefined) throw new Error("nothing was opened");
    expect([double.url, double.protocols, double.binaryType]).toEqual(["ws://parley.test/v1/connect", "parley.v1", "arraybuffer"]);
    double.onopen?.();
    double.onmessage?.({ data: "{}" });
    socket.send("hi");
    expect([double.sent, socket.buffered]).toEqual([["hi"], 7]);
    double.onclose?.({ code: 1012 });
    expect(told).toEqual(["opened", "{}", 1012]);
    socket.close();
    expect(double.closes).toEqual([1000]);
    expect([double.onopen, double.onmessage, double.onclose]).toEqual([null, null, null]);
    vi.unstubAllGlobals();
  });
});
