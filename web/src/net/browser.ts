import { Protocol } from "../wire/wire.gen";
import { deviceName } from "./device";
import type { Platform, Socket, SocketEvents } from "./platform";

/** How often the clock is looked at, in milliseconds. */
const TICK = 5_000;

/**
 * A tick that comes this much late means that the machine slept, in milliseconds. Browsers let the timers of a page that nobody sees run once
 * a minute, so there a minute is not late.
 */
const LATE = { seen: 10_000, hidden: 90_000 };

/** The longest time a browser's timer can be set to, in milliseconds. */
const LONGEST = 2 ** 31 - 1;

/** The browser that this page runs in. */
export function browser(): Platform {
  return {
    now: () => Date.now(),
    setTimer,
    random: () => Math.random(),
    fetch: (path, init) => fetch(path, init),
    socket: openSocket,
    online: () => navigator.onLine,
    onWake,
    device: () => deviceName(navigator.userAgent, navigator.maxTouchPoints),
  };
}

/** Where the page's own server takes WebSockets. */
export function connectURL(page: { readonly protocol: string; readonly host: string } = location): string {
  return `${page.protocol === "https:" ? "wss:" : "ws:"}//${page.host}/v1/connect`;
}

function setTimer(run: () => void, ms: number): () => void {
  const timer = setTimeout(run, Math.min(ms, LONGEST));
  return () => clearTimeout(timer);
}

function onWake(run: () => void): () => void {
  const seen = (): void => {
    if (document.visibilityState === "visible") run();
  };
  let last = Date.now();
  const tick = (): void => {
    const passed = Date.now() - last;
    last += passed;
    // Backwards is a jump too: what waits for a moment would wait too long.
    if (passed < 0 || passed > TICK + (document.visibilityState === "visible" ? LATE.seen : LATE.hidden)) run();
  };
  const clock = setInterval(tick, TICK);
  window.addEventListener("online", run);
  window.addEventListener("offline", run);
  window.addEventListener("pageshow", run);
  document.addEventListener("visibilitychange", seen);
  document.addEventListener("resume", run); // after a freeze
  return () => {
    clearInterval(clock);
    window.removeEventListener("online", run);
    window.removeEventListener("offline", run);
    window.removeEventListener("pageshow", run);
    document.removeEventListener("visibilitychange", seen);
    document.removeEventListener("resume", run);
  };
}

function openSocket(url: string, events: SocketEvents): Socket {
  const socket = new WebSocket(url, Protocol);
  socket.binaryType = "arraybuffer"; // none is due; a Blob would have to be read
  socket.onopen = () => events.opened();
  socket.onmessage = (message) => events.message(message.data);
  socket.onclose = (close) => events.closed(close.code); // it follows every error
  return {
    get buffered() {
      return socket.bufferedAmount;
    },
    send: (text) => socket.send(text),
    close: () => {
      socket.onopen = socket.onmessage = socket.onclose = null;
      socket.close(1000);
    },
  };
}
