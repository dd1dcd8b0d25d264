import type en from "./en";

/** The texts of an open conversation in German. */
const de: Record<keyof typeof en, string> = {
  "timeline.back": "Zurück",
  "timeline.members": "Mitglieder",
  "timeline.memberCount": "{count, plural, one {# Mitglied} other {# Mitglieder}}",
  "timeline.yourself": "Notizen an dich selbst",
  "timeline.you": "Du",
  "timeline.isYou": "{name} (du)",
  "timeline.owner": "Inhaber",
  "timeline.admin": "Verwaltung",
  "timeline.membersUnknown": "Die Liste der Mitglieder ist noch nicht auf diesem Gerät. Sie kommt mit der nächsten Verbindung.",

  "timeline.messages": "Nachrichten",
  "timeline.opening": "Die Unterhaltung wird geöffnet …",
  "timeline.loading": "Ältere Nachrichten werden geladen …",
  "timeline.stuck": "Ältere Nachrichten konnten nicht geladen werden. {reason}",
  "timeline.tryAgain": "Noch einmal versuchen",
  "timeline.new": "Neue Nachrichten",
  "timeline.empty": "Hier steht noch nichts. Sag hallo.",
  "timeline.jump": "Zur neuesten Nachricht",
  "timeline.jumpCount": "Zur neuesten Nachricht, {count, plural, one {# neue Nachricht} other {# neue Nachrichten}}",

  "timeline.deleted": "Diese Nachricht wurde gelöscht",
  "timeline.unknown": "Diese Art von Nachricht kann hier nicht angezeigt werden",
  "timeline.writtenEarlier": "Früher geschrieben, ohne Netz",
  "timeline.writtenAt": "Geschrieben {time}",

  "timeline.pending": "Wartet auf den Versand",
  "timeline.failed": "Nicht gesendet",
  "timeline.sent": "Gesendet",
  "timeline.delivered": "Zugestellt",
  "timeline.read": "Gelesen",
  "timeline.sendAgain": "Erneut senden",
  "timeline.discard": "Verwerfen",
  "timeline.failedForbidden": "Du darfst hier nicht schreiben.",
  "timeline.failedLarge": "Sie ist zu lang für diesen Server: sende sie noch einmal in Teilen.",
  "timeline.failedGone": "Du bist kein Mitglied dieser Unterhaltung mehr.",

  "timeline.created": "{self, select, yes {Du hast} other {{by} hat}} die Unterhaltung begonnen",
  "timeline.createdGroup": "{self, select, yes {Du hast} other {{by} hat}} die Gruppe „{title}“ erstellt",
  "timeline.createdWith": "{self, select, yes {Du hast} other {{by} hat}} die Gruppe mit {people} erstellt",
  "timeline.createdGroupWith": "{self, select, yes {Du hast} other {{by} hat}} die Gruppe „{title}“ mit {people} erstellt",
  "timeline.added": "{self, select, yes {Du hast} other {{by} hat}} {people} hinzugefügt",
  "timeline.membersChanged": "Die Mitglieder haben sich geändert",
  "timeline.titled": "{self, select, yes {Du hast} other {{by} hat}} die Gruppe „{title}“ genannt",
  "timeline.untitled": "{self, select, yes {Du hast} other {{by} hat}} den Namen der Gruppe entfernt",
  "timeline.withheld": "Eine Nachricht, die du nicht sehen kannst",
  "timeline.other": "Hier ist etwas geschehen, das diese Version nicht zeigen kann",
  "timeline.somebody": "Jemand",

  "composer.message": "Nachricht",
  "composer.send": "Senden",
  "composer.left": "{count, plural, one {Noch # Zeichen} other {Noch # Zeichen}}",
  "composer.over": "{count, plural, one {# Zeichen zu viel} other {# Zeichen zu viel}}",
  "composer.split": "{count, plural, one {Als # Nachricht senden} other {Als # Nachrichten senden}}",
  "composer.emoji": "Emoji",
  "composer.chooseEmoji": "Emoji auswählen",
};

export default de;
