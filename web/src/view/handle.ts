/** Handles as people type them. */

/** As the server keeps it: without spaces around, without an "@" before, in lower case. */
export function handleOf(typed: string): string {
  return typed.trim().replace(/^@/, "").toLowerCase();
}

export function isHandle(handle: string): boolean {
  return /^[a-z0-9_.-]{2,32}$/.test(handle);
}
