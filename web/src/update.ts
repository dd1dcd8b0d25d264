import type { Readable } from "./model/model";

/** How often a page that stays open asks whether the server has a new version. */
const askEvery = 60 * 60 * 1000;

/** What a page learns of new versions. */
export interface Updates {
  readonly ready: Readable<boolean>; // a new version waits to take over
  reload(): void; // let it, and open the page anew
}

/** Registers the service worker and watches for new versions. Without one (an old browser, plain HTTP from elsewhere) the app works, but not without a network. */
export function watchForUpdates(): Updates {
  const ready = new Flag();
  let waiting: ServiceWorker | undefined;
  const workers = navigator.serviceWorker as ServiceWorkerContainer | undefined;

  async function watch(): Promise<void> {
    if (!workers) return;
    const registration = await workers.register(workerAddress() as unknown as string, { scope: "/", updateViaCache: "none" });
    const look = (): void => {
      // The first version takes over by itself; only a later one is news.
      if (!registration.waiting || !workers.controller) return;
      waiting = registration.waiting;
      ready.set(true);
    };
    look();
    registration.addEventListener("updatefound", () => registration.installing?.addEventListener("statechange", look));
    const ask = (): void => void registration.update().catch(() => undefined); // no network: the next time
    setInterval(ask, askEvery);
    document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && ask());
  }
  watch().catch(() => undefined); // refused by the browser's settings

  return {
    ready,
    reload() {
      if (!waiting || !workers) return location.reload();
      workers.addEventListener("controllerchange", () => location.reload(), { once: true });
      waiting.postMessage("take over");
    },
  };
}

/** The worker's address, as the page's policy wants it: a trusted value, where browsers have those. */
function workerAddress(): unknown {
  const factory = (globalThis as { trustedTypes?: { createPolicy(name: string, rules: object): { createScriptURL(s: string): unknown } } }).trustedTypes;
  const address = "/sw.js";
  return factory ? factory.createPolicy("parley-worker", { createScriptURL: () => address }).createScriptURL(address) : address;
}

/** A boolean that becomes true. */
class Flag implements Readable<boolean> {
  now = false;
  readonly #watching = new Set<(value: boolean) => void>();

  subscribe(run: (value: boolean) => void): () => void {
    this.#watching.add(run);
    run(this.now);
    return () => this.#watching.delete(run);
  }

  set(value: boolean): void {
    this.now = value;
    for (const run of this.#watching) run(value);
  }
}
