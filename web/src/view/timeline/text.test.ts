import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { MaxBodyBytes } from "../../wire/wire.gen";
import { cleaned, count, room, split } from "./text";

const bytes = (text: string) => new TextEncoder().encode(text).length;

describe("room", () => {
  it("counts characters as the server does, not UTF-16 units", () => {
    expect(count("a😀é")).toBe(3);
    expect(room("😀".repeat(1000), 1000)).toBe(0);
    expect(room("😀".repeat(1001), 1000)).toBe(-1);
    expect(room("", 1000)).toBe(1000);
  });

  it("minds the limit of bytes where that of characters is wide", () => {
    expect(room("あ".repeat(6000), 16384)).toBe(-(6000 - Math.floor(MaxBodyBytes / 3)));
  });
});

describe("cleaned", () => {
  it("takes away the space around, and keeps what is within and how the first line is indented", () => {
    expect(cleaned(" \n\n  a\n\n b  \n ")).toBe("  a\n\n b");
    expect(cleaned(" \n\t ")).toBe("");
  });

  it("takes away what the server refuses or no UTF-8 can carry", () => {
    expect(cleaned("a\0b")).toBe("ab");
    expect(cleaned("a\ud800b😀")).toBe("a\ufffdb😀");
    expect(cleaned("a\r\nb\rc")).toBe("a\nb\nc");
  });
});

describe("split", () => {
  it("leaves a text alone that fits", () => {
    expect(split("one two", 10)).toEqual(["one two"]);
    expect(split("  ", 10)).toEqual([]);
  });

  it("cuts after a paragraph rather than a line, a line rather than a sentence, a sentence rather than a word", () => {
    expect(split("aaaa bbbb\n\ncccc\ndddd eeee", 20)).toEqual(["aaaa bbbb", "cccc\ndddd eeee"]);
    expect(split("aaaa bbbb\ncccc dddd eeee ffff", 20)).toEqual(["aaaa bbbb", "cccc dddd eeee ffff"]);
    expect(split("One is here. Two is not at all there", 24)).toEqual(["One is here.", "Two is not at all there"]);
    expect(split("one two three four\n\nfive six seven eight nine", 20)).toEqual(["one two three four", "five six seven eight", "nine"]);
    expect(split("aaaa bbbb cccc", 11)).toEqual(["aaaa bbbb", "cccc"]);
  });

  it("does not waste a message on an early edge", () => {
    expect(split(`a\n\n${"b".repeat(8)} ${"c".repeat(8)}`, 14)[0]).toBe("a\n\nbbbbbbbb");
  });

  it("cuts a word that is too long, but no character", () => {
    expect(split("x".repeat(25), 10)).toEqual(["x".repeat(10), "x".repeat(10), "x".repeat(5)]);
    const family = "👩‍👩‍👧"; // five code points
    expect(split(family.repeat(3), 12)).toEqual([family.repeat(2), family]);
  });

  // Kills: a part that the server refuses, a loop without headway, a lost or doubled character.
  it("loses nothing but space, and each part fits", () => {
    const words = fc.constantFrom("a", " ", "\n", "\n\n", "word ", "😀", "👩‍👩‍👧", "é", "あ", ". ", "\ud800", "\t");
    fc.assert(
      fc.property(fc.array(words, { maxLength: 300 }), fc.integer({ min: 1, max: 40 }), (some, limit) => {
        const text = some.join("");
        const parts = split(text, limit);
        for (const part of parts) {
          expect(room(part, limit)).toBeGreaterThanOrEqual(0);
          expect(part).toBe(cleaned(part));
          expect(part).not.toBe("");
        }
        const bare = (s: string) => s.replace(/\s+/g, "");
        expect(bare(parts.join(""))).toBe(bare(cleaned(text)));
      }),
      { numRuns: 300 },
    );
  }, 60_000);

  // Kills: a split that reads the whole rest again for every part.
  it("takes a time that grows with the text's length alone", () => {
    const book = "It was a dark and stormy night; the rain fell in torrents. ".repeat(20_000);
    const { user } = process.cpuUsage();
    expect(split(book, 1000).length).toBeGreaterThan(1000);
    expect((process.cpuUsage().user - user) / 1000).toBeLessThan(2000);
  }, 60_000);

  it("splits the longest paste in parts that fit the bytes too", () => {
    const parts = split("あいう ".repeat(20_000), 16384);
    for (const part of parts) expect(bytes(part)).toBeLessThanOrEqual(MaxBodyBytes);
  });
});
