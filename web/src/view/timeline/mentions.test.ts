import { describe, expect, it } from "vitest";
import { ada, grace } from "../fakemodel";
import { parse } from "./markdown";
import { matching, mentionedIn, partialAt, withMentions } from "./mentions";

describe("a mention", () => {
  it("begins with an @ that no word stands before", () => {
    expect(partialAt("hi @gr", 6)).toEqual({ from: 3, typed: "gr" });
    expect(partialAt("@", 1)).toEqual({ from: 0, typed: "" });
    expect(partialAt("mail@gr", 7)).toBeUndefined();
    expect(partialAt("hi @gr there", 12)).toBeUndefined();
  });

  it("is offered by handle and by name, and never oneself", () => {
    expect(matching([ada, grace], "gr", ada.id)).toEqual([grace]);
    expect(matching([ada, grace], "hop", ada.id)).toEqual([grace]);
    expect(matching([ada, grace], "", ada.id)).toEqual([grace]);
  });

  // Kills: a sentence's full stop that makes another handle of it; an address that mentions.
  it("is found in a text, with the punctuation after it left out", () => {
    expect(mentionedIn("@grace, and @Ada. Not @nobody, not x@grace", [ada, grace])).toEqual([grace.id, ada.id]);
  });

  it("is shown by name, and marked if it is the reader", () => {
    const [block] = withMentions(parse("well, **@ada** and @grace."), [ada, grace], ada.id);
    expect(block).toEqual({
      kind: "lines",
      spans: [
        { kind: "text", text: "well, " },
        { kind: "bold", spans: [{ kind: "mention", text: "@Ada Lovelace", mine: true }] },
        { kind: "text", text: " and " },
        { kind: "mention", text: "@Grace Hopper", mine: false },
        { kind: "text", text: "." },
      ],
    });
  });
});
