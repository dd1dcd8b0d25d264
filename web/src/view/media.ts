/** What the window is like. */
import { readable, type Readable } from "svelte/store";

/** Whether a media query holds, now and after each change of the window. */
export function media(query: string): Readable<boolean> {
  const list = matchMedia(query);
  return readable(list.matches, (set) => {
    const changed = () => set(list.matches);
    changed();
    list.addEventListener("change", changed);
    return () => list.removeEventListener("change", changed);
  });
}

/** One column: below this width there is room for the list or a conversation, not for both. */
export const narrow = media("(max-width: 719.98px)");
