import { expect, it } from "vitest";
import { newID } from "./id";

it("makes ids as package parley does", () => {
  expect(newID("m", (n) => new Uint8Array(n))).toBe("m" + "0".repeat(26));
  expect(newID("m", (n) => new Uint8Array(n).fill(255))).toBe("m" + "z".repeat(25) + "w");
  expect(newID("m", () => Uint8Array.from({ length: 16 }, (_, i) => i))).toBe("m000g40r40m30e209185gr38e1w"); // parley.NewID of the same bytes
});
