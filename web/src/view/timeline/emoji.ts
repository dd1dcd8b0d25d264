/** Emoji: the few that are offered, and messages that are nothing else. */

/** The common ones, in the order in which people know them: faces, hands, hearts, things. */
export const offered: readonly string[] = [
  ..."😀😃😄😁😆😅😂🤣😊🙂😉😍🥰😘😋😎🤩🥳🤔🤨😐🙄😏😬😴😷🤒🥺😢😭😤😡🤯😱😳🥵🥶😇🤗🤭🤫🙃😜🤓💀👻🤖",
  ..."👍👎👌🤞🤝👏🙌🙏💪👋🤷🤦👀",
  "❤️",
  ..."🧡💛💚💙💜🖤💔💯🔥✨🎉🎂🎁☕🍕🍺🌞🌈⭐🚀✅❌❓❗",
];

/** So many stand alone at most and are shown large. */
const most = 6;

const one = /^(?:\p{RI}{2}|[0-9#*]\ufe0f?\u20e3|(?=[^0-9#*])\p{Emoji}(?:\p{EMod}|\ufe0f)?(?:\u200d\p{Emoji}(?:\p{EMod}|\ufe0f)?)*[\u{e0020}-\u{e007f}]*)$/u;

/** Whether a text is one to six emoji and nothing else. */
export function onlyEmoji(text: string): boolean {
  const bare = text.trim();
  if (bare === "" || bare.length > most * 16) return false;
  let count = 0;
  for (const { segment } of new Intl.Segmenter().segment(bare)) {
    if (segment.trim() === "") continue;
    if (++count > most || !isEmoji(segment)) return false;
  }
  return count > 0;
}

/** Whether one character, as people count, is an emoji. A sign that is text unless said otherwise (©, ↔) is none. */
function isEmoji(segment: string): boolean {
  return one.test(segment) && (/\p{EPres}|\p{RI}|\ufe0f|\u20e3/u.test(segment) || /\p{ExtPict}\p{EMod}/u.test(segment));
}
