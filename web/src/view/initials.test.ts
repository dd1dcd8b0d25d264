import { expect, test } from "vitest";
import { hue, hues, initials } from "./initials";

test("initials are those of the first and last word that have letters", () => {
  for (const [name, want] of [
    ["Ada Lovelace", "AL"],
    ["Edsger W. Dijkstra", "ED"],
    ["zoe", "Z"],
    ["Harbour festival 🎪", "HF"],
    ["Ada, Grace, Edsger", "AE"],
    ["(the) “quiet” ones", "TO"],
    ["🎪 🎡", "🎪"],
    ["👩‍👩‍👧", "👩‍👩‍👧"],
    ["é̂mile", "É̂"],
    ["محمد بن موسى", "مم"],
    ["7 of 9", "79"],
    ["!!!", "?"],
    ["", "?"],
  ] as const) {
    expect(initials(name), name).toBe(want);
  }
});

test("the colour is the id's, for ever, and all are in use", () => {
  expect(hue("u_01JABCDEFGHJKMNPQRSTVWXYZ0")).toBe(hue("u_01JABCDEFGHJKMNPQRSTVWXYZ0"));
  const seen = new Set(Array.from({ length: 300 }, (_, i) => hue(`u_${i}`)));
  expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: hues }, (_, i) => i));
});
