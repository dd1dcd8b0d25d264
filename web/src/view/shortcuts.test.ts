// @vitest-environment happy-dom
import { expect, test } from "vitest";
import { actionOf, isTyping, type Press } from "./shortcuts";

function press(some: Partial<Press> & { key: string }): Press {
  return { altKey: false, ctrlKey: false, metaKey: false, shiftKey: false, isComposing: false, defaultPrevented: false, ...some };
}

test("keys do what the help says", () => {
  expect(actionOf(press({ key: "ArrowUp", altKey: true }), true)).toBe("previous");
  expect(actionOf(press({ key: "ArrowDown", altKey: true }), true)).toBe("next");
  expect(actionOf(press({ key: "k", ctrlKey: true }), true)).toBe("search");
  expect(actionOf(press({ key: "K", metaKey: true }), false)).toBe("search");
  expect(actionOf(press({ key: "j", ctrlKey: true }), true)).toBe("new");
  expect(actionOf(press({ key: "n" }), false)).toBe("new");
  expect(actionOf(press({ key: "?", shiftKey: true }), false)).toBe("help");
  expect(actionOf(press({ key: "Escape" }), true)).toBe("back");
});

// Kills: a "?" in a message opens the help, an accepted suggestion closes the conversation, AltGr+J on a Polish keyboard opens a dialog.
test("keys that write are left alone", () => {
  expect(actionOf(press({ key: "?" }), true)).toBeUndefined();
  expect(actionOf(press({ key: "n" }), true)).toBeUndefined();
  expect(actionOf(press({ key: "Escape", isComposing: true }), true)).toBeUndefined();
  expect(actionOf(press({ key: "j", ctrlKey: true, altKey: true }), true)).toBeUndefined();
  expect(actionOf(press({ key: "ArrowUp", altKey: true, shiftKey: true }), true)).toBeUndefined();
  expect(actionOf(press({ key: "k", ctrlKey: true, shiftKey: true }), false)).toBeUndefined();
  expect(actionOf(press({ key: "N", shiftKey: true }), false)).toBeUndefined();
  expect(actionOf(press({ key: "Escape", defaultPrevented: true }), false)).toBeUndefined();
});

test("typing is done in fields", () => {
  const make = (html: string, type?: string) => {
    const e = document.createElement(html);
    if (type) e.setAttribute("type", type);
    return e;
  };
  expect(["textarea", "select", "input"].map((name) => isTyping(make(name)))).toEqual([true, true, true]);
  expect(isTyping(make("input", "search"))).toBe(true);
  expect(isTyping(make("input", "radio"))).toBe(false);
  expect(isTyping(make("button"))).toBe(false);
  expect(isTyping(null)).toBe(false);
});
