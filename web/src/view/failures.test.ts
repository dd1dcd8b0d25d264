// @vitest-environment happy-dom
import { get } from "svelte/store";
import { expect, test } from "vitest";
import { Failure } from "../wire/failure";
import { codes } from "../wire/wire.gen";
import { t } from "./catalogue";
import { sentence } from "./failures";

const say = get(t);

test("every code of the protocol has a sentence of its own", () => {
  const all = [...Object.keys(codes), "offline", "unreadable"].map((code) => sentence(say, new Failure(code, "")));
  expect(new Set(all).size).toBe(all.length);
  expect(all).not.toContain(sentence(say, new Failure("surprise", "")));
  for (const said of all) expect(said).toMatch(/^\S.*[.]$/u);
});

test("the time to wait is told in whole seconds", () => {
  expect(sentence(say, new Failure("rate_limited", "", 61_200))).toBe("That was too often. Wait a little. Try again in 62 s.");
});

test("a screen's own sentence comes first, and keeps the time to wait", () => {
  expect(sentence(say, new Failure("conflict", "x", 1000), { conflict: "signup.taken" })).toBe(
    "This handle is taken. Choose another; if it is yours, sign in instead. Try again in 1 s.",
  );
});

test("a code of a later version says what the server said", () => {
  expect(sentence(say, new Failure("surprise", "The moon is full."))).toContain("The moon is full.");
  expect(sentence(say, new Failure("bad_request", "The name is too long."))).toBe("The server did not accept this. The name is too long.");
});

// Kills: a bug's own message, with whatever is in it, is put on the screen.
test("nothing is shown of what is no failure", () => {
  expect(sentence(say, new TypeError("x is undefined at secret.js"))).not.toContain("secret");
  expect(sentence(say, "hello")).toBe(sentence(say, undefined));
});

test("what stands in braces in the server's sentence stays as it is", () => {
  expect(sentence(say, new Failure("bad_request", "{count} <b>"))).toContain("{count} <b>");
});
