/** Bytes of a reaction. */
export const MaxReaction = 64;
