/** Contacts as files that other programs read. */
import type { Contact } from "../../model/model";

export function asJSON(contacts: readonly Contact[]): string {
  return JSON.stringify(contacts.map(({ person, state }) => ({ handle: person.handle, name: person.name, ...(person.status ? { status: person.status } : {}), state })), null, 2) + "\n";
}

/** vCard 4.0 (RFC 6350). */
export function asVCard(contacts: readonly Contact[], host: string): string {
  return contacts
    .flatMap(({ person }) => ["BEGIN:VCARD", "VERSION:4.0", `FN:${escaped(person.name)}`, `NICKNAME:${escaped(person.handle)}`, `IMPP:x-parley:${person.handle}@${host}`, ...(person.status ? [`NOTE:${escaped(person.status)}`] : []), "END:VCARD", ""].map(folded))
    .join("\r\n");
}

function escaped(text: string): string {
  return text.replace(/[\\,;]/g, "\\$&").replace(/\r\n|[\r\n]/g, "\\n");
}

/** Lines are at most 75 bytes; a line that goes on begins with a space. */
function folded(line: string): string {
  const encoder = new TextEncoder();
  const lines: string[] = [""];
  let bytes = 0;
  for (const character of line) {
    const size = encoder.encode(character).length;
    if (bytes + size > (lines.length === 1 ? 75 : 74)) {
      lines.push("");
      bytes = 0;
    }
    lines[lines.length - 1] += character;
    bytes += size;
  }
  return lines.join("\r\n ");
}
