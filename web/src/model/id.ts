const letters = "0123456789abcdefghjkmnpqrstvwxyz"; // Crockford's

/** A fresh id: the prefix and 128 bits as 26 letters and digits, as package parley makes them. */
export function newID(prefix: string, bytes: (n: number) => Uint8Array): string {
  let id = prefix;
  let held = 0;
  let bits = 0;
  for (const byte of bytes(16)) {
    held = ((held << 8) | byte) & 0xfff;
    for (bits += 8; bits >= 5; bits -= 5) id += letters[(held >> (bits - 5)) & 31];
  }
  return id + letters[(held << (5 - bits)) & 31];
}
