import { expect, test } from "vitest";
import { settled } from "./fakeplatform";
import { Lane } from "./lane";

/** A lane whose items are done when the test says so. */
function slow(limit: number) {
  const begun: string[] = [];
  const failed: string[] = [];
  const ends: { resolve: () => void; reject: () => void }[] = [];
  const lane = new Lane<string>(
    limit,
    (item) => {
      begun.push(item);
      return new Promise<void>((resolve, reject) => {
        ends.push({ resolve, reject });
      });
    },
    (item) => failed.push(item),
  );
  return { lane, begun, failed, ends };
}

// Kills handling an item while the one before is still being committed.
test("the next item waits for the one before", async () => {
  const { lane, begun, ends } = slow(100);
  for (const item of ["a", "b", "c"]) lane.push(item, 1);
  await settled();
  expect(begun).toEqual(["a"]);
  ends[0]?.resolve();
  await settled();
  expect(begun).toEqual(["a", "b"]);
});

test("what throws at once fails like what rejects", async () => {
  const failed: number[] = [];
  const lane = new Lane<number>(
    100,
    () => {
      throw new Error("no");
    },
    (item) => failed.push(item),
  );
  lane.push(1, 1);
  await lane.idle();
  expect(failed).toEqual([1]);
});

// Kills going on after a failure: what followed would overtake what failed.
test("a failure drops what waits, and the lane goes on with what comes then", async () => {
  const { lane, begun, failed, ends } = slow(100);
  for (const item of ["a", "b"]) lane.push(item, 1);
  await settled();
  ends[0]?.reject();
  await settled();
  expect(failed).toEqual(["a"]);
  lane.push("c", 1);
  await settled();
  expect(begun).toEqual(["a", "c"]);
});

// Kills a bound that counts what is no longer waiting, and one that lets nothing great through for ever.
test("what waits is bounded by its size, except for one alone", async () => {
  const { lane, ends } = slow(10);
  expect(lane.push("greater than the bound, but alone", 50)).toBe(true);
  await settled(); // it is being handled, and waits no more
  expect(lane.push("six", 6)).toBe(true);
  expect(lane.push("five", 5)).toBe(false);
  expect(lane.push("four", 4)).toBe(true);
  ends[0]?.resolve();
  await settled(); // six is being handled
  expect(lane.push("five", 5)).toBe(true);
});

test("idle waits for everything, also for what comes meanwhile", async () => {
  const { lane, ends } = slow(100);
  let idle = false;
  lane.push("a", 1);
  const waited = lane.idle().then(() => (idle = true));
  await settled();
  lane.push("b", 1);
  ends[0]?.resolve();
  await settled();
  expect(idle).toBe(false);
  ends[1]?.resolve();
  await waited;
  await lane.idle(); // at once
});

test("drop leaves what is being handled alone", async () => {
  const { lane, begun, ends } = slow(100);
  for (const item of ["a", "b"]) lane.push(item, 1);
  await settled();
  lane.drop();
  ends[0]?.resolve();
  await lane.idle();
  expect(begun).toEqual(["a"]);
});
