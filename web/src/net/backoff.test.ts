import { expect, test } from "vitest";
import { Backoff } from "./backoff";

function waits(random: () => number, tries: number): number[] {
  const backoff = new Backoff(random);
  return Array.from({ length: tries }, () => backoff.next());
}

test("the ceiling doubles from half a second to half a minute", () => {
  expect(waits(() => 1, 9)).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000]);
  expect(waits(() => 1, 2_000).at(-1)).toBe(30_000);
});

// Kills jitter of a part of the wait only: everybody who lost a server would come back in the same second.
test("a wait is anywhere below the ceiling", () => {
  expect(waits(() => 0.25, 7).at(-1)).toBe(7_500);
  let seed = 1;
  const spread = Array.from({ length: 1_000 }, () => waits(() => (seed = (seed * 16_807) % 2_147_483_647) / 2_147_483_647, 7).at(-1) ?? 0);
  for (let tenth = 0; tenth < 10; tenth++) {
    const within = spread.filter((wait) => wait >= tenth * 3_000 && wait < (tenth + 1) * 3_000).length;
    expect(within).toBeGreaterThan(60);
    expect(within).toBeLessThan(140);
  }
});

test("no wait is nothing", () => {
  expect(Math.min(...waits(() => 0, 20))).toBeGreaterThanOrEqual(50);
});

test("after a reset the waits are short again", () => {
  const backoff = new Backoff(() => 1);
  for (let i = 0; i < 10; i++) backoff.next();
  backoff.reset();
  expect(backoff.next()).toBe(500);
});
