import { describe, expect, it } from "vitest";
import { IntlMessageFormat } from "intl-messageformat";
import { ada, grace, people } from "../fakemodel";
import de from "./de";
import en from "./en";
import { notice } from "./fake";
import { isolated, noticeText } from "./notices";

const texts = (of: Record<string, string>, locale: string) => (key: string, fill?: object) =>
  new IntlMessageFormat(of[key]!, locale, undefined, { ignoreTag: true }).format(fill as Record<string, string>) as string;
const english = texts(en, "en");
const german = texts(de, "de");
const list = (names: readonly string[]) => names.join(", ");

function say(some: Parameters<typeof notice>[1], { t = english, me = ada.id, group = true } = {}) {
  return noticeText(t, list, notice(1, some), me, group);
}

describe("noticeText", () => {
  it("says who began what with whom", () => {
    expect(say({ by: grace, people: [ada, people[2]!], title: "Harbour" })).toBe("Grace Hopper created the group “Harbour” with Ada Lovelace, Edsger W. Dijkstra");
    expect(say({ by: grace, people: [grace, ada] })).toBe("Grace Hopper created the group with Ada Lovelace");
    expect(say({ by: grace, title: "Harbour" })).toBe("Grace Hopper created the group “Harbour”");
    expect(say({ by: grace, people: [ada] }, { group: false })).toBe("Grace Hopper started the conversation");
    expect(say({ people: [ada] }, { group: false })).toBe("Somebody started the conversation");
  });

  it("speaks to the reader", () => {
    expect(say({ by: ada, title: "Harbour" })).toBe("You created the group “Harbour”");
    expect(say({ by: ada, title: "Hafen" }, { t: german })).toBe("Du hast die Gruppe „Hafen“ erstellt");
    expect(say({ by: grace, title: "Hafen" }, { t: german })).toBe("Grace Hopper hat die Gruppe „Hafen“ erstellt");
  });

  it("does not name a whole crowd", () => {
    const crowd = Array.from({ length: 1000 }, (_, n) => ({ ...grace, id: `u${n}` }));
    expect(say({ by: ada, people: crowd, title: "All" })).toBe("You created the group “All”");
    expect(say({ what: "members", by: ada, people: crowd })).toBe("The members changed");
  });

  it("says the rest", () => {
    expect(say({ what: "members", by: grace, people: [people[2]!] })).toBe("Grace Hopper added Edsger W. Dijkstra");
    expect(say({ what: "members", by: grace })).toBe("The members changed");
    expect(say({ what: "title", by: grace, title: "New" })).toBe("Grace Hopper named the group “New”");
    expect(say({ what: "title", by: ada })).toBe("You took the group’s name away");
    expect(say({ what: "other" })).toBe("Something happened here that this version cannot show");
  });
});

describe("isolated", () => {
  it("leaves a name alone that can turn nothing", () => expect(isolated("Zoë O’Brien")).toBe("Zoë O’Brien"));
  it("fences off one of another direction", () => expect(isolated("محمد")).toBe("\u2068محمد\u2069"));
  it("takes the marks away that would break the fence", () => expect(isolated("a\u2069\u202eb")).toBe("\u2068ab\u2069"));
});
