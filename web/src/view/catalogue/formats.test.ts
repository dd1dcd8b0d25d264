import { afterAll, beforeAll, expect, test } from "vitest";
import { makeFormats, untilMidnight } from "./formats";

const zone = process.env["TZ"];
beforeAll(() => void (process.env["TZ"] = "Europe/Berlin"));
afterAll(() => {
  if (zone === undefined) delete process.env["TZ"];
  else process.env["TZ"] = zone;
});

const words = { today: "Today", yesterday: "Yesterday" };
const at = (text: string) => new Date(text).getTime();
const formats = (locale: string, now: string) => makeFormats(locale, words, () => at(now));

test("days are those of the calendar here, not spans of 24 hours", () => {
  const f = formats("en-GB", "2026-11-24T00:05:00+01:00");
  expect(f.day(at("2026-11-24T00:01:00+01:00"))).toBe("Today");
  expect(f.day(at("2026-11-23T23:59:00+01:00"))).toBe("Yesterday");
  expect(f.day(at("2026-11-22T23:59:00+01:00"))).toMatch(/^Sunday,? 22 November$/);
  expect(f.day(at("2025-11-22T12:00:00+01:00"))).toMatch(/^Saturday,? 22 November 2025$/);
});

// Kills: the day after the clocks were set back has 25 hours, and midnight before it counts as the same day.
test("days of 23 and of 25 hours are days", () => {
  const spring = formats("en-GB", "2026-03-30T00:30:00+02:00");
  expect(spring.day(at("2026-03-29T00:30:00+01:00"))).toBe("Yesterday");
  const autumn = formats("en-GB", "2026-10-26T00:30:00+01:00");
  expect(autumn.day(at("2026-10-25T00:30:00+02:00"))).toBe("Yesterday");
  expect(autumn.day(at("2026-10-24T23:30:00+02:00"))).toMatch(/^Saturday,? 24 October$/);
});

test("a list's moment is as short as it may be", () => {
  const f = formats("en-GB", "2026-11-24T14:00:00+01:00");
  expect(f.moment(at("2026-11-24T09:03:00+01:00"))).toBe("09:03");
  expect(f.moment(at("2026-11-23T09:03:00+01:00"))).toBe("Yesterday");
  expect(f.moment(at("2026-11-18T09:03:00+01:00"))).toBe("Wed");
  expect(f.moment(at("2026-11-17T09:03:00+01:00"))).toBe("17 Nov");
  expect(f.moment(at("2025-12-31T09:03:00+01:00"))).toBe("31/12/25");
  // A clock that runs ahead elsewhere.
  expect(f.moment(at("2026-11-25T09:03:00+01:00"))).toBe("25 Nov");
});

test("languages write in their own way", () => {
  const de = formats("de-DE", "2026-11-24T14:00:00+01:00");
  expect(de.time(at("2026-11-24T09:03:00+01:00"))).toBe("09:03");
  expect(de.number(12345)).toBe("12.345");
  expect(de.list(["Ada", "Grace", "Zoe"])).toBe("Ada, Grace und Zoe");
  expect(formats("en-US", "2026-11-24T14:00:00+01:00").time(at("2026-11-24T09:03:00+01:00"))).toMatch(/^9:03\sAM$/);
});

test("no time is no text, and no error", () => {
  const f = formats("en-GB", "2026-11-24T14:00:00+01:00");
  expect([f.time(NaN), f.day(NaN), f.moment(Infinity), f.full(NaN)]).toEqual(["", "", "", ""]);
});

test("midnight is as far away as it is", () => {
  expect(untilMidnight(at("2026-11-24T23:59:00+01:00"))).toBe(60_000);
  expect(untilMidnight(at("2026-10-25T00:00:00+02:00"))).toBe(25 * 3600_000);
});
