/** Bare addresses in a text: what begins with http://, https://, mailto: or www., and e-mail addresses. */

export interface Link {
  readonly raw: string; // as it was written
  readonly href: string; // where it leads: http, https or mailto, nothing else
}

const begins = String.raw`(?<![\p{L}\p{N}_])(?:https?:\/\/|mailto:|www\.)(?=[^\s<>])|(?<![\p{L}\p{N}._+-])[\w.+-]{1,64}@(?=[a-z\d])`;

/** Where an address may begin. Every part of it is bounded, so that a search takes a time that grows with the text's length alone. */
export const linkStart = new RegExp(begins, "giu");

const address = /(?:https?:\/\/|www\.)[^\s<>"\u2066-\u2069\u202a-\u202e]{1,2048}/iy;
const mail = /(?:mailto:)?[\w.+-]{1,64}@[a-z\d-]{1,63}(?:\.[a-z\d-]{1,63}){1,8}/iy;

/** The link that text begins with, if it begins with one. The caller has made sure, by linkStart, that a link may begin there. */
export function linkAt(text: string): Link | undefined {
  address.lastIndex = 0;
  const found = address.exec(text);
  if (found !== null) {
    const raw = clipped(found[0]);
    const href = safe(/^www\./i.test(raw) ? `https://${raw}` : raw);
    return href !== undefined && raw.length > 4 ? { raw, href } : undefined;
  }
  mail.lastIndex = 0;
  const raw = mail.exec(text)?.[0].replace(/[-.]+$/, "");
  const href = raw !== undefined && safe(/^mailto:/i.test(raw) ? raw : `mailto:${raw}`);
  return raw !== undefined && href ? { raw, href } : undefined;
}

/** Where an address leads to, or undefined if a message may not lead there. */
export function safe(href: string): string | undefined {
  if (!URL.canParse(href)) return undefined;
  const url = new URL(href);
  return url.protocol === "http:" || url.protocol === "https:" || url.protocol === "mailto:" ? url.href : undefined;
}

/** Without the punctuation at its end, which is the sentence's and not the address's; a closing bracket stays if it was opened within. */
function clipped(raw: string): string {
  let opened = 0;
  for (const c of raw) opened += c === "(" ? 1 : c === ")" ? -1 : 0;
  let end = raw.length;
  for (; end > 0; end--) {
    const c = raw[end - 1]!;
    if (c === ")" && opened < 0) opened++;
    else if (!/[.,:;!?*_~'"”’»…]/.test(c)) break;
  }
  return raw.slice(0, end);
}
