// Contrast by WCAG 2.2: 4.5 for text, 3 for what is drawn.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { hues } from "./initials";
import { papers } from "./theme";

const css = readFileSync(join(import.meta.dirname, "app.css"), "utf8");
const avatar = readFileSync(join(import.meta.dirname, "Avatar.svelte"), "utf8");

/** Each token's colours, [light, dark]. */
const tokens = new Map([...css.matchAll(/--([\w-]+): light-dark\((#[0-9a-f]{6}), (#[0-9a-f]{6})\)/g)].map(([, name, light, dark]) => [name!, [light!, dark!] as const]));

function luminance(hex: string): number {
  const [r, g, b] = [1, 3, 5].map((at) => {
    const c = parseInt(hex.slice(at, at + 2), 16) / 255;
    return c <= 0.04045 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
  }) as [number, number, number];
  return 0.2126 * r + 0.7152 * g + 0.0722 * b;
}

function contrast(a: string, b: string): number {
  const [high, low] = [luminance(a), luminance(b)].sort((x, y) => y - x) as [number, number];
  return (high + 0.05) / (low + 0.05);
}

function colour(token: string, theme: 0 | 1): string {
  const pair = tokens.get(token);
  if (!pair) throw new Error(`no token --${token}`);
  return pair[theme];
}

const grounds = ["paper", "paper-2", "raised", "bubble", "bubble-mine", "accent-soft"];
const pairs: [what: string, on: readonly string[], least: number][] = [
  ["ink", [...grounds, "danger-soft"], 7],
  ["ink-2", grounds, 4.5],
  ["accent", [...grounds], 4.5],
  ["accent-ink", ["accent", "accent-2"], 4.5],
  ["danger", ["paper", "paper-2", "raised", "bubble-mine", "accent-soft", "danger-soft"], 4.5],
  ["quiet-ink", ["quiet"], 4.5],
  ["tick", ["paper", "paper-2", "accent-soft", "bubble-mine"], 3],
  ["edge", ["paper", "paper-2", "raised"], 3],
  ["focus", [...grounds, "danger-soft"], 3],
];

test("the ruler measures right", () => {
  expect(contrast("#ffffff", "#000000")).toBeCloseTo(21, 5);
  expect(contrast("#777777", "#ffffff")).toBeCloseTo(4.48, 2);
});

test.each(pairs)("%s can be read", (what, on, least) => {
  const low = on.flatMap((ground) =>
    ([0, 1] as const).map((theme) => ({ pair: `${what} on ${ground}, ${theme ? "dark" : "light"}`, is: contrast(colour(what, theme), colour(ground, theme)) })),
  );
  expect(low.filter(({ is }) => is < least)).toEqual([]);
});

test("initials can be read on every avatar", () => {
  const colours = [...avatar.matchAll(/\.hue-(\d+) \{ background: (#[0-9a-f]{6}); \}/g)];
  expect(colours.map(([, n]) => Number(n))).toEqual(Array.from({ length: hues }, (_, i) => i));
  expect(colours.filter(([, , background]) => contrast("#ffffff", background!) < 4.5).map(([rule]) => rule)).toEqual([]);
});

test("the browser's bars have the colour of the paper", () => {
  expect([papers.light, papers.dark]).toEqual(tokens.get("paper"));
  const page = readFileSync(join(import.meta.dirname, "../../index.html"), "utf8");
  expect(page).toContain(`media="(prefers-color-scheme: light)" content="${papers.light}"`);
  expect(page).toContain(`media="(prefers-color-scheme: dark)" content="${papers.dark}"`);
});
