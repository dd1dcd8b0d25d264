/// <reference types="node" />
/**
 * S6: whatever people are called and whatever they say is shown as text. No script runs, no dialog opens, no request leaves the origin
 * (the harness sees to that in every story), and the page keeps its shape.
 */
import { expect } from "vitest";
import { Caller } from "./caller";
import { harmless, hostile, hostileNames } from "./hostile";
import { type Person, soon, story, type Tab, type World } from "./harness";

/** Somebody whose name is perhaps refused. */
function villain(w: World, name: string, handle = w.handle("villain")): Promise<Caller | undefined> {
  return Caller.come(w.server, handle, name);
}

/** Somebody whose name is not. */
async function known(w: World): Promise<Caller> {
  const one = await villain(w, "Villain");
  if (!one) throw new Error("the villain was refused");
  return one;
}

/** Somebody in whose page canary() is heard. */
async function victim(w: World): Promise<Person> {
  const ada = await w.visitor("Ada");
  await ada.context.addInitScript(() => {
    Object.assign(globalThis, { canary: () => console.error("a script of somebody else ran") });
  });
  await ada.tab.goto();
  await ada.tab.button("Create an account").click();
  await ada.tab.signUp({ ...ada });
  await ada.tab.inside();
  return ada;
}

/** Looks for what no text may have made. */
async function clean(tab: Tab): Promise<void> {
  const strange = await tab.page.evaluate(() => {
    const found = [...document.querySelectorAll("iframe, object, embed, base, template, script:not([src]), meta[http-equiv], form[action], video, math")];
    for (const el of document.querySelectorAll("*")) {
      if ([...el.attributes].some((a) => /^on/i.test(a.name) || a.name === "srcdoc" || /^\s*javascript:/i.test(a.value))) found.push(el);
      if (el instanceof HTMLImageElement && !/^(data|blob):/.test(el.src) && new URL(el.src).origin !== location.origin) found.push(el);
    }
    return found.map((el) => el.outerHTML.slice(0, 200));
  });
  expect(strange).toEqual([]);
  const polluted = await tab.page.evaluate(() => ({}) as { polluted?: boolean }).then((o) => o.polluted);
  expect(polluted).toBeUndefined();
  const [wide, window] = await tab.page.evaluate(() => [document.documentElement.scrollWidth, innerWidth] as const);
  expect(wide).toBeLessThanOrEqual(window);
}

/** What is wrong with how a message is shown. */
function faultsOf(seen: Seen | undefined, text: string, shown: string): string[] {
  if (!seen) return ["it is not shown"];
  const wrong: string[] = [];
  if (seen.overflow > 1) wrong.push(`${seen.overflow} px wider than its place`);
  if (!seen.isolated) wrong.push("not isolated");
  if (seen.elements.length > 0) wrong.push(`made of ${seen.elements.join(" ")}`);
  for (const link of seen.links) {
    if (!/^(https?:\/\/|mailto:)/.test(link.href)) wrong.push(`a link to ${link.href}`);
    if (!squeezed(text).includes(squeezed(link.shown))) wrong.push(`a link that is not shown as written: ${link.shown}`);
    if (![link.shown, encodeURI(link.shown), addressOf(link.shown)].includes(link.href)) wrong.push(`a link that says ${link.shown} and goes to ${link.href}`);
  }
  if (!harmless.has(text) && squeezed(seen.text) !== squeezed(shown)) wrong.push(`shown as ${JSON.stringify(seen.text.slice(0, 80))}`);
  return wrong;
}

/** An address as the browser writes it. */
const addressOf = (text: string): string => (URL.canParse(text) ? new URL(text).href : "");

/** What is compared: without spaces, and without the joiner that the server's normal form puts between too many marks. */
const squeezed = (text: string) => text.normalize("NFC").replace(/[\s\u034F]+/g, "");

if (hostile.length < 60 || new Set(hostile.map((h) => h.text)).size !== hostile.length) throw new Error("S6 wants at least 60 texts, each once");

story(
  `${hostile.length} hostile texts as messages`,
  async (w) => {
    const ada = await victim(w);
    const eve = await known(w);
    const conversation = (await eve.converse({ kind: "direct", members: [ada.handle] })) ?? "";
    const refused: string[] = [];
    for (const [i, { text }] of hostile.entries()) if (!(await eve.say(conversation, `h-${i}`, text))) refused.push(text);
    expect(refused.length, `refused: ${JSON.stringify(refused)}`).toBeLessThan(5);
    await eve.say(conversation, "h-end", "the end");
    await ada.tab.open("Villain");
    await ada.tab.articles.first().waitFor();
    await ada.tab.toNewest();
    await ada.tab.message("the end").waitFor();

    const seen = await walked(ada.tab, "h-0");
    const wrong: string[] = [];
    for (const [i, { text, shown = text, why }] of hostile.entries()) {
      if (refused.includes(text)) continue;
      for (const complaint of faultsOf(seen.get(`h-${i}`), text, shown)) wrong.push(`${why}: ${complaint}: ${JSON.stringify(text.slice(0, 80))}`);
    }
    expect(wrong).toEqual([]);
    await clean(ada.tab);
    // The page still works.
    await ada.tab.sayAndSee("and so?");
  },
  { within: 120_000 },
);

story(`hostile texts as names and titles, in the list, the heading and the members`, async (w) => {
  const ada = await victim(w);
  const eve = await known(w);
  const shown: string[] = [];
  for (const [i, { text }] of hostileNames.entries()) {
    const id = await eve.converse({ kind: "group", title: text, members: [ada.handle] });
    if (id === undefined) continue;
    await eve.say(id, `t-${i}`, `title ${i}`);
    shown.push(text);
  }
  expect(shown.length).toBeGreaterThan(30);
  // Some of them are people as well.
  for (const { text } of hostileNames.filter((_, i) => i % 6 === 0)) {
    const somebody = await villain(w, text);
    const id = await somebody?.converse({ kind: "direct", members: [ada.handle] });
    if (somebody && id !== undefined && (await somebody.say(id, "n", "it is me"))) shown.push(text);
  }
  let groups = 0;
  for (const text of ["<img src=x onerror=canary()>", "__proto__", "W".repeat(64)]) {
    await ada.tab.search.fill(text);
    await ada.tab.row(text).first().click();
    await ada.tab.heading(text).waitFor();
    await clean(ada.tab);
    if ((await ada.tab.button("Members").count()) === 0) continue; // this one is a person
    groups++;
    await ada.tab.button("Members").click();
    await ada.tab.dialog("Members").getByText("Villain").first().waitFor();
    await ada.tab.page.keyboard.press("Escape");
  }
  expect(groups).toBeGreaterThan(0);
  await ada.tab.search.fill("");
  const titles = await listed(ada.tab);
  expect(shown.filter((text) => !titles.some((title) => squeezed(title).includes(squeezed(text))))).toEqual([]);
  await clean(ada.tab);
});

story("people called __proto__, constructor and -- are people like others", async (w) => {
  const ada = await victim(w);
  for (const handle of ["__proto__", "constructor", "tostring", "--"]) {
    const somebody = await villain(w, handle, handle);
    const id = await somebody?.converse({ kind: "direct", members: [ada.handle] });
    await somebody?.say(id ?? "", "p-1", `I am ${handle}`);
    await ada.tab.open(handle);
    await ada.tab.articles.last().getByText("I am").waitFor();
    await ada.tab.sayAndSee("I see");
  }
  await ada.tab.page.reload();
  await ada.tab.row("__proto__").waitFor();
  await ada.tab.startDirect("constructor");
  await clean(ada.tab);
});

story("hostile texts that one types oneself: drafts, searches, handles, names", async (w) => {
  w.allow(/status of 40[04]/);
  const ada = await victim(w);
  const bo = await w.terminal("bo");
  await ada.tab.startDirect(bo.handle);
  const text = "</textarea><img src=x onerror=canary()>";
  await ada.tab.composer.fill(text);
  const there = ada.tab.conversation();
  await ada.tab.goto("#/");
  await ada.tab.row(bo.handle).getByText(text).waitFor(); // the draft in the list
  await ada.tab.goto(`#/c/${there}`);
  await ada.tab.page.reload();
  await expect.poll(() => ada.tab.composer.inputValue(), { timeout: soon }).toBe(text);
  await ada.tab.search.fill("<svg onload=canary()>");
  await ada.tab.search.fill("(((((([\\");
  await ada.tab.search.fill("");
  const dialog = await ada.tab.newConversation();
  for (const handle of ["<script>canary()</script>", "../../../v1/me", "..", "%2e%2e%2f", "a/b?c#d"]) {
    await ada.tab.field("Handle", dialog).fill(handle);
    await ada.tab.button("Start conversation", dialog).click();
    await ada.tab.alert.first().waitFor();
  }
  await ada.tab.page.keyboard.press("Escape");
  await ada.tab.settings();
  await ada.tab.field("Name").fill("<b onclick=canary()>Ada</b>");
  await ada.tab.button("Save").click();
  await ada.tab.page.reload();
  await clean(ada.tab);
});

story("hostile addresses", async (w) => {
  w.allow(/status of 40[0349]/);
  const ada = await victim(w);
  for (const route of [
    "#/c/<img src=x onerror=canary()>",
    "#/c/__proto__",
    "#/c/..%2f..%2fv1%2fme",
    "#/c/%",
    "#/c/%00",
    "#/c/" + "a".repeat(5000),
    "#/constructor",
    "#/javascript:canary()",
    "#//evil.example/",
    "#/invite/\"><script>canary()</script>",
    "#",
    "?<script>canary()</script>#/",
  ]) {
    await ada.tab.goto(route);
    await ada.tab.inside(); // one is never lost
    await clean(ada.tab);
  }
  const eve = await w.visitor("Eve");
  await eve.context.addInitScript(() => {
    Object.assign(globalThis, { canary: () => console.error("a script of somebody else ran") });
  });
  for (const route of ["#/invite/<svg onload=canary()>", "#/setup/%3Cimg%20src%3Dx%20onerror%3Dcanary()%3E", "#/invite/%"]) {
    await eve.tab.goto(route);
    await eve.tab.page.getByRole("heading", { level: 1 }).waitFor();
    await clean(eve.tab);
  }
});

interface Seen {
  text: string;
  links: { href: string; shown: string }[];
  /** elements that the app's Markdown never makes */
  elements: string[];
  isolated: boolean;
  /** pixels by which something is wider than the messages' place */
  overflow: number;
}

/** Scrolls from the newest message up to the one of that key, and returns every message on the way. */
async function walked(tab: Tab, last: string): Promise<Map<string, Seen>> {
  const seen = await tab.log.evaluate(async (log, last) => {
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const known = new Set("SPAN STRONG EM B I CODE PRE BLOCKQUOTE A BR P DIV BDI S DEL UL OL LI".split(" "));
    const scrolls = (el: Element) => /auto|scroll/.test(getComputedStyle(el).overflowY) && el.scrollHeight > el.clientHeight;
    let list: Element | null = log.querySelector("article");
    while (list && !scrolls(list)) list = list.parentElement;
    if (!list) throw new Error("nothing scrolls the messages");
    const all: Record<string, Seen> = {};
    const patience = performance.now() + 60_000;
    while (!(last in all)) {
      for (const article of list.querySelectorAll<HTMLElement>("article")) {
        const text = article.querySelector<HTMLElement>(".text");
        const key = article.dataset["key"];
        if (!text || key === undefined) continue;
        const edge = list.getBoundingClientRect();
        let overflow = list.scrollWidth - list.clientWidth;
        for (const el of [text, ...text.querySelectorAll("*")]) {
          // What a code block scrolls within itself is in its place.
          if (el.closest("pre") && el.tagName !== "PRE") continue;
          const box = el.getBoundingClientRect();
          overflow = Math.max(overflow, box.right - edge.right, edge.left - box.left);
        }
        let isolated = false;
        for (let el: Element | null = text.firstElementChild ?? text; el && el !== article.parentElement; el = el.parentElement) {
          if (/isolate|plaintext/.test(getComputedStyle(el).unicodeBidi)) isolated = true;
        }
        all[key] = {
          text: text.textContent ?? "",
          links: [...text.querySelectorAll("a")].map((a) => ({ href: a.getAttribute("href") ?? "", shown: a.textContent ?? "" })),
          elements: [...text.querySelectorAll("*")].filter((el) => !known.has(el.tagName)).map((el) => el.outerHTML.slice(0, 100)),
          isolated,
          overflow,
        };
      }
      list.scrollTop -= list.clientHeight / 2;
      await frame();
      await frame();
      if (performance.now() > patience) throw new Error(`never came to ${last}; saw ${Object.keys(all).length}`);
    }
    return all;
  }, last);
  return new Map(Object.entries(seen));
}

/** What the list says, from its first conversation to its last, however few of them are on the page at once. */
async function listed(tab: Tab): Promise<string[]> {
  await tab.list.getByRole("link").first().waitFor();
  return tab.list.evaluate(async (list) => {
    const frame = () => new Promise((resolve) => requestAnimationFrame(resolve));
    const all = new Set<string>();
    list.scrollTop = 0;
    for (let top = -1; top !== list.scrollTop; ) {
      await frame();
      await frame();
      for (const link of list.querySelectorAll("a")) all.add(link.innerText);
      top = list.scrollTop;
      list.scrollTop += list.clientHeight / 2;
    }
    return [...all];
  });
}
