/** Who is mentioned: in what is written, as "@handle", and in what is shown, by name. */
import type { Person } from "../../model/model";
import type { Block, Span } from "./markdown";

/** Users that one message can mention. */
const mostMentioned = 64;

/** Where a handle is being written before the caret, and how it begins. */
export interface Partial {
  readonly from: number;
  readonly typed: string;
}

/** What is being written right before the caret, if it may become a mention. */
export function partialAt(text: string, caret: number): Partial | undefined {
  const found = /(?:^|[\s(])@([\p{L}\p{N}_.-]{0,32})$/u.exec(text.slice(0, caret));
  return found ? { from: caret - found[1]!.length - 1, typed: found[1]!.toLowerCase() } : undefined;
}

/** The members that a beginning may mean, those whose handle begins so first. */
export function matching<P extends Person>(members: readonly P[], typed: string, me: string, most = 6): P[] {
  const others = members.filter((m) => m.id !== me && m.handle !== "");
  const by = others.filter((m) => m.handle.startsWith(typed));
  const named = others.filter((m) => !by.includes(m) && m.name.toLowerCase().split(/\s+/u).some((word) => word.startsWith(typed)));
  return [...by, ...named].slice(0, most);
}

const handles = /(?<![\p{L}\p{N}_.@-])@([a-z0-9_.-]{2,32})/giu;

/** The ids of those members whom a text mentions. */
export function mentionedIn(text: string, members: readonly Person[]): string[] {
  const byHandle = new Map(members.map((m) => [m.handle, m.id]));
  const ids = new Set<string>();
  for (const [, handle] of text.matchAll(handles)) {
    const id = byHandle.get(handle!.toLowerCase()) ?? byHandle.get(handle!.toLowerCase().replace(/[.-]+$/, ""));
    if (id !== undefined && ids.size < mostMentioned) ids.add(id);
  }
  return [...ids];
}

/** The same blocks with the handles of those who are mentioned as their names. */
export function withMentions(blocks: readonly Block[], mentions: readonly Person[], me: string): readonly Block[] {
  if (mentions.length === 0) return blocks;
  const byHandle = new Map(mentions.map((m) => [m.handle, m]));
  const spans = (all: readonly Span[]): Span[] =>
    all.flatMap((span): Span[] => {
      if (span.kind === "bold" || span.kind === "italic") return [{ ...span, spans: spans(span.spans) }];
      return span.kind === "text" ? marked(span.text, byHandle, me) : [span];
    });
  return blocks.map((block): Block => {
    if (block.kind === "lines") return { ...block, spans: spans(block.spans) };
    return block.kind === "quote" ? { ...block, blocks: withMentions(block.blocks, mentions, me) } : block;
  });
}

function marked(text: string, byHandle: ReadonlyMap<string, Person>, me: string): Span[] {
  const spans: Span[] = [];
  let from = 0;
  for (const match of text.matchAll(handles)) {
    const whole = match[1]!.toLowerCase();
    const handle = byHandle.has(whole) ? whole : whole.replace(/[.-]+$/, "");
    const person = byHandle.get(handle);
    if (!person) continue;
    if (match.index > from) spans.push({ kind: "text", text: text.slice(from, match.index) });
    spans.push({ kind: "mention", text: `@${person.name}`, mine: person.id === me });
    from = match.index + 1 + handle.length;
  }
  if (from < text.length) spans.push({ kind: "text", text: text.slice(from) });
  return spans;
}
