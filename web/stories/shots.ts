/// <reference types="node" />
/**
 * Makes the pictures of the README, docs/shots/{light,dark,phone}.png:
 *
 *   PARLEY_BIN=../bin/parley npx vitest run --config stories/tools.config.ts shots
 */
import { mkdir, stat } from "node:fs/promises";
import { expect } from "vitest";
import { Caller } from "./caller";
import { type Person, story, type World } from "./harness";
import type { Tab } from "./tab";

const people = {
  mara: "Mara Lindqvist",
  tomas: "Tomás Oliveira",
  yuki: "Yuki Tanaka",
  priya: "Priya Nair",
  jonas: "Jonas Weber",
  salma: "سلمى حداد",
} as const;
type Who = keyof typeof people;

/** What was said in the group, before and while Mara looks. */
const garden: readonly (readonly [Who, string])[] = [
  ["tomas", "Morning all. The water butt behind the shed is full again, so no excuses for the tomatoes 🍅"],
  ["yuki", "I was there at seven. The **second bed** could do with mulch, otherwise everything is fine."],
  ["yuki", "And somebody left the gate open. Again."],
  ["priya", "Not me this time!"],
  ["mara", "Me, I think. Sorry 🙈 I had both arms full of rhubarb."],
  ["tomas", "Forgiven if there is cake."],
  ["mara", "There will be cake."],
  ["priya", "> There will be cake.\n\nScreenshot taken."],
  ["jonas", "The council wrote: the hedge *may* go down to 1.20 m, but not before October. The letter is at https://allotment14.example/hedge"],
  ["mara", "Then let us do it on the first Saturday. I bring the long shears."],
];
const live: readonly (readonly [Who, string])[] = [
  ["yuki", "I bring gloves for everybody."],
  ["priya", "And I bring tea. See you on Saturday 🌿"],
];

/** The rest of Mara's list: who, and what they said to each other last; what she has not read yet is fresh. */
const others: readonly { title?: string; with: readonly Who[]; fresh?: true; says: readonly (readonly [Who, string])[] }[] = [
  { with: ["salma"], says: [["salma", "صباح الخير! هل وصلت الرسالة؟"], ["mara", "وصلت، شكراً!"]] },
  { with: ["jonas"], says: [["mara", "Did the parcel come?"], ["jonas", "It did. Will bring it on Saturday."]] },
  { title: "Choir, altos", with: ["priya", "salma"], says: [["priya", "Rehearsal is at 19:30 from now on, in the small hall."]] },
  { title: "Stairwell 3", fresh: true, with: ["tomas", "jonas", "yuki"], says: [["jonas", "The lift is being repaired on Tuesday."], ["tomas", "Third time this year …"]] },
  { with: ["yuki"], fresh: true, says: [["yuki", "Could you water my basil until Sunday?"], ["mara", "Of course. Key under the pot?"], ["yuki", "Under the *other* pot."]] },
];

/** Everything that was said, and Mara at her desk. */
async function told(w: World, options: Parameters<World["person"]>[1] = {}): Promise<{ mara: Person; tell: (lines: typeof live) => Promise<void> }> {
  const mara = await w.visitor(people.mara, options);
  const callers = new Map<Who, Caller>();
  for (const [who, name] of Object.entries(people) as [Who, string][]) {
    const caller = await Caller.come(w.server, w.handle(who), name);
    if (!caller) throw new Error(`${name} was refused`);
    callers.set(who, caller);
  }
  const handle = (who: Who) => callers.get(who)?.handle ?? "";
  let said = 0;
  const say = async (conversation: string | undefined, lines: typeof live) => {
    for (const [who, text] of lines) await callers.get(who)?.say(conversation ?? "", `shot-${said++}`, text);
  };
  for (const other of [...others].reverse()) {
    const id = await callers.get("mara")?.converse({ kind: other.title ? "group" : "direct", ...(other.title && { title: other.title }), members: other.with.map(handle) });
    await say(id, other.says);
    for (const who of other.with) await callers.get(who)?.read(id ?? "");
    if (!other.fresh) await callers.get("mara")?.read(id ?? "");
  }
  const group = await callers.get("mara")?.converse({ kind: "group", title: "Allotment 14", members: ["tomas", "yuki", "priya", "jonas"].map((who) => handle(who as Who)) });
  await say(group, garden);
  for (const who of ["mara", "tomas", "yuki", "priya", "jonas"] as const) await callers.get(who)?.read(group ?? "");
  await mara.tab.goto();
  await mara.tab.signIn({ handle: handle("mara"), password: callers.get("mara")?.password ?? "" });
  await mara.tab.inside();
  return { mara, tell: (lines) => say(group, lines) };
}

async function kept(tab: Tab, name: string): Promise<void> {
  const dir = new URL("../../docs/shots/", import.meta.url).pathname;
  await mkdir(dir, { recursive: true });
  await tab.page.evaluate(() => Promise.allSettled(document.getAnimations().map((a) => a.finished)));
  await tab.page.screenshot({ path: `${dir}${name}.png`, animations: "disabled", caret: "hide" });
  expect((await stat(`${dir}${name}.png`)).size).toBeLessThanOrEqual(150 << 10);
}

async function seen(tab: Tab, tell: (lines: typeof live) => Promise<void>): Promise<void> {
  await tab.open("Allotment 14");
  await tab.receipt("Then let us do it on the first Saturday. I bring the long shears.", "Read").waitFor();
  await tell(live);
  await tab.articles.filter({ hasText: "I bring tea" }).waitFor();
}

for (const colorScheme of ["light", "dark"] as const) {
  story(colorScheme, async (w) => {
    const { mara, tell } = await told(w, { colorScheme, viewport: { width: 1120, height: 720 } });
    await seen(mara.tab, tell);
    await mara.tab.composer.fill(colorScheme === "dark" ? "" : "Then I know what to bake");
    await kept(mara.tab, colorScheme);
  });
}

story("phone", async (w) => {
  const { mara, tell } = await told(w, { viewport: { width: 390, height: 780 }, deviceScaleFactor: 1.5, hasTouch: true, isMobile: true });
  await seen(mara.tab, tell);
  await kept(mara.tab, "phone");
});
