import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import { faults } from "./faults";
import type { Seams } from "./fakeworld";
import { happenings, World, type Step } from "./t2";

/** How many worlds are tried, and from which seed; a failure says how to see it again. */
const WORLDS = Number(process.env["PARLEY_T2"] ?? 2_000);

/** What happens more often than the rest. */
const often: readonly Step["do"][] = ["send", "send", "send", "burst", "peer", "peer", "peer", "cut", "deaf", "looks", "looks", "opens", "online", "acts", "acts", "edits", "feels"];

const step: fc.Arbitrary<Step> = fc.record({
  do: fc.constantFrom(...(Object.keys(happenings) as Step["do"][]), ...often),
  a: fc.nat(100),
  b: fc.nat(100),
  c: fc.nat(100),
});

const worlds = (seams: Seams) =>
  fc.asyncProperty(fc.nat(), fc.array(step, { maxLength: 30, size: "max" }), async (seed, steps) => {
    await new World(seed, seams).run(steps);
  });

it(`T2: ${WORLDS} worlds in which everything happens, and nothing is lost, doubled or out of order`, { timeout: 600_000 }, async () => {
  const begun = performance.now();
  await fc.assert(worlds({}), { numRuns: WORLDS, ...(process.env["PARLEY_T2_SEED"] ? { seed: Number(process.env["PARLEY_T2_SEED"]) } : {}) });
  console.info(`T2: ${WORLDS} worlds in ${Math.round(performance.now() - begun)} ms`);
  expect(WORLDS).toBeGreaterThan(0);
});

it("two tabs that both believe to lead do no harm", { timeout: 600_000 }, async () => {
  await fc.assert(worlds({ noLocks: true }), { numRuns: Math.ceil(WORLDS / 20) });
});

describe("T2 finds it when", () => {
  for (const fault of faults) {
    it(fault.name, { timeout: 600_000 }, async () => {
      const seams = fault.plant();
      const found = await fc.check(worlds(seams), { numRuns: 5_000, seed: 1, endOnFailure: true });
      vi.restoreAllMocks();
      console.info(`${fault.name}: after ${found.numRuns} worlds, ${String(found.errorInstance)}`);
      expect(found.failed, "no world broke a promise").toBe(true);
      expect(found.errorInstance).toHaveProperty("name", "Violation");
    });
  }
});
