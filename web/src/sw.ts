/**
 * The service worker: the app opens without a network because its files are kept here, each under the hash of its content. It
 * answers for those files alone; every call of the API goes to the network and is never kept.
 */
export {};

declare const self: ServiceWorkerGlobalScope;
declare const __FILES__: Record<string, string>;

/** Every file of this version by its address, with the SHA-256 of its content. The build fills it in. */
const files: Record<string, string> = __FILES__;

/** The name of this version's cache: those of other versions go when this one is in charge. */
const cacheName = "parley-" + version();

/** A short digest (FNV-1a) of which files there are: it only has to differ between versions that a browser meets. */
function version(): string {
  let h = 0x811c9dc5;
  for (const c of JSON.stringify(files)) h = Math.imul(h ^ c.charCodeAt(0), 0x01000193) >>> 0;
  return h.toString(16);
}

self.addEventListener("install", (event) => event.waitUntil(install()));
self.addEventListener("activate", (event) => event.waitUntil(activate()));
self.addEventListener("message", (event) => {
  if (event.data === "take over") event.waitUntil(self.skipWaiting());
});
self.addEventListener("fetch", (event) => {
  const url = new URL(event.request.url);
  if (event.request.method !== "GET" || url.origin !== self.location.origin || !Object.hasOwn(files, url.pathname)) return;
  event.respondWith(answer(url.pathname));
});

/** Keeps every file. What an older version had with the same content is not fetched again. */
async function install(): Promise<void> {
  const cache = await caches.open(cacheName);
  await Promise.all(
    Object.entries(files).map(async ([address, hash]) => {
      await cache.put(address, (await kept(address, hash)) ?? (await fetched(address, hash)));
    }),
  );
}

async function kept(address: string, hash: string): Promise<Response | undefined> {
  const old = await caches.match(address);
  return old && (await digest(old.clone())) === hash ? old : undefined;
}

/** Fetches one file. A server of another version would give another content: then this version is not installed, and the next check tries again. */
async function fetched(address: string, hash: string): Promise<Response> {
  const response = await fetch(address, { cache: "no-cache", credentials: "same-origin" });
  if (!response.ok || (await digest(response.clone())) !== hash) throw new Error(`${address} is not of this version`);
  return response;
}

async function digest(response: Response): Promise<string> {
  const sum = await crypto.subtle.digest("SHA-256", await response.arrayBuffer());
  return Array.from(new Uint8Array(sum), (b) => b.toString(16).padStart(2, "0")).join("");
}

async function activate(): Promise<void> {
  for (const name of await caches.keys()) if (name !== cacheName) await caches.delete(name);
  await self.clients.claim();
}

/** The file of this version, or, if the browser threw it away, what the server has. */
async function answer(address: string): Promise<Response> {
  const cache = await caches.open(cacheName);
  return (await cache.match(address)) ?? fetch(address);
}
