/**
 * Brings what is not on the first screen (more.ts). It is asked for as soon as the page has nothing better to do, so that it is
 * there before it is wanted, is of the same version as the page, and stays though the network goes.
 */
export type More = typeof import("./more");

/** How long a page that never rests may put it off. */
const patience = 5_000;

type Bring = () => Promise<More>;

const bringing: Bring = () => import("./more");

let here: More | undefined;
let coming: Promise<More> | undefined;
let bring = bringing;

/** What has come, if it has. */
export function arrived(): More | undefined {
  return here;
}

/** Waits for it; what failed is tried anew by the next call. */
export function more(): Promise<More> {
  coming ??= bring().then(
    (all) => (here = all),
    (e: unknown) => {
      coming = undefined;
      throw e;
    },
  );
  return coming;
}

/** Asks for it at the next quiet moment. A failure is told to whoever wants to see something of it. */
export function soon(): void {
  const ask = () => void more().catch(() => undefined);
  if ("requestIdleCallback" in window) requestIdleCallback(ask, { timeout: patience });
  else setTimeout(ask, 500);
}

/** Forgets what came and brings it another way, or in its own way again: for tests. */
export function forget(otherwise: Bring = bringing): void {
  here = coming = undefined;
  bring = otherwise;
}
