import { expect, it } from "vitest";
import { offered, onlyEmoji } from "./emoji";

it.each(["👍", " 🎉🎉 ", "❤️", "👩‍👩‍👧", "🇩🇪🇫🇷", "👍🏽", "1️⃣", "🏴󠁧󠁢󠁥󠁮󠁧󠁿", "😀 😀\n😀", "☕", "✌🏿"])("%s stands alone and is large", (text) => {
  expect(onlyEmoji(text)).toBe(true);
});

it.each(["", " ", "1", "#", "ok 👍", "👍!", "©", "😀😀😀😀😀😀😀", "a", "→", "‍", "🏽".repeat(500)])("%s is text", (text) => {
  expect(onlyEmoji(text)).toBe(false);
});

it("offers each emoji once, and nothing else", () => {
  expect(new Set(offered).size).toBe(offered.length);
  expect(offered.filter((emoji) => !onlyEmoji(emoji))).toEqual([]);
});
