import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { linkAt, safe } from "./links";
import { parse, type Block, type Span } from "./markdown";

/** A tree as one line: b(bold) i(italic) c(code) l(link) q[quote] p[code block]. */
function brief(text: string): string {
  const span = (s: Span): string => {
    if (s.kind === "text" || s.kind === "mention") return s.text;
    if (s.kind === "code") return `c(${s.text})`;
    if (s.kind === "link") return `l(${s.text})`;
    return `${s.kind === "bold" ? "b" : "i"}(${s.spans.map(span).join("")})`;
  };
  const block = (b: Block): string => {
    if (b.kind === "lines") return b.spans.map(span).join("");
    return b.kind === "code" ? `p[${b.language && `${b.language}:`}${b.text}]` : `q[${b.blocks.map(block).join("|")}]`;
  };
  return parse(text).map(block).join("|");
}

function hrefs(text: string): string[] {
  const found: string[] = [];
  const span = (s: Span): void => {
    if (s.kind === "link") found.push(s.href);
    else if (s.kind === "bold" || s.kind === "italic") s.spans.forEach(span);
  };
  const block = (b: Block): void => {
    if (b.kind === "lines") b.spans.forEach(span);
    else if (b.kind === "quote") b.blocks.forEach(block);
  };
  parse(text).forEach(block);
  return found;
}

/** All that would be seen, without the marks. */
function seen(blocks: readonly Block[]): string {
  const span = (s: Span): string => (s.kind === "bold" || s.kind === "italic" ? s.spans.map(span).join("") : s.text);
  return blocks.map((b) => (b.kind === "lines" ? b.spans.map(span).join("") : b.kind === "code" ? b.language + b.text : seen(b.blocks))).join("\n");
}

describe("what is known", () => {
  it.each([
    ["**bold** and *italic* or _italic_", "b(bold) and i(italic) or i(italic)"],
    ["***both***", "i(b(both))"],
    ["**bold with `code` in it**", "b(bold with c(code) in it)"],
    ["`a *b* c`", "c(a *b* c)"],
    ["``` one line ```", "c(one line)"],
    ["one\ntwo\n\n\nthree", "one\ntwo\n\n\nthree"],
    ["```\nx := 1\n\n\ty\n```", "p[x := 1\n\n\ty]"],
    ["before\n```go\nx\n```\nafter", "before|p[go:x]|after"],
    ["> quoted\n> *more*\nanswer", "q[quoted\ni(more)]|answer"],
    ["> > inner\n> outer", "q[q[inner]|outer]"],
    ["\n\n  text\n\n", "  text"],
  ])("%j", (text, expected) => expect(brief(text)).toBe(expected));
});

describe("what is shown as it was written", () => {
  it.each([
    "# no heading",
    "- no list\n- of two",
    "1. no list",
    "~~not struck~~",
    "![no image](cat.png)",
    "<b>no HTML</b> <img src=x onerror=alert(1)>",
    "<!-- no comment -->",
    "a | b\n--|--\n1 | 2",
    "no heading\n===",
    "***",
    "    no code",
    "snake_case_name and 2 * 3 * 4",
    "¯\\_(ツ)_/¯",
    ">:( and >no quote",
    ">",
    "</script\n>",
    "> \n>\nwords",
    "&amp; &#65; &lt;",
    "[no]: definition",
    "**open and `open and _open",
    "text  \nwith spaces at the end of a line",
    "C:\\dir\\*.txt",
    "```words that would not be seen\ncode",
    "~~~\nno code\n~~~",
  ])("%j", (text) => expect(brief(text)).toBe(text));

  it("a named link is words and an address, so that nothing is hidden", () => {
    expect(brief("[your bank](https://evil.example)")).toBe("[your bank](l(https://evil.example))");
  });
});

describe("links", () => {
  it.each([
    ["see https://a.example/b_c_(d). Then", "see l(https://a.example/b_c_(d)). Then"],
    ["(http://a.example)", "(l(http://a.example))"],
    ["**http://a.example/**", "b(l(http://a.example/))"],
    ["www.a.example, me@a.example!", "l(www.a.example), l(me@a.example)!"],
    ["mailto:me@a.example?", "l(mailto:me@a.example)?"],
    ["HTTP://A.EXAMPLE", "l(HTTP://A.EXAMPLE)"],
    ["http://例え.example/ä", "l(http://例え.example/ä)"],
    ["https://a.example/\u202egpj.exe", "l(https://a.example/)\u202egpj.exe"],
    ["ahttp://a.example", "ahttp://a.example"],
    ["http:// and www. and @ and a@b", "http:// and www. and @ and a@b"],
    ["`https://a.example`", "c(https://a.example)"],
    ["javascript:alert(1) data:text/html,x file:///etc/passwd ftp://a.example vbscript:x", "javascript:alert(1) data:text/html,x file:///etc/passwd ftp://a.example vbscript:x"],
  ])("%j", (text, expected) => expect(brief(text)).toBe(expected));

  it("lead where they say", () => {
    expect(hrefs("www.a.example me@a.example http://a.example/?q=1&b=2")).toEqual(["https://www.a.example/", "mailto:me@a.example", "http://a.example/?q=1&b=2"]);
  });

  it("lead to http, https and mailto alone", () => {
    for (const href of ["javascript:alert(1)", "JAVASCRIPT:alert(1)", "data:text/html,x", "blob:https://a/b", "file:///", "//a.example", "", "http://[", "https://"]) {
      expect(safe(href)).toBeUndefined();
    }
    expect(linkAt("javascript:alert(1)//http://a.example")).toBeUndefined();
  });
});

describe("bounds", () => {
  const size = 16 * 1024;
  const fill = (unit: string) => unit.repeat(Math.ceil(size / unit.length)).slice(0, size);
  const hostile = [
    ..."*_`[<>\\!~#-|@.?:()&\t\n ".split("").map(fill),
    ...["**a ", "*a ", "_a ", "*a_b ", "> ", "> a\n\n", "```\n", "~~~\n", "```\na\n```\n", "[a](", "![", "<a ", "http://a", "http://a.", "http://a?", " http://x", "www.", "a@", "a.", "a@b.", "mailto:", "a\n", "a\n\n", "1. a\n", "&#1;", "*_", "``a`", "> > > > > a\n", "\\*"].map(fill),
    `http://a${fill("(")}`,
    `${fill("a.a")}@`,
    `${fill("%")}@a.b`,
    `a${fill(" ")}a`,
    "*a **b ".repeat(120) + fill("x"),
    "**a ".repeat(199) + fill("x "),
    "`".repeat(8192) + "a" + "`".repeat(8191),
    ">".repeat(size),
    "> ".repeat(8192),
    Array.from({ length: 170 }, (_, n) => "`".repeat(n + 1)).join(" a "),
  ];

  // Kills: a tokenizer that reads on to the end for every mark. Time of this process alone, the best of five: the first rounds are the compiler's too.
  it("takes less than 50 ms for the worst of 16 KiB", () => {
    parse("*warm* https://a.example\n> up");
    for (const text of hostile) {
      let best = Infinity;
      for (let round = 0; round < 5 && best >= 50; round++) {
        const { user } = process.cpuUsage();
        parse(text);
        best = Math.min(best, (process.cpuUsage().user - user) / 1000);
      }
      expect(best, JSON.stringify(text.slice(0, 20))).toBeLessThan(50);
    }
  }, 60_000);

  it("does not nest without end", () => {
    const depth = (blocks: readonly Block[]): number => Math.max(0, ...blocks.map((b) => (b.kind === "quote" ? 1 + depth(b.blocks) : 0)));
    expect(depth(parse("> ".repeat(5000) + "a"))).toBe(4);
  });

  it("formats a message that people write, however long", () => {
    const text = "This is a *long* message with `code` in it.\n\n".repeat(300);
    expect(brief(text)).toContain("i(long) message with c(code)");
  });

  // Kills: a token that is dropped, a line break that is lost between blocks.
  it("loses nothing but marks, and never fails", () => {
    const piece = fc.constantFrom("a", "b c", "*", "**", "_", "`", "```", "\n", "\n\n", "> ", ">", "~~~", "\\", "http://x.y", "@", "[", "](", "<", "&", "😀", " ", "\t", "\r\n", "# ", "- ", "|");
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 40 }), (pieces) => {
        const text = pieces.join("");
        const bare = (s: string) => s.replace(/[\s*_`>~\\]/g, "");
        expect(bare(seen(parse(text)))).toBe(bare(text));
      }),
      { numRuns: 1000 },
    );
  }, 60_000);
});
