/** Which keys do what, wherever the focus is. The keys of the timeline and the composer are theirs. */

export type Action = "previous" | "next" | "search" | "new" | "back" | "help";

/** What of a key press decides. */
export type Press = Pick<KeyboardEvent, "key" | "altKey" | "ctrlKey" | "metaKey" | "shiftKey" | "isComposing" | "defaultPrevented">;

/** @param typing whether the focus is where keys write text */
export function actionOf(press: Press, typing: boolean): Action | undefined {
  if (press.defaultPrevented || press.isComposing) return undefined;
  const { altKey: alt, ctrlKey: ctrl, metaKey: meta, shiftKey: shift, key } = press;
  if (alt && !ctrl && !meta && !shift) {
    if (key === "ArrowUp") return "previous";
    if (key === "ArrowDown") return "next";
    return undefined;
  }
  // AltGr is Ctrl and Alt at once, and writes characters.
  if (alt) return undefined;
  if (ctrl || meta) {
    if (shift || (ctrl && meta)) return undefined;
    if (key.toLowerCase() === "k") return "search";
    if (key.toLowerCase() === "j") return "new";
    return undefined;
  }
  if (key === "Escape") return "back";
  if (typing) return undefined;
  if (key === "?") return "help";
  if (key === "n" && !shift) return "new";
  return undefined;
}

/** Whether keys write text there. */
export function isTyping(target: EventTarget | null): boolean {
  if (!(target instanceof HTMLElement)) return false;
  if (target.isContentEditable) return true;
  if (target instanceof HTMLInputElement) return !["button", "checkbox", "radio", "range", "submit", "reset"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}
