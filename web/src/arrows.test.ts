import { readFileSync, readdirSync } from "node:fs";
import { dirname, join, relative } from "node:path";
import { expect, test } from "vitest";

const root = import.meta.dirname;

/** What a folder may import of ours beside itself, and why it stops there. */
const arrows: Record<string, { to: string[]; why: string }> = {
  wire: { to: [], why: "frames are shapes; what they mean is decided elsewhere" },
  net: { to: ["wire"], why: "a link carries frames and keeps nothing" },
  db: { to: ["wire"], why: "the database keeps what it is given and asks nobody" },
  model: { to: ["wire", "net", "db"], why: "what is shown does not know how it is shown" },
  view: { to: ["wire", "model"], why: "a view shows what the model says and does what the model can: it neither fetches nor stores" },
  ".": { to: ["wire", "model", "view"], why: "the page is put together here" },
};

/** Packages that belong to some folders alone. */
const guarded: Record<string, string[]> = {
  idb: ["db"],
  svelte: ["view", "."],
  virtua: ["view"],
  marked: ["view"],
};

/** What no file may hold, tests aside: user text only becomes text nodes, and the page's policy forbids the rest. */
const forbidden = [/\{@html/, /\binnerHTML\b/, /\bouterHTML\b/, /insertAdjacentHTML/, /\beval\(/, /new Function\(/, /document\.write/, /\sstyle="/];

/** A test's own wiring may import anything; so may what only tests import. */
const doubles = /\.test\.ts$|(^|\/)(fake\w*|faults|t2)\.ts$/;

const files = readdirSync(root, { recursive: true, withFileTypes: true })
  .filter((e) => e.isFile() && /\.(ts|svelte)$/.test(e.name))
  .map((e) => relative(root, join(e.parentPath, e.name)));

/** The folder of src that a file is in. */
const folder = (file: string): string => (file.includes("/") ? (file.split("/")[0] ?? ".") : ".");

/** Every module that a source imports, types included. */
function imports(source: string): string[] {
  const found = source.matchAll(/(?:^|[^.\w])(?:import|export)\s+(?:[^"';]*?\sfrom\s*)?"([^"]+)"|\bimport\(\s*"([^"]+)"/g);
  return Array.from(found, (m) => m[1] ?? m[2] ?? "");
}

/** What is wrong with a file's imports. */
function faults(file: string, source: string): string[] {
  const from = folder(file);
  const rule = arrows[from];
  if (!rule) return [`${file}: the folder ${from} has no arrows; draw them in arrows.test.ts`];
  const wrong: string[] = [];
  for (const name of imports(source)) {
    if (name.startsWith(".")) {
      const to = folder(relative(root, join(root, dirname(file), name)));
      if (to !== from && !rule.to.includes(to)) wrong.push(`${file} must not import ${name}: ${rule.why}`);
      continue;
    }
    const bare = name.split("/")[0] ?? name;
    if (!guarded[bare]?.includes(from)) wrong.push(`${file} must not import ${name}: it belongs to ${guarded[bare]?.join(", ") ?? "nobody yet"}`);
  }
  return wrong;
}

test("arrows never turn back", () => {
  const products = files.filter((f) => !doubles.test(f));
  expect(products.length).toBeGreaterThan(10);
  expect(products.flatMap((f) => faults(f, readFileSync(join(root, f), "utf8")))).toEqual([]);
});

test("nothing makes markup of text", () => {
  const products = files.filter((f) => !doubles.test(f) && !f.endsWith(".gen.ts"));
  const found = products.flatMap((f) => {
    const lines = readFileSync(join(root, f), "utf8").split("\n");
    return lines.flatMap((line, n) => forbidden.filter((p) => p.test(line) && !/^\s*(\/\/|\*|\/\*)/.test(line)).map((p) => `${f}:${n + 1} has ${p}`));
  });
  expect(found).toEqual([]);
});

test("the rule catches what it is for", () => {
  for (const [file, source] of [
    ["view/List.svelte", 'import { open } from "../db/idb";'],
    ["view/deep/A.ts", 'export { x } from "../../net/link";'],
    ["net/api.ts", 'import type { Model } from "../model/model";'],
    ["db/a.ts", 'const m = await import("../model/model");'],
    ["model/a.ts", 'import { mount } from "svelte";'],
    ["wire/a.ts", 'import "left-pad";'],
    ["other/a.ts", ""],
  ] as const) {
    expect(faults(file, source), file).toHaveLength(1);
  }
  expect(faults("model/a.ts", 'import { a } from "../db/idb";\nimport type { B } from "./b";')).toEqual([]);
});
