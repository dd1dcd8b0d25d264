/** What a generated avatar shows of a name. */

const graphemes = new Intl.Segmenter(undefined, { granularity: "grapheme" });

/** How many colours an avatar may have: hue-0 to hue-11 in Avatar.svelte. */
export const hues = 12;

/** The first letters of the first and of the last word that have some, in capitals: "Ada Lovelace" → "AL"; else the first picture; else "?". */
export function initials(name: string): string {
  const words = name.split(/[\s,]+/u);
  const letters = words.map((word) => first(word, /[\p{L}\p{N}]/u)).filter((c) => c !== "");
  const ends = letters.length > 1 ? [letters[0], letters.at(-1)] : letters;
  return ends.join("").toLocaleUpperCase() || first(name, /\p{Extended_Pictographic}/u) || "?";
}

/** The first character of a text that has something of a kind in it; "" if none has. */
function first(text: string, kind: RegExp): string {
  for (const { segment } of graphemes.segment(text)) {
    if (kind.test(segment)) return segment;
  }
  return "";
}

/** The number of an id's colour: the same on every device (FNV-1a). */
export function hue(id: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < id.length; i++) {
    hash = Math.imul(hash ^ id.charCodeAt(i), 0x01000193) >>> 0;
  }
  return hash % hues;
}
