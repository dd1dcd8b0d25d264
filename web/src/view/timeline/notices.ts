/** The sentences about what happened in a conversation. */
import type { Notice, Person } from "../../model/model";
import type { Translate } from "../catalogue";
import type { Formats } from "../catalogue/formats";

/**
 * A name for the middle of a sentence. One that has another direction than the sentence, or marks of direction in it, is fenced
 * off by isolates, so that it can turn nothing but itself.
 */
export function isolated(name: string): string {
  const own = name.replace(/[\u2066-\u2069\u202a-\u202e]/g, "");
  return /^[\u0020-\u024f\u2010-\u203a]*$/.test(own) && own === name ? own : `\u2068${own}\u2069`;
}

/**
 * @param list puts names in a row
 * @param me the id of the person who reads
 * @param group whether the conversation is a group
 */
export function noticeText(t: Translate, list: Formats["list"], notice: Notice, me: string, group: boolean): string {
  const { by, title } = notice;
  const people = notice.people.filter((person) => person.id !== by?.id);
  const named = people.length > 0 && people.length <= most;
  const fill = {
    self: by?.id === me ? "yes" : "no",
    by: by ? isolated(by.name) : t("timeline.somebody"),
    title: isolated(title),
    people: named ? list(people.map(called)) : "",
  };
  switch (notice.what) {
    case "created":
      if (!group) return t("timeline.created", fill);
      if (title !== "") return t(named ? "timeline.createdGroupWith" : "timeline.createdGroup", fill);
      return named ? t("timeline.createdWith", fill) : t("timeline.created", fill);
    case "members":
      return membersText(t, list, notice, fill, named);
    case "title":
      return t(title === "" ? "timeline.untitled" : "timeline.titled", fill);
    case "pin":
      return t("timeline.pinnedNotice", fill);
    case "other":
      return t("timeline.other");
  }
}

/** What a change of members says: who came, who went, and who may do what. */
function membersText(t: Translate, list: Formats["list"], notice: Notice, fill: Record<string, string>, named: boolean): string {
  const { by, removed = [], roles = [] } = notice;
  const said: string[] = [];
  // Who came by a link came by themselves.
  if (notice.people.length === 1 && notice.people[0]!.id === by?.id) said.push(t("timeline.joined", fill));
  else if (named) said.push(t("timeline.added", fill));
  if (removed.length === 1 && removed[0]!.id === by?.id) said.push(t("timeline.left", fill));
  else if (removed.length > 0 && removed.length <= most) said.push(t("timeline.removed", { ...fill, people: list(removed.map(called)) }));
  for (const role of ["owner", "admin", "member"]) {
    const people = roles.filter((r) => r.role === role).map((r) => r.person);
    // A new owner makes the old one an admin: that goes without saying.
    if (people.length === 0 || people.length > most || (role === "admin" && people[0]!.id === by?.id)) continue;
    const key = role === "owner" ? "timeline.madeOwner" : role === "admin" ? "timeline.madeAdmin" : "timeline.madeMember";
    said.push(t(key, { ...fill, people: list(people.map(called)) }));
  }
  return said.length > 0 ? said.join(" · ") : t("timeline.membersChanged");
}

/** Of a group of a thousand, not all are named in a sentence. */
const most = 8;

function called(person: Person): string {
  return isolated(person.name);
}
