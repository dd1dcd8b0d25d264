/** Times, numbers and lists as a language writes them. All times are milliseconds since 1970, shown in the local zone. */

export interface Formats {
  /** The time of day: 14:03. */
  time(ms: number): string;
  /** A day: Today, Yesterday, or its weekday and date. */
  day(ms: number): string;
  /** As short as a list needs it: the time today, then Yesterday, the weekday within a week, and the date. */
  moment(ms: number): string;
  /** Day and time in full. */
  full(ms: number): string;
  number(n: number): string;
  /** Names in a row: Ada, Grace and Edsger. */
  list(names: readonly string[]): string;
}

const day = 24 * 3600 * 1000;

/**
 * @param locale a BCP 47 tag
 * @param words what the language calls this day and the last
 * @param clock the time now, in milliseconds since 1970
 */
export function makeFormats(locale: string, words: { today: string; yesterday: string }, clock: () => number): Formats {
  const date = (options: Intl.DateTimeFormatOptions) => {
    const format = new Intl.DateTimeFormat(locale, options);
    return (ms: number) => (Number.isFinite(ms) ? format.format(ms) : "");
  };
  const time = date({ timeStyle: "short" });
  const weekday = date({ weekday: "short" });
  const short = date({ day: "numeric", month: "short" });
  const withYear = date({ day: "2-digit", month: "2-digit", year: "2-digit" });
  const long = date({ weekday: "long", day: "numeric", month: "long" });
  const longWithYear = date({ weekday: "long", day: "numeric", month: "long", year: "numeric" });
  const full = date({ dateStyle: "medium", timeStyle: "short" });
  const number = new Intl.NumberFormat(locale);
  const list = new Intl.ListFormat(locale, { type: "conjunction" });
  const sameYear = (ms: number) => new Date(ms).getFullYear() === new Date(clock()).getFullYear();
  return {
    time,
    day(ms) {
      const ago = daysAgo(ms, clock());
      if (ago === 0) return words.today;
      if (ago === 1) return words.yesterday;
      return sameYear(ms) ? long(ms) : longWithYear(ms);
    },
    moment(ms) {
      const ago = daysAgo(ms, clock());
      if (ago === 0) return time(ms);
      if (ago === 1) return words.yesterday;
      if (ago > 1 && ago < 7) return weekday(ms);
      return sameYear(ms) ? short(ms) : withYear(ms);
    },
    full,
    number: (n) => number.format(n),
    list: (names) => list.format(names),
  };
}

/** How many midnights lie between: negative for what is yet to come. Days of 23 and 25 hours count as days. */
function daysAgo(ms: number, now: number): number {
  return Math.round((midnight(now) - midnight(ms)) / day);
}

function midnight(ms: number): number {
  return new Date(ms).setHours(0, 0, 0, 0);
}

/** Milliseconds from now to the next midnight, of a day of any length. */
export function untilMidnight(now: number): number {
  const next = new Date(now);
  next.setHours(24, 0, 0, 0);
  return next.getTime() - now;
}
