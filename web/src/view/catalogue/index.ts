/**
 * The texts and the ways of writing times and numbers, in the language of the person.
 *
 * t, formats, locale and direction are Svelte stores, so that a change of the language is seen at once, without a reload. The
 * language is the one chosen on this device or else the first of the browser's that is here, or else English.
 */
import { derived, get, readonly, writable, type Readable } from "svelte/store";
import { remember, remembered } from "../memory";
import de from "./de";
import en from "./en";
import { makeFormats, untilMidnight, type Formats } from "./formats";
import { read, type Fill, type Writer } from "./message";

/** The name of a text. */
export type Key = keyof typeof en;

/** Gives a text, with what its braces ask for. */
export type Translate = (key: Key, fill?: Fill) => string;

/** A language's texts, and what it calls itself. */
export interface Language {
  readonly name: string;
  readonly texts: Readonly<Record<Key, string>>;
}

const languages = new Map<string, Language>([
  ["en", { name: "English", texts: en }],
  ["de", { name: "Deutsch", texts: de }],
]);

const rightToLeft = new Set(["ar", "arc", "ckb", "dv", "fa", "he", "ks", "ku", "nqo", "ps", "sd", "ug", "ur", "yi"]);

const chosen = writable(remembered("language") ?? "");
const tag = writable(choose(get(chosen)));

/** The language on the screen, as a BCP 47 tag of those that are here. */
export const locale: Readable<string> = readonly(tag);

/** What was chosen on this device: a tag, or "" to follow the browser. */
export const choice: Readable<string> = readonly(chosen);

/** The direction of writing. */
export const direction: Readable<"ltr" | "rtl"> = derived(tag, (tag) => (rightToLeft.has(base(tag)) ? "rtl" : "ltr"));

/** The texts. */
export const t: Readable<Translate> = derived(tag, (tag) => translator(tag));

/** Times, days, numbers and lists. It changes with the language and at midnight, when today becomes yesterday. */
export const formats: Readable<Formats> = derived([tag, t], ([tag, t], set: (formats: Formats) => void) => {
  const words = { today: t("day.today"), yesterday: t("day.yesterday") };
  let timer: ReturnType<typeof setTimeout>;
  let from = "";
  const make = () => {
    const today = new Date().toDateString();
    if (from === today) return;
    from = today;
    set(makeFormats(regional(tag), words, () => Date.now()));
    clearTimeout(timer);
    timer = setTimeout(make, untilMidnight(Date.now()));
  };
  make();
  // A machine that slept over midnight wakes with its timers late.
  document.addEventListener("visibilitychange", make);
  return () => {
    clearTimeout(timer);
    document.removeEventListener("visibilitychange", make);
  };
});

/** Tags and names of the languages that can be chosen. */
export function offered(): { tag: string; name: string }[] {
  return [...languages].map(([tag, { name }]) => ({ tag, name }));
}

/** What following the browser comes to, as its own name for itself. */
export function systemLanguage(): string {
  return languages.get(choose(""))?.name ?? "English";
}

/** Chooses a language for this device and remembers it; "" follows the browser. */
export function chooseLanguage(wanted: string): void {
  remember("language", wanted);
  chosen.set(wanted);
  tag.set(choose(wanted));
}

/** Adds a language to those that can be chosen. */
export function addLanguage(tag: string, language: Language): void {
  languages.set(tag, language);
}

/** The language to show for what was chosen ("" if nothing was) and what the browser asks for. */
function choose(wanted: string): string {
  for (const asked of [wanted, ...navigator.languages]) {
    if (languages.has(asked)) return asked;
    if (languages.has(base(asked))) return base(asked);
  }
  return "en";
}

/** Times are written as in the region the browser names for the language: German may be that of Austria. */
function regional(tag: string): string {
  const region = navigator.languages.find((asked) => base(asked) === base(tag));
  return region ?? tag;
}

function base(tag: string): string {
  return (tag.split("-", 1)[0] ?? "").toLowerCase();
}

/** Parsed messages are kept: a list of a thousand rows asks for the same few texts. */
function translator(tag: string): Translate {
  const texts = languages.get(tag)?.texts ?? en;
  const parsed = new Map<Key, Writer>();
  return (key, fill) => {
    const text = texts[key];
    if (!text.includes("{")) return text;
    let write = parsed.get(key);
    if (!write) {
      write = read(text, tag);
      parsed.set(key, write);
    }
    return write(fill);
  };
}
