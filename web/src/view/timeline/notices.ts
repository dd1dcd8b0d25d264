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
      return named ? t("timeline.added", fill) : t("timeline.membersChanged");
    case "title":
      return t(title === "" ? "timeline.untitled" : "timeline.titled", fill);
    case "withheld":
      return t("timeline.withheld");
    case "other":
      return t("timeline.other");
  }
}

/** Of a group of a thousand, not all are named in a sentence. */
const most = 8;

function called(person: Person): string {
  return isolated(person.name);
}
