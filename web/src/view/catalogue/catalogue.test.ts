// @vitest-environment happy-dom
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { IntlMessageFormat } from "intl-messageformat";
import { get } from "svelte/store";
import { afterEach, expect, test, vi } from "vitest";
import { addLanguage, choice, chooseLanguage, direction, formats, locale, offered, t, type Key } from "./index";
import de from "./de";
import en from "./en";

const view = join(import.meta.dirname, "..");
const keys = Object.keys(en) as Key[];

afterEach(() => {
  chooseLanguage("");
  localStorage.clear();
});

/** The sources of the view that show texts. */
const sources = readdirSync(view, { recursive: true, encoding: "utf8" })
  .filter((file) => /\.(ts|svelte)$/.test(file) && !/\.test\.ts$|(^|\/)(en|de)\.ts$/.test(file))
  .map((file) => readFileSync(join(view, file), "utf8"));

/** The names in braces of a text, those within plurals included. */
function blanks(text: string): string[] {
  const names = new Set<string>();
  const walk = (parts: ReturnType<IntlMessageFormat["getAst"]>): void => {
    for (const part of parts) {
      if ("value" in part && part.type !== 0) names.add(String(part.value));
      if ("options" in part) for (const option of Object.values(part.options)) walk(option.value);
    }
  };
  walk(new IntlMessageFormat(text, "en", undefined, { ignoreTag: true }).getAst());
  return [...names].sort();
}

test("every text is used", () => {
  const all = sources.join("\n");
  expect(keys.filter((key) => !all.includes(`"${key}"`))).toEqual([]);
});

test("every text that is asked for is there", () => {
  const asked = sources.flatMap((source) => [...source.matchAll(/\$?\bt\(\s*"([a-z][\w.-]*)"/gi)].map(([, key]) => key));
  expect(asked.length).toBeGreaterThan(100);
  expect(asked.filter((key) => !(key! in en))).toEqual([]);
});

test("every language has every text, with the same blanks", () => {
  expect(Object.keys(de).sort()).toEqual([...keys].sort());
  for (const key of keys) {
    expect(de[key].trim(), key).not.toBe("");
    expect(blanks(de[key]), key).toEqual(blanks(en[key]));
  }
});

test("only names and signs are the same in German", () => {
  const same = keys.filter((key) => de[key] === en[key] && /\p{L}{3}/u.test(en[key].replace(/\{.*\}/g, "")));
  expect(same.filter((key) => !["Name", "Parley", "System", "Offline", "Online", "Bot", "Bots", "Status", "Emoji", "Admin", "{title} · Parley", "System ({language})"].includes(en[key]))).toEqual([]);
});

test("plurals are those of the language", () => {
  const say = get(t);
  expect(say("settings.invites.days.value", { count: 1 })).toBe("1 day");
  expect(say("settings.invites.days.value", { count: 7 })).toBe("7 days");
  chooseLanguage("de");
  expect(get(t)("settings.invites.days.value", { count: 1 })).toBe("1 Tag");
  expect(get(t)("settings.invites.days.value", { count: 1200 })).toBe("1.200 Tage");
});

test("what is filled in is text, whatever stands in it", () => {
  expect(get(t)("group.remove", { name: "{count} <b>#</b> '" })).toBe("Remove {count} <b>#</b> '");
});

test("the choice is kept, and the browser's is followed without one", () => {
  expect(get(locale)).toBe("en");
  chooseLanguage("de");
  expect([get(locale), get(choice), localStorage.getItem("parley.language")]).toEqual(["de", "de", "de"]);
  expect(get(formats).number(1.5)).toBe("1,5");
  chooseLanguage("");
  expect([get(locale), get(choice), localStorage.getItem("parley.language")]).toEqual(["en", "", null]);

  vi.spyOn(navigator, "languages", "get").mockReturnValue(["fr-CA", "de-AT", "en"]);
  chooseLanguage("");
  expect(get(locale)).toBe("de");
  // A region of the same language writes its own way: January is Jänner in Austria.
  expect(get(formats).day(new Date(2020, 0, 15).getTime())).toContain("Jänner");
  chooseLanguage("xx");
  expect(get(locale)).toBe("de");
});

test("a language may run from right to left", () => {
  expect(get(direction)).toBe("ltr");
  addLanguage("ar-XB", { name: "Pseudo", texts: en });
  chooseLanguage("ar-XB");
  expect(get(direction)).toBe("rtl");
  expect(offered().map(({ tag }) => tag)).toContain("ar-XB");
});

// Kills: a page that stays open over midnight calls yesterday's messages today's.
test("at midnight today becomes yesterday", () => {
  vi.useFakeTimers({ now: new Date(2026, 10, 24, 23, 59, 50) });
  try {
    const message = Date.now();
    let shown = "";
    const end = formats.subscribe((formats) => (shown = formats.day(message)));
    expect(shown).toBe("Today");
    vi.advanceTimersByTime(11_000);
    expect(shown).toBe("Yesterday");
    vi.advanceTimersByTime(24 * 3600_000);
    expect(shown).toMatch(/Tuesday/);
    end();
    expect(vi.getTimerCount()).toBe(0);
  } finally {
    vi.useRealTimers();
  }
});
