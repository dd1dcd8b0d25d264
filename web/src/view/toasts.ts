/** Sentences that belong to no place on the screen: what failed while one looked elsewhere. They stay until they are closed. */
import { readonly, writable, type Readable } from "svelte/store";

export interface Toast {
  readonly id: number;
  readonly text: string;
}

/** No more are kept: of a row of failures the last few say enough. */
const most = 3;

const held = writable<readonly Toast[]>([]);
let made = 0;

export const toasts: Readable<readonly Toast[]> = readonly(held);

/** Shows a sentence; the same one again moves to the end. */
export function tell(text: string): void {
  held.update((toasts) => [...toasts.filter((toast) => toast.text !== text), { id: ++made, text }].slice(-most));
}

export function dismiss(id: number): void {
  held.update((toasts) => toasts.filter((toast) => toast.id !== id));
}
