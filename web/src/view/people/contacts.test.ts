import { expect, it } from "vitest";
import { ada, grace } from "../fakemodel";
import { asJSON, asVCard } from "./contacts";

it("writes contacts down as JSON", () => {
  expect(JSON.parse(asJSON([{ person: grace, state: "accepted", at: 1 }]))).toEqual([{ handle: "grace", name: "Grace Hopper", state: "accepted" }]);
});

// Kills: a name that ends its line and begins another property; a line that is cut inside a character.
it("writes contacts down as vCards that a name cannot break out of", () => {
  const card = asVCard([{ person: { ...ada, name: "Ada; the\nFN:first, of many" }, state: "accepted", at: 1 }], "parley.example");
  expect(card.split("\r\n").slice(0, 4)).toEqual(["BEGIN:VCARD", "VERSION:4.0", "FN:Ada\\; the\\nFN:first\\, of many", "NICKNAME:ada"]);
  const long = asVCard([{ person: { ...ada, name: "ä".repeat(100) }, state: "accepted", at: 1 }], "x");
  for (const line of long.split("\r\n")) expect(new TextEncoder().encode(line).length).toBeLessThanOrEqual(75);
  expect(long.replaceAll("\r\n ", "")).toContain("ä".repeat(100));
});
