import { get } from "svelte/store";
import { expect, test } from "vitest";
import { FakePage } from "./fakepage";
import { address, parse, Router } from "./route";

test("addresses and routes are each other's", () => {
  for (const [hash, route] of [
    ["#/", { at: "list" }],
    ["#/settings", { at: "settings" }],
    ["#/c/c_01J", { at: "conversation", id: "c_01J" }],
    ["#/invite/a-b_c~d.e", { at: "invite", code: "a-b_c~d.e" }],
    ["#/setup/XYZ", { at: "setup", code: "XYZ" }],
  ] as const) {
    expect(parse(hash)).toEqual(route);
    expect(address(route)).toBe(hash);
  }
  expect(parse("")).toEqual({ at: "list" });
  for (const hash of ["#/c/", "#/c/a/b", "#/c/<script>", "#/c/%41", `#/c/${"a".repeat(65)}`, "#settings", "#/invite"]) {
    expect(parse(hash), hash).toEqual({ at: "nowhere" });
  }
});

// Kills: going in and out makes the history grow, so that Back has to be pressed ten times to leave.
test("going up to the list is Back, where one came from it", () => {
  const page = new FakePage("#/");
  const router = new Router(page);
  for (const id of ["a", "b", "c"]) {
    router.go({ at: "conversation", id });
    router.toList();
  }
  expect(get(router.route)).toEqual({ at: "list" });
  expect(page.at).toBe(0);
});

// Kills: Back on a page that was opened at a conversation leaves the app.
test("going up from an address that was opened stays in the app", () => {
  const page = new FakePage("#/c/a");
  const router = new Router(page);
  router.toList();
  expect(get(router.route)).toEqual({ at: "list" });
  expect(page.entries).toHaveLength(1);

  page.type("#/settings");
  router.leave();
  expect(get(router.route)).toEqual({ at: "list" });
});

test("what lies over a conversation leaves to it", () => {
  const page = new FakePage("#/");
  const router = new Router(page);
  router.go({ at: "conversation", id: "a" });
  router.go({ at: "settings" });
  router.leave();
  expect(get(router.route)).toEqual({ at: "conversation", id: "a" });
  router.toList();
  expect(page.at).toBe(0);
});

test("a typed address is followed, and each move is told once", () => {
  const page = new FakePage("#/");
  const router = new Router(page);
  const told: string[] = [];
  router.route.subscribe((route) => told.push(address(route)));
  page.type("#/c/a");
  page.type("#/c/b");
  page.history.back();
  expect(told).toEqual(["#/", "#/c/a", "#/c/b", "#/c/a"]);
  page.type("#/rubbish");
  expect(get(router.route)).toEqual({ at: "nowhere" });
  router.close();
  page.type("#/c/c");
  expect(get(router.route)).toEqual({ at: "nowhere" });
});

test("going where one is changes nothing", () => {
  const page = new FakePage("#/c/a");
  new Router(page).go({ at: "conversation", id: "a" });
  expect(page.entries).toHaveLength(1);
});
