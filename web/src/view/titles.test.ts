import { expect, test } from "vitest";
import type { Translate } from "./catalogue";
import { ada, conversation, grace, someConversations } from "./fakemodel";
import { search, titleOf } from "./titles";

const t: Translate = (key) => `[${key}]`;
const title = (c: Parameters<typeof titleOf>[0]) => titleOf(c, ada, t);

test("a conversation with oneself is one's notes", () => {
  expect(title(conversation({ id: "a", title: "Ada Lovelace", with: ada }))).toBe("[timeline.yourself]");
  expect(title(conversation({ id: "b", title: "Grace Hopper", with: grace }))).toBe("Grace Hopper");
  expect(title(conversation({ id: "c", kind: "group", title: "Harbour" }))).toBe("Harbour");
});

test("search looks at titles and handles, without case and accents, and keeps the order", () => {
  const all = [
    conversation({ id: "1", title: "José Saramago", with: { id: "u1", handle: "pilar", name: "José Saramago" } }),
    conversation({ id: "2", kind: "group", title: "Josephine’s harbour" }),
    conversation({ id: "3", title: "Straße" }),
  ];
  const found = (wanted: string) => search(all, wanted, title).map(({ id }) => id).join("");
  expect(found("jose")).toBe("12");
  expect(found("  HARBOUR jos ")).toBe("2");
  expect(found("@pilar")).toBe("1");
  expect(found("ß")).toBe("3");
  expect(found(".*")).toBe("");
  expect(found("   ")).toBe("123");
  expect(search(someConversations(0), "محمد", title)).toHaveLength(1);
});
