import { describe, expect, it } from "vitest";
import { message, notice } from "./fake";
import { arrange } from "./rows";
import { countAfter, newestSeen, type Places } from "./seen";

/** Rows of 50 pixels one under the other, but those that are named. */
function places(count: number, sizes: Record<number, number> = {}): Places {
  const size = (index: number) => sizes[index] ?? 50;
  const offset = (index: number) => Array.from({ length: index }, (_, at) => size(at)).reduce((sum, one) => sum + one, 0);
  const indexAt = (wanted: number) => {
    let at = 0;
    while (at < count - 1 && offset(at + 1) <= wanted) at++;
    return at;
  };
  return { indexAt, offset, size };
}

const rowsOf = (...items: Parameters<typeof arrange>[0]["items"][number][]) => arrange({ items, unreadFrom: 0, atStart: true })[0]!.list.slice(1);
const five = rowsOf(message(1), message(2), message(3), message(4), message(5));

describe("newestSeen", () => {
  it("is the newest of which half can be seen", () => {
    expect(newestSeen(five, places(5), 0, 124)).toBe(2);
    expect(newestSeen(five, places(5), 0, 125)).toBe(3);
    expect(newestSeen(five, places(5), 100, 1000)).toBe(5);
  });

  it("counts one that is larger than the screen when it fills half of it", () => {
    expect(newestSeen(five, places(5, { 1: 1000 }), 0, 99)).toBe(1);
    expect(newestSeen(five, places(5, { 1: 1000 }), 0, 100)).toBe(2);
    expect(newestSeen(five, places(5, { 1: 1000 }), 300, 400)).toBe(2);
  });

  it("passes over what waits to be sent and what has no number", () => {
    const rows = rowsOf(message(1), message(0, { key: "own", mine: true }), message(0, { key: "own2", mine: true }));
    expect(newestSeen(rows, places(3), 0, 500)).toBe(1);
  });

  it("counts notices, which have numbers too", () => {
    expect(newestSeen(rowsOf(message(1), notice(2)), places(2), 0, 500)).toBe(2);
  });

  it("is nothing without a screen", () => {
    expect(newestSeen(five, places(5), 0, 0)).toBe(0);
    expect(newestSeen([], places(0), 0, 500)).toBe(0);
  });
});

describe("countAfter", () => {
  it("counts the messages of others", () => {
    const rows = rowsOf(message(1), message(2), message(3, { mine: true }), notice(4), message(5), message(0, { key: "own", mine: true }));
    expect(countAfter(rows, 1)).toBe(2);
    expect(countAfter(rows, 5)).toBe(0);
    expect(countAfter(rows, 0)).toBe(3);
  });
});
