// What the page's policy and right-to-left writing ask of every component.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const files = readdirSync(import.meta.dirname, { recursive: true, encoding: "utf8" })
  .filter((file) => /\.(svelte|css)$/.test(file))
  .map((file) => ({ file, source: readFileSync(join(import.meta.dirname, file), "utf8") }));
const page = readFileSync(join(import.meta.dirname, "../../index.html"), "utf8");

/** Lines that a pattern finds, as "file: line". */
function found(pattern: RegExp, in_: (source: string) => string = (source) => source): string[] {
  return files.flatMap(({ file, source }) => in_(source).split("\n").filter((line) => pattern.test(line)).map((line) => `${file}: ${line.trim()}`));
}

const styles = (source: string): string => (source.includes("<style>") ? source.slice(source.indexOf("<style>")) : source.includes("<script") ? "" : source);

test("no markup is made of text, and no style stands in markup", () => {
  expect(files.length).toBeGreaterThan(20);
  expect(found(/\{@html/)).toEqual([]);
  expect(found(/\sstyle\s*=/)).toEqual([]);
  expect(found(/\son[a-z]+="/)).toEqual([]);
});

test("no colour stands beside the tokens", () => {
  const colours = found(/#[0-9a-f]{3,8}\b|rgb\(|hsl\(/i, styles).filter((line) => !/^app\.css: (--|background: light-dark)|^Avatar\.svelte|box-shadow/.test(line));
  expect(colours).toEqual([]);
});

test("sides are those of the writing", () => {
  const physical = /^\s*(margin|padding|border|inset)-(left|right|top|bottom)\b|^\s*(left|right|top|bottom|width|height|min-width|max-width|min-height|max-height)\s*:|text-align:\s*(left|right)|float:\s*(left|right)/;
  expect(found(physical, styles)).toEqual([]);
  // Four values name the sides of the screen; they may stand where both sides are the same.
  const four = found(/^\s*(margin|padding|inset|border-radius):\s*\S+ \S+ \S+ \S+;/, styles).filter((line) => {
    const [, , right, , left] = /:\s*(\S+) (\S+) (\S+) (\S+);$/.exec(line) ?? [];
    return right !== left;
  });
  expect(four).toEqual([]);
});

test("the page itself has no script or style within, and loads nothing from elsewhere", () => {
  expect(page.match(/<script(?![^>]*\ssrc=)/g)).toBeNull();
  expect(page).not.toMatch(/<style|\sstyle=|\son\w+=/);
  expect([...page.matchAll(/(?:src|href)="([^"]+)"/g)].map(([, to]) => to).filter((to) => !to!.startsWith("/"))).toEqual([]);
});
