/**
 * The part of ICU's messages that the catalogue has: names in braces, plurals with # and =1, and choices by word. It has no quoting:
 * a text that needs a brace of its own does not exist.
 */
export type Fill = Readonly<Record<string, string | number>>;

/** Writes a text with what its braces ask for. */
export type Writer = (fill?: Fill) => string;

type Part = (fill: Fill, count: string) => string;

/** Reads a text in the language of that tag. A text that is not well formed is an error. */
export function read(text: string, tag: string): Writer {
  const reader = new Reader(text, tag);
  const whole = reader.parts(false);
  if (!reader.atEnd) throw new SyntaxError(`a brace too many: ${text}`);
  return (fill = {}) => whole(fill, "#");
}

class Reader {
  #at = 0;
  readonly #plurals: Intl.PluralRules;
  readonly #numbers: Intl.NumberFormat;

  constructor(
    readonly text: string,
    tag: string,
  ) {
    this.#plurals = new Intl.PluralRules(tag);
    this.#numbers = new Intl.NumberFormat(tag);
  }

  get atEnd(): boolean {
    return this.#at >= this.text.length;
  }

  /** Everything until the brace that closes, or the end. Within a plural # is its count. */
  parts(counted: boolean): Part {
    const all: Part[] = [];
    while (!this.atEnd && this.text[this.#at] !== "}") {
      if (this.#has("{")) all.push(this.#hole(counted));
      else if (counted && this.#has("#")) all.push((_, count) => count);
      else {
        const plain = this.#take(counted ? /[^{}#]+/y : /[^{}]+/y);
        all.push(() => plain);
      }
    }
    return (fill, count) => all.map((part) => part(fill, count)).join("");
  }

  /** What stands in braces, behind the first of them. */
  #hole(counted: boolean): Part {
    const name = this.#take(/\s*\w+\s*/y);
    if (this.#has("}")) return (fill) => String(fill[name] ?? "");
    this.#want(",");
    const kind = this.#take(/\s*(?:plural|select)\s*/y);
    this.#want(",");
    const ways = this.#ways(counted || kind === "plural");
    const other = ways.get("other");
    if (!other) throw new SyntaxError(`no other: ${this.text}`);
    if (kind === "select") return (fill, count) => (ways.get(String(fill[name])) ?? other)(fill, count);
    return (fill) => {
      const n = Number(fill[name]);
      return (ways.get(`=${n}`) ?? ways.get(this.#plurals.select(n)) ?? other)(fill, this.#numbers.format(n));
    };
  }

  #ways(counted: boolean): Map<string, Part> {
    const ways = new Map<string, Part>();
    while (!this.#has("}")) {
      const key = this.#take(/\s*[=\w-]+\s*/y);
      this.#want("{");
      ways.set(key, this.parts(counted));
      this.#want("}");
      this.#take(/\s*/y);
    }
    return ways;
  }

  #has(sign: string): boolean {
    if (this.text[this.#at] !== sign) return false;
    this.#at++;
    return true;
  }

  #want(sign: string): void {
    if (!this.#has(sign)) throw new SyntaxError(`no ${sign} at ${this.#at}: ${this.text}`);
  }

  /** Takes what fits here; spaces around a word do not count, those of a text do. */
  #take(pattern: RegExp): string {
    pattern.lastIndex = this.#at;
    const found = pattern.exec(this.text)?.[0];
    if (found === undefined) throw new SyntaxError(`unexpected at ${this.#at}: ${this.text}`);
    this.#at += found.length;
    return pattern.source.startsWith("[^") ? found : found.trim();
  }
}
