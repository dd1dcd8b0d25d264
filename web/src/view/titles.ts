/** What a conversation is called on the screen, and finding it by that. */
import type { Conversation, Person } from "../model/model";
import type { Translate } from "./catalogue";

/** The title; a conversation with oneself is one's notes. */
export function titleOf(conversation: Conversation, me: Person, t: Translate): string {
  if (conversation.kind === "direct" && conversation.with?.id === me.id) return t("timeline.yourself");
  return conversation.title;
}

/** Whose colour and initials stand for it: the other's, of a group its own. */
export function faceOf(conversation: Conversation): string {
  return conversation.with?.id ?? conversation.id;
}

/** Those whose title, or whose other's handle, has every word of the search in it, in their order. Case and accents do not matter. */
export function search(conversations: readonly Conversation[], wanted: string, title: (c: Conversation) => string): readonly Conversation[] {
  const words = fold(wanted.replace(/^\s*@/, "")).split(/\s+/u).filter((word) => word !== "");
  if (words.length === 0) return conversations;
  return conversations.filter((conversation) => {
    const text = fold(`${title(conversation)} ${conversation.with?.handle ?? ""}`);
    return words.every((word) => text.includes(word));
  });
}

/** Text as it is compared: without case, accents and the forms of one letter. */
function fold(text: string): string {
  return text.normalize("NFKD").replace(/\p{M}+/gu, "").toLocaleLowerCase();
}
