/// <reference types="node" />
/** What a messenger is for. */
import { expect } from "vitest";
import { soon, story } from "./harness";

story("the first message between two browsers", async (w) => {
  const [ada, bo] = await Promise.all([w.person("Ada"), w.person("Bo")]);
  await ada.tab.startDirect(bo.handle, "Bo");
  await ada.tab.say("Lunch at one?");
  await bo.tab.row("Ada").waitFor();
  await bo.tab.open("Ada");
  await bo.tab.message("Lunch at one?").waitFor();
  await bo.tab.say("One it is.");
  await ada.tab.message("One it is.").waitFor();
  for (const { tab } of [ada, bo]) await tab.shows(["Lunch at one?", "One it is."]);
  expect(await ada.tab.message("Lunch at one?").getAttribute("data-mine")).not.toBeNull();
  expect(await bo.tab.message("Lunch at one?").getAttribute("data-mine")).toBeNull();
});

story("sent, delivered, read: the ticks say how far a message got", async (w) => {
  const [ada, bo] = await Promise.all([w.person("Ada"), w.person("Bo")]);
  await ada.tab.startDirect(bo.handle, "Bo");
  await ada.tab.say("Are you there?");
  await ada.tab.receipt("Are you there?", "Delivered").waitFor(); // Bo's device has it, Bo has not looked
  await bo.tab.open("Ada");
  await ada.tab.receipt("Are you there?", "Read").waitFor();

  await bo.context.close();
  await ada.tab.say("Still there?");
  await ada.tab.receipt("Still there?", "Sent").waitFor();
  const again = await w.device(bo);
  await ada.tab.receipt("Still there?", "Delivered").waitFor();
  await again.tab.open("Ada");
  await ada.tab.receipt("Still there?", "Read").waitFor();
});

story("a group of three, one of them at a terminal", async (w) => {
  const [ada, bo, cleo] = await Promise.all([w.person("Ada"), w.person("Bo"), w.terminal("cleo")]);
  await ada.tab.createGroup("Picnic", [bo.handle, cleo.handle]);
  await ada.tab.say("Who brings bread?");
  await bo.tab.open("Picnic");
  await bo.tab.message("Who brings bread?").waitFor();
  await bo.tab.sayAndSee("I do.");
  const picnic = ada.tab.conversation();
  await cleo.send(picnic, "And I the cheese.");
  const all = ["Who brings bread?", "I do.", "And I the cheese."];
  for (const { tab } of [ada, bo]) await tab.shows(all);
  expect(await cleo.texts(picnic)).toEqual(all);

  await ada.tab.button("Members").click();
  const members = ada.tab.dialog("Members");
  for (const who of ["Ada", "Bo", cleo.handle]) await members.getByText(who).first().waitFor();
  await ada.tab.button("Close", members).click();
  await members.waitFor({ state: "hidden" });
});

story("the list: the newest first, found by name", async (w) => {
  const ada = await w.person("Ada");
  const friends = await Promise.all(["bo", "cleo", "dora"].map((name) => w.terminal(name)));
  for (const friend of friends) {
    await friend.send(`@${ada.handle}`, `hello from ${friend.handle}`);
    await ada.tab.row(friend.handle).waitFor();
  }
  const [bo, cleo, dora] = friends.map((f) => f.handle) as [string, string, string];
  const order = async () =>
    (await ada.tab.list.getByRole("link").allInnerTexts()).map((text) => [bo, cleo, dora].find((handle) => text.includes(`hello from ${handle}`)));
  await expect.poll(order, { timeout: soon }).toEqual([dora, cleo, bo]);
  await friends[0]?.send(`@${ada.handle}`, `hello from ${bo}`);
  await expect.poll(order, { timeout: soon }).toEqual([bo, dora, cleo]);

  await ada.tab.search.fill(cleo.toUpperCase());
  await expect.poll(order, { timeout: soon }).toEqual([cleo]);
  await ada.tab.search.fill("nobody at all");
  await expect.poll(() => ada.tab.list.getByRole("link").count(), { timeout: soon }).toBe(0);
  await ada.tab.search.fill("");
  await expect.poll(order, { timeout: soon }).toEqual([bo, dora, cleo]);
});

story("unread is counted alike on both devices of a person, and the \"new\" line stands where it began", async (w) => {
  const ada = await w.person("Ada");
  const [laptop, bo] = await Promise.all([w.device(ada), w.terminal("bo")]);
  await ada.tab.startDirect(bo.handle); // a stranger would ask, and not be counted
  await ada.tab.sayAndSee("Write to me");
  await ada.tab.goto();
  for (const text of ["one", "two", "three"]) await bo.send(`@${ada.handle}`, text);
  for (const { tab } of [ada, laptop]) {
    await tab.row(bo.handle).getByText("3 unread").waitFor({ state: "attached" });
    await tab.until(() => document.title.startsWith("(3)"));
  }
  await ada.tab.open(bo.handle);
  await ada.tab.log.getByRole("separator", { name: "New messages" }).waitFor();
  const order = await ada.tab.log.locator("[role=separator], article").allInnerTexts();
  expect(order.findIndex((text) => text.includes("New messages"))).toBeLessThan(order.findIndex((text) => text.includes("one")));
  for (const { tab } of [ada, laptop]) {
    await expect.poll(() => tab.row(bo.handle).getByText(/unread/).count(), { timeout: soon }).toBe(0);
    await tab.until(() => !document.title.startsWith("("));
  }
  expect((await w.terminalOf(ada).then((t) => t.list()))[0]?.unread).toBe(0);
});

story("what one says on one device is on the other, once", async (w) => {
  const ada = await w.person("Ada");
  const [laptop, bo] = await Promise.all([w.device(ada), w.terminal("bo")]);
  await ada.tab.startDirect(bo.handle);
  await ada.tab.sayAndSee("from the phone");
  await laptop.tab.open(bo.handle);
  await laptop.tab.say("from the laptop");
  for (const { tab } of [ada, laptop]) await tab.shows(["from the phone", "from the laptop"]);
  expect(await laptop.tab.message("from the phone").getAttribute("data-mine")).not.toBeNull();
});

story("a draft is kept for each conversation and across reloads", async (w) => {
  const ada = await w.person("Ada");
  const [bo, cleo] = await Promise.all([w.terminal("bo"), w.terminal("cleo")]);
  await ada.tab.startDirect(bo.handle);
  await ada.tab.composer.fill("Dear Bo, what I wanted to");
  await ada.tab.startDirect(cleo.handle);
  expect(await ada.tab.composer.inputValue()).toBe("");
  await ada.tab.composer.fill("Cleo!");
  await ada.tab.row(bo.handle).getByText("Dear Bo").waitFor(); // the list shows what is being written
  await ada.tab.row(bo.handle).click();
  await expect.poll(() => ada.tab.composer.inputValue(), { timeout: soon }).toBe("Dear Bo, what I wanted to");
  await ada.tab.page.reload();
  await expect.poll(() => ada.tab.composer.inputValue(), { timeout: soon }).toBe("Dear Bo, what I wanted to");
  await ada.tab.composer.press("End");
  await ada.tab.composer.pressSequentially(" say");
  await ada.tab.composer.press("Enter");
  await ada.tab.message("Dear Bo, what I wanted to say").waitFor();
  await ada.tab.page.reload();
  await ada.tab.message("Dear Bo, what I wanted to say").waitFor();
  expect(await ada.tab.composer.inputValue()).toBe("");
});

story("Enter sends, Shift+Enter breaks the line, and nothing is sent while an input method composes", async (w) => {
  const ada = await w.person("Ada");
  const bo = await w.terminal("bo");
  await ada.tab.startDirect(bo.handle);
  await ada.tab.composer.press("Enter"); // nothing to say
  await ada.tab.composer.pressSequentially("first");
  await ada.tab.composer.press("Shift+Enter");
  await ada.tab.composer.pressSequentially("second");
  await ada.tab.composer.press("Enter");
  await expect.poll(() => bo.texts(`@${ada.handle}`), { timeout: soon }).toEqual(["first\nsecond"]);
  expect(await ada.tab.articles.locator(".text").first().innerText()).toBe("first\nsecond");
  expect(await ada.tab.composer.evaluate((el) => el === document.activeElement)).toBe(true);

  const devtools = await ada.context.newCDPSession(ada.tab.page);
  await devtools.send("Input.imeSetComposition", { text: "にほ", selectionStart: 2, selectionEnd: 2 });
  await ada.tab.composer.evaluate((el) => el.dispatchEvent(new KeyboardEvent("keydown", { key: "Enter", isComposing: true, bubbles: true, cancelable: true })));
  await devtools.send("Input.insertText", { text: "日本" });
  expect(await ada.tab.composer.inputValue()).toBe("日本");
  await ada.tab.composer.press("Enter");
  await ada.tab.message("日本").waitFor();
  expect(await bo.texts(`@${ada.handle}`)).toEqual(["first\nsecond", "日本"]);
});

story("a paste over the limit is kept whole, counted, and goes out in parts", async (w) => {
  const ada = await w.person("Ada");
  const bo = await w.terminal("bo");
  await ada.tab.startDirect(bo.handle);
  const long = Array.from({ length: 30 }, (_, i) => `Paragraph ${i + 1} of a long story that somebody pasted, ${"and so on ".repeat(4)}end.`).join("\n\n");
  await ada.tab.composer.fill(long.slice(0, 990));
  await ada.tab.status("10 characters left").waitFor();
  await ada.tab.composer.fill(long);
  await ada.tab.status(`${(long.length - 1000).toLocaleString("en-GB")} characters too many`).or(ada.tab.status(`${long.length - 1000} characters too many`)).waitFor();
  expect(await ada.tab.composer.inputValue()).toBe(long);
  await ada.tab.composer.press("Enter");
  expect(await ada.tab.composer.inputValue()).toBe(long); // nothing is cut, nothing is sent
  expect(await ada.tab.articles.count()).toBe(0);
  const parts = ada.tab.page.getByRole("button", { name: /^Send as \d+ messages$/ });
  const n = Number(/\d+/.exec((await parts.textContent()) ?? "")?.[0]);
  await parts.click();
  const said = () => bo.texts(`@${ada.handle}`);
  await expect.poll(async () => (await said().catch(() => [])).length, { timeout: soon }).toBe(n);
  const words = (text: string) => text.split(/\s+/).join(" ");
  expect(words((await said()).join(" "))).toBe(words(long));
  expect(await ada.tab.composer.inputValue()).toBe("");
});

story("an emoji is chosen with the picker", async (w) => {
  const ada = await w.person("Ada");
  const bo = await w.terminal("bo");
  await ada.tab.startDirect(bo.handle);
  await ada.tab.composer.fill("Hooray ");
  await ada.tab.button("Emoji").press("Enter");
  await ada.tab.page.keyboard.press("ArrowRight");
  await ada.tab.page.keyboard.press("Enter");
  await ada.tab.page.keyboard.press("Escape");
  await expect.poll(() => ada.tab.composer.inputValue(), { timeout: soon }).toMatch(/^Hooray \p{Extended_Pictographic}/u);
  await ada.tab.button("Send").click();
  await expect.poll(() => bo.texts(`@${ada.handle}`), { timeout: soon }).toEqual([expect.stringMatching(/^Hooray \p{Extended_Pictographic}/u)]);
});

story("a little Markdown is shown, and only safe links can be clicked", async (w) => {
  const ada = await w.person("Ada");
  const bo = await w.terminal("bo");
  await ada.tab.startDirect(bo.handle);
  await bo.send(`@${ada.handle}`, "**bold** *leaning* `code` and plain");
  const first = ada.tab.articles.nth(0).locator(".text");
  await first.getByText("bold", { exact: true }).waitFor();
  expect(await first.innerText()).toBe("bold leaning code and plain");
  for (const [element, text] of [["strong", "bold"], ["em", "leaning"], ["code", "code"]] as const) {
    expect(await first.locator(element).innerText()).toBe(text);
  }
  await bo.send(`@${ada.handle}`, "> quoted\n\nanswer\n\n```\nfunc main() { return }\n```");
  const second = ada.tab.articles.nth(1).locator(".text");
  expect((await second.locator("blockquote").innerText()).trim()).toBe("quoted");
  expect((await second.locator("pre").innerText()).trim()).toBe("func main() { return }");

  const links = [
    "https://example.org/a?b=c#d",
    "http://127.0.0.1:1/x",
    "mailto:ada@example.org",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "vbscript:x",
    "file:///etc/passwd",
    "[innocent](javascript:alert(1))",
    "<javascript:alert(1)>",
    "https://user:secret@example.org/",
  ];
  await bo.send(`@${ada.handle}`, links.join("\n"));
  const third = ada.tab.articles.nth(2).locator(".text");
  await third.getByRole("link").first().waitFor();
  const found = await third.getByRole("link").evaluateAll((all) => all.map((a) => ({ href: a.getAttribute("href"), rel: a.getAttribute("rel"), target: a.getAttribute("target"), shown: a.textContent })));
  for (const link of found) {
    expect(link.href).toMatch(/^(https?|mailto):/);
    expect(link.rel).toContain("noopener");
    expect(link.rel).toContain("noreferrer");
    expect(link.target).toBe("_blank");
    expect(link.href).toContain(link.shown); // shown as written
  }
  expect(found.map((link) => link.href)).toEqual(expect.arrayContaining(links.slice(0, 3)));
  for (const text of links.slice(3, 9)) expect(await third.innerText()).toContain(text);
});

story("nobody by that handle, and a conversation that is not there, are told", async (w) => {
  w.allow(/status of 404/);
  const ada = await w.person("Ada");
  const dialog = await ada.tab.newConversation();
  await ada.tab.field("Handle", dialog).fill("nobody-of-this-name");
  await ada.tab.button("Start conversation", dialog).click();
  await ada.tab.alert.first().waitFor();
  await ada.tab.page.keyboard.press("Escape");
  await dialog.waitFor({ state: "hidden" });
  expect(await ada.tab.button("New conversation", ada.tab.side).evaluate((el) => el === document.activeElement)).toBe(true);
  await ada.tab.goto("#/c/g00000000000000000000000000");
  await ada.tab.inside();
  await ada.tab.until(() => !document.querySelector("[role=log]") && document.body.innerText.length > 0);
  await ada.tab.startDirect(ada.handle, "Notes to yourself"); // and one can go on
});
