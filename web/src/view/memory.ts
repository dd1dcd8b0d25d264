/**
 * Small choices that this device remembers, the theme and the language. A browser may refuse to keep anything (a private window,
 * a policy); then they hold until the page is closed.
 */

/** What was remembered, or undefined. */
export function remembered(name: string): string | undefined {
  try {
    return localStorage.getItem(`parley.${name}`) ?? undefined;
  } catch {
    return undefined;
  }
}

/** Remembers a choice; "" forgets it. */
export function remember(name: string, value: string): void {
  try {
    if (value) localStorage.setItem(`parley.${name}`, value);
    else localStorage.removeItem(`parley.${name}`);
  } catch {
    // It is not worth an alert that a choice holds for this visit alone.
  }
}

/** Runs at each change of a choice in another tab, with what it is there ("" if forgotten). What it returns ends it. */
export function onRemembered(name: string, run: (value: string) => void): () => void {
  const heard = (e: StorageEvent) => {
    if (e.key === `parley.${name}`) run(e.newValue ?? "");
  };
  addEventListener("storage", heard);
  return () => removeEventListener("storage", heard);
}
