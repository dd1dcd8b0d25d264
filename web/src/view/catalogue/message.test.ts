import { IntlMessageFormat } from "intl-messageformat";
import { expect, test } from "vitest";
import de from "./de";
import en from "./en";
import { read } from "./message";

/** Every word that some text chooses by, and one that none does. */
const words = (text: string): string[] => [...Array.from(text.matchAll(/([\w-]+) *\{/g), ([, word]) => word ?? ""), "nothing of these"];

// Kills: a plural of the wrong language, a # that stays, a choice that is not found, spaces lost between words.
test("every text is written as ICU writes it", () => {
  for (const [tag, texts] of [["en", en], ["de", de]] as const) {
    for (const text of Object.values(texts)) {
      const names = Array.from(text.matchAll(/\{(\w+)/g), ([, name]) => name ?? "");
      for (const value of [0, 1, 2, 5, 1200, 1_000_000, ...words(text)]) {
        const counted = (name: string) => new RegExp(`\\{${name}, *plural`).test(text);
        const fill = Object.fromEntries(names.map((name) => [name, counted(name) && typeof value === "string" ? 3 : value]));
        expect(read(text, tag)(fill), text).toBe(new IntlMessageFormat(text, tag, undefined, { ignoreTag: true }).format(fill));
      }
    }
  }
});

test("a count's own text goes before its plural's, and what is within may ask again", () => {
  const write = read("{n, plural, =0 {nobody} one {# of {all}} other {{who, select, me {I and #} other {#}}}}", "en");
  expect([0, 1, 2000].map((n) => write({ n, all: "9", who: "me" }))).toEqual(["nobody", "1 of 9", "I and 2,000"]);
});

test("what is not well formed is an error", () => {
  for (const text of ["{", "}", "{a", "{a, plural}", "{a, plural, one {x}}", "{a, date, short}", "{a, select, other {x}", "{}"]) expect(() => read(text, "en"), text).toThrow(SyntaxError);
});
