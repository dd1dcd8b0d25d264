/**
 * The small Markdown of messages: bold, italic, code, code blocks, quotes, line breaks and bare links. Everything else is shown as
 * it was written: no list, heading, image, HTML or named link is known, so nothing is hidden and no link says another address
 * than its own. What comes out is a tree of texts; the view makes text nodes of it and never HTML.
 */
import { Lexer, Tokenizer, type Token, type Tokens } from "marked";
import { linkAt, linkStart } from "./links";

export type Span =
  | { readonly kind: "text"; readonly text: string }
  | { readonly kind: "code"; readonly text: string }
  | { readonly kind: "bold"; readonly spans: readonly Span[] }
  | { readonly kind: "italic"; readonly spans: readonly Span[] }
  | { readonly kind: "link"; readonly text: string; readonly href: string }
  | { readonly kind: "mention"; readonly text: string; readonly mine: boolean };

export type Block =
  | { readonly kind: "lines"; readonly spans: readonly Span[] } // line breaks stand in the texts as "\n"
  | { readonly kind: "code"; readonly text: string; readonly language: string } // as it was named, or ""
  | { readonly kind: "quote"; readonly blocks: readonly Block[] };

/** Quotes within quotes beyond this are shown as written. */
const deepest = 4;

/** Quotes and code blocks beyond so many are shown as written. */
const mostBlocks = 100;

/**
 * How much the tokenizer may read in one message, in characters: it reads up to a whole paragraph again for every mark and
 * address in it. A message that people write is far below; a paragraph that would go beyond is shown as written.
 */
const mostRead = 1_000_000;

/** What makes the tokenizer read on. */
const marks = /[*_`\\[<]/g;

/** parse never fails; what it returns has every character of the text but the marks that were understood. */
export function parse(text: string): readonly Block[] {
  const source = text.replaceAll("\r\n", "\n").replaceAll("\r", "\n");
  try {
    return blocks(new Lexer({ gfm: true, tokenizer: new Small() }).lex(source));
  } catch {
    return literal(source); // marked throws when it makes no headway; no text is known that makes it
  }
}

function literal(source: string): readonly Block[] {
  const spans = trim([{ kind: "text", text: source }]);
  return spans.length > 0 ? [{ kind: "lines", spans }] : [];
}

/**
 * Knows less than marked's own tokenizer: what answers undefined is no Markdown here. What reads on to the end of the text for
 * every line or word in marked's is read in one go, for a message of 16 KiB must not take a screen's frame.
 */
class Small extends Tokenizer {
  private depth = 0;
  private blocks = 0;
  private read = 0;

  override code(): undefined {} // indented code
  override heading(): undefined {}
  override hr(): undefined {}
  override list(): undefined {}
  override html(): undefined {}
  override def(): undefined {}
  override table(): undefined {}
  override lheading(): undefined {}
  override tag(): undefined {}
  override link(): undefined {}
  override reflink(): undefined {}
  override br(): undefined {}
  override del(): undefined {}
  override autolink(): undefined {}

  /** Three backticks, and beside them no more than the name of a language: other words would not be seen. */
  override fences(src: string): Tokens.Code | undefined {
    if (!/^`{3,}[ \t]*[\w+#.-]{0,20}[ \t]*(?:\n|$)/.test(src) || this.blocks >= mostBlocks) return undefined;
    this.blocks++;
    return super.fences(src);
  }

  /** Lines that begin with "> ", and those alone: an answer written below a quote is no part of it. */
  override blockquote(src: string): Tokens.Blockquote | undefined {
    if (this.depth >= deepest || this.blocks >= mostBlocks) return undefined;
    const raw = /^(?:>(?:[ \t][^\n]*)?(?:\n|$))+/.exec(src)?.[0];
    const text = raw?.replace(/^>[ \t]?/gm, "");
    if (!raw || !text?.trim()) return undefined; // a quote of nothing is a sign that somebody wrote
    this.blocks++;
    this.depth++;
    const tokens = this.lexer.blockTokens(text, []);
    this.depth--;
    return { type: "blockquote", raw, text, tokens };
  }

  /** Lines up to a blank one, a quote or a code block. */
  override paragraph(src: string): Tokens.Paragraph | undefined {
    const raw = /^[^\n]+(?:\n(?!```|>(?:[ \t]|\n|$)|[ \t]*(?:\n|$))[^\n]+)*/.exec(src)?.[0];
    if (!raw) return undefined;
    const reads = (times(raw, marks) + times(raw, linkStart)) * raw.length;
    this.read += reads;
    if (this.read <= mostRead) return { type: "paragraph", raw, text: raw, tokens: this.lexer.inline(raw) };
    this.read -= reads;
    return { type: "paragraph", raw, text: raw, tokens: [{ type: "text", raw }] };
  }

  override url(src: string): Tokens.Link | undefined {
    linkStart.lastIndex = 0;
    if (linkStart.exec(src.slice(0, 80))?.index !== 0) return undefined;
    const link = linkAt(src);
    return link && { type: "link", raw: link.raw, href: link.href, text: link.raw, tokens: [] };
  }

  /** Up to the next mark or address. */
  override inlineText(src: string): Tokens.Text | undefined {
    const mark = src.slice(1).search(/[*_`\\]/);
    const most = mark < 0 ? src.length : mark + 1;
    linkStart.lastIndex = 1;
    const link = linkStart.exec(src)?.index ?? src.length;
    const raw = src.slice(0, Math.min(most, link));
    return { type: "text", raw, text: raw, escaped: false };
  }
}

function times(text: string, what: RegExp): number {
  let n = 0;
  for (const _ of text.matchAll(what)) n++;
  return n;
}

/** Joins what stands between two quotes or code blocks to one block of lines, with the line breaks as they were written. */
function blocks(tokens: readonly Token[]): Block[] {
  const out: Block[] = [];
  let spans: Span[] = [];
  const flush = () => {
    const lines = trim(spans);
    if (lines.length > 0) out.push({ kind: "lines", spans: lines });
    spans = [];
  };
  for (const token of tokens) {
    if (token.type === "code") {
      flush();
      const { text, lang } = token as Tokens.Code;
      out.push({ kind: "code", text, language: lang ?? "" });
    } else if (token.type === "blockquote") {
      flush();
      out.push({ kind: "quote", blocks: blocks((token as Tokens.Blockquote).tokens) });
    } else if (token.type === "paragraph") {
      const { tokens: inner, text, raw } = token as Tokens.Paragraph;
      inline(inner, spans);
      push(spans, raw.slice(text.length)); // marked gives a paragraph the line break that follows it
    } else {
      push(spans, token.raw);
    }
  }
  flush();
  return out;
}

function inline(tokens: readonly Token[], spans: Span[]): void {
  for (const token of tokens) {
    if (token.type === "strong" || token.type === "em") {
      const inner: Span[] = [];
      inline((token as Tokens.Em).tokens, inner);
      spans.push({ kind: token.type === "em" ? "italic" : "bold", spans: inner });
    } else if (token.type === "codespan") {
      spans.push({ kind: "code", text: (token as Tokens.Codespan).text });
    } else if (token.type === "link") {
      spans.push({ kind: "link", text: token.raw, href: (token as Tokens.Link).href });
    } else {
      push(spans, token.raw); // an escaped mark too, with its backslash: it is shown as it was written, and marks nothing
    }
  }
}

/** Appends a text, to the last one if that is a text too. */
function push(spans: Span[], text: string): void {
  const last = spans.at(-1);
  if (last?.kind === "text") spans[spans.length - 1] = { kind: "text", text: last.text + text };
  else if (text !== "") spans.push({ kind: "text", text });
}

/** Without the blank lines at both ends, where a block begins and ends anyhow. */
function trim(spans: readonly Span[]): Span[] {
  return spans
    .map((span, at): Span => {
      if (span.kind !== "text") return span;
      const text = at === 0 ? span.text.replace(/^(?:[ \t]*\n)+/, "") : span.text;
      return { kind: "text", text: at === spans.length - 1 ? text.trimEnd() : text };
    })
    .filter((span) => span.kind !== "text" || span.text !== "");
}
