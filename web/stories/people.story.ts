/// <reference types="node" />
/** What people do with messages and with each other. */
import { text } from "node:stream/consumers";
import { deflateSync, crc32 } from "node:zlib";
import { expect } from "vitest";
import { soon, story } from "./harness";

story("a message is edited, answered, felt about, pinned and deleted, and both see it", async (w) => {
  const [ada, bo] = await Promise.all([w.person("Ada"), w.person("Bo")]);
  await ada.tab.startDirect(bo.handle, "Bo");
  await ada.tab.sayAndSee("Lunch at won?");
  await bo.tab.open("Ada");
  await bo.tab.message("Lunch at won?").waitFor();

  await ada.tab.composer.press("ArrowUp");
  await expect.poll(() => ada.tab.composer.inputValue(), { timeout: soon }).toBe("Lunch at won?");
  await ada.tab.composer.fill("Lunch at one?");
  await ada.tab.composer.press("Enter");
  for (const { tab } of [ada, bo]) {
    await tab.message("Lunch at one?").waitFor();
    await tab.message("Lunch at one?").getByText("edited").waitFor();
  }

  await bo.tab.act("Lunch at one?", "Reply");
  await bo.tab.sayAndSee("Gladly.");
  await ada.tab.message("Gladly.").getByRole("button", { name: "In reply to You: Lunch at one?" }).waitFor();

  await bo.tab.react("Lunch at one?", "👍");
  await ada.tab.message("Lunch at one?").getByRole("button", { name: "👍, by Bo" }).waitFor();

  await ada.tab.act("Gladly.", "Pin");
  for (const { tab } of [ada, bo]) await tab.page.getByRole("region", { name: "Pinned message" }).getByText("Gladly.").waitFor();

  await ada.tab.act("Lunch at one?", "Delete for everyone");
  await ada.tab.button("Delete for everyone", ada.tab.dialog("Delete for everyone")).click();
  for (const { tab } of [ada, bo]) {
    await tab.articles.getByText("This message was deleted").first().waitFor();
    await expect.poll(() => tab.texts(), { timeout: soon }).toEqual(["This message was deleted", "Gladly."]);
  }
});

story("what is done to messages without a network is done when there is one", async (w) => {
  const [ada, bo] = await Promise.all([w.person("Ada"), w.person("Bo")]);
  await ada.tab.startDirect(bo.handle, "Bo");
  await ada.tab.sayAndSee("one");
  await ada.tab.sayAndSee("two");
  await bo.tab.open("Ada");
  await ada.context.setOffline(true);
  await ada.tab.act("one", "Edit");
  await ada.tab.composer.fill("one, mended");
  await ada.tab.composer.press("Enter");
  await ada.tab.message("one, mended").waitFor();
  await ada.tab.react("two", "❤️");
  expect(await bo.tab.texts()).toEqual(["one", "two"]);
  await ada.context.setOffline(false);
  await bo.tab.message("one, mended").waitFor();
  await bo.tab.message("two").getByRole("button", { name: "❤️, by Ada" }).waitFor();
}, { allow: [/net::ERR_/] });

story("deleted for me is gone from my devices, and from nobody else's", async (w) => {
  const [ada, bo] = await Promise.all([w.person("Ada"), w.person("Bo")]);
  await ada.tab.startDirect(bo.handle, "Bo");
  await ada.tab.sayAndSee("keep");
  await ada.tab.sayAndSee("forget");
  await bo.tab.open("Ada");
  await bo.tab.message("forget").waitFor();
  await bo.tab.act("forget", "Delete for me");
  await bo.tab.shows(["keep"]);
  const again = await w.device(bo);
  await again.tab.open("Ada");
  await again.tab.shows(["keep"]);
  await ada.tab.shows(["keep", "forget"]);
});

story("a group: roles, a name, a link to join by, and a goodbye", async (w) => {
  const [ada, bo, cleo] = await Promise.all([w.person("Ada"), w.person("Bo"), w.person("Cleo")]);
  await ada.tab.createGroup("Picnic", [bo.handle]);
  await bo.tab.open("Picnic");
  await ada.tab.button("Members").click();
  const panel = ada.tab.dialog("Members");
  await ada.tab.button("What Bo may do", panel).click();
  await ada.tab.page.getByRole("menuitem", { name: "Make admin" }).click();
  await panel.getByText("Admin", { exact: true }).waitFor();
  await ada.tab.field("Group name", panel).fill("Picnic by the lake");
  await ada.tab.button("Rename", panel).click();
  await ada.tab.button("Show invite links", panel).click();
  await ada.tab.button("Create link", panel).click();
  const link = await panel.getByRole("textbox", { name: "Link of the invite" }).inputValue();
  await bo.tab.heading("Picnic by the lake").waitFor();
  await bo.tab.log.getByText("Ada made Bo admin").waitFor();

  await cleo.tab.goto(link.slice(link.indexOf("#")));
  await cleo.tab.page.getByRole("heading", { level: 1, name: "Join a group" }).waitFor();
  await cleo.tab.page.getByText("Picnic by the lake").waitFor();
  await cleo.tab.button("Join").click();
  await cleo.tab.heading("Picnic by the lake").waitFor();
  await cleo.tab.sayAndSee("Hello!");
  await bo.tab.message("Hello!").waitFor();
  await bo.tab.log.getByText("Cleo joined by a link").waitFor();

  await cleo.tab.more("Leave the group");
  await cleo.tab.button("Leave the group", cleo.tab.dialog("Leave the group")).click();
  await cleo.tab.page.getByText("You are no longer a member of this group.", { exact: false }).waitFor();
  await bo.tab.log.getByText("Cleo left").waitFor();
});

story("a mention is completed, calls by name, and is counted apart", async (w) => {
  const [ada, bo] = await Promise.all([w.person("Ada"), w.person("Bo"), w.person("Cleo")]);
  const cleo = await w.person("Cleo");
  await ada.tab.createGroup("Choir", [bo.handle, cleo.handle]);
  await ada.tab.composer.pressSequentially("Hello @bo");
  await ada.tab.page.getByRole("listbox", { name: "Mention somebody" }).getByRole("option", { name: /Bo/ }).click();
  await ada.tab.composer.press("Enter");
  await bo.tab.row("Choir").getByText("mentions you").waitFor();
  await bo.tab.open("Choir");
  await bo.tab.message("Hello @Bo").waitFor();
  await cleo.tab.open("Choir");
  expect(await cleo.tab.row("Choir").getByText("mentions you").count()).toBe(0);
});

story("a stranger asks, is let in, and is blocked again", async (w) => {
  const [ada, bo] = await Promise.all([w.person("Ada"), w.person("Bo")]);
  await ada.tab.startDirect(bo.handle, "Bo");
  await ada.tab.sayAndSee("You do not know me.");
  await bo.tab.side.getByRole("button", { name: /^Message requests/ }).or(bo.tab.row("Ada")).first().waitFor();
  await bo.tab.row("Ada").click(); // nobody else wrote: it is there at once
  await bo.tab.page.getByText("Ada would like to write to you.", { exact: false }).waitFor();
  await bo.tab.button("Accept").click();
  await bo.tab.sayAndSee("Now I do.");
  await ada.tab.message("Now I do.").waitFor();
  await bo.tab.more("Block");
  await bo.tab.page.getByText("You block Ada.", { exact: false }).waitFor();
  await ada.tab.say("Are you there?");
  await ada.tab.receipt("Are you there?", "Sent").waitFor(); // nothing tells that it was kept from Bo
  await bo.tab.shows(["You do not know me.", "Now I do."]);
  await bo.tab.button("Unblock").click();
  await bo.tab.composer.waitFor();
});

story("typing and being here are seen for a moment, and not by who shows neither", async (w) => {
  const [ada, bo] = await Promise.all([w.person("Ada"), w.person("Bo")]);
  await ada.tab.startDirect(bo.handle, "Bo");
  await ada.tab.sayAndSee("hi");
  await bo.tab.open("Ada");
  await bo.tab.sayAndSee("hi yourself");
  await bo.tab.main.getByText("Online", { exact: true }).waitFor();
  const heard = ada.tab.main.getByText("typing…", { exact: true }).waitFor();
  await bo.tab.composer.pressSequentially("thinking aloud", { delay: 300 });
  await heard;
  await ada.tab.main.getByText("typing…", { exact: true }).waitFor({ state: "hidden" });
});

story("a draft goes along to another device", async (w) => {
  const [ada, bo] = await Promise.all([w.person("Ada"), w.person("Bo")]);
  await ada.tab.startDirect(bo.handle, "Bo");
  await ada.tab.sayAndSee("hi");
  await ada.tab.composer.fill("half a thought");
  const again = await w.device(ada);
  await again.tab.row("Bo").getByText("half a thought").waitFor();
  await again.tab.open("Bo");
  expect(await again.tab.composer.inputValue()).toBe("half a thought");
});

story("search finds on the device and on the server, and leads there", async (w) => {
  const [ada, bo] = await Promise.all([w.person("Ada"), w.person("Bo")]);
  await ada.tab.startDirect(bo.handle, "Bo");
  await ada.tab.sayAndSee("The watering can is in the shed");
  for (let i = 0; i < 5; i++) await ada.tab.sayAndSee(`filler ${i}`);
  await ada.tab.search.fill("watering");
  await ada.tab.page.getByRole("button", { name: "Search messages for “watering”" }).click();
  const dialog = ada.tab.dialog("Search messages");
  await dialog.getByRole("button", { name: /watering can is in the shed/ }).click();
  await dialog.waitFor({ state: "hidden" });
  await ada.tab.message("The watering can is in the shed").waitFor();
});

story("a profile: a status, and what others may see", async (w) => {
  const [ada, bo] = await Promise.all([w.person("Ada"), w.person("Bo")]);
  await ada.tab.settings();
  const settings = ada.tab.dialog("Settings");
  await ada.tab.field("Status", settings).fill("In the garden");
  await ada.tab.button("Save", settings).click();
  await settings.getByText("Saved").first().waitFor();
  await settings.getByRole("switch", { name: "Read receipts" }).click();
  await ada.tab.button("Close", settings).click();
  await ada.tab.startDirect(bo.handle, "Bo");
  await ada.tab.sayAndSee("hi");
  await bo.tab.open("Ada");
  await bo.tab.sayAndSee("hi yourself");
  await bo.tab.more("Profile");
  await bo.tab.dialog("Profile").getByText("In the garden").waitFor();
  await ada.tab.message("hi yourself").waitFor();
  await bo.tab.page.keyboard.press("Escape");
  await bo.tab.receipt("hi yourself", "Delivered").waitFor(); // Ada has read it, and does not tell
});

/** A picture of one colour, as PNG. */
function png(side: number): Buffer {
  const chunk = (type: string, data: Buffer) => {
    const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
    const [length, sum] = [Buffer.alloc(4), Buffer.alloc(4)];
    length.writeUInt32BE(data.length);
    sum.writeUInt32BE(crc32(body));
    return Buffer.concat([length, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(side, 0);
  head.writeUInt32BE(side, 4);
  head.set([8, 2], 8); // eight bits of each of three colours
  const line = Buffer.alloc(1 + 3 * side, 0x99);
  line[0] = 0;
  const pixels = deflateSync(Buffer.concat(Array.from({ length: side }, () => line)));
  return Buffer.concat([Buffer.from("89504e470d0a1a0a", "hex"), chunk("IHDR", head), chunk("IDAT", pixels), chunk("IEND", Buffer.alloc(0))]);
}

story("a picture is put up, others see it, and it is taken away", async (w) => {
  const [ada, bo] = await Promise.all([w.person("Ada"), w.person("Bo")]);
  await ada.tab.startDirect(bo.handle, "Bo");
  await ada.tab.sayAndSee("hi");
  await bo.tab.open("Ada");
  await ada.tab.settings();
  const settings = ada.tab.dialog("Settings");
  const field = settings.locator("input[type=file]");
  await field.setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("no picture") });
  await settings.getByRole("alert").filter({ hasText: /\S/ }).waitFor();
  await field.setInputFiles({ name: "me.png", mimeType: "image/png", buffer: png(300) });
  await ada.tab.button("Remove picture", settings).waitFor();
  const drawn = () => [...document.querySelectorAll<HTMLImageElement>("img")].some((img) => img.complete && img.naturalWidth > 0);
  await ada.tab.until(drawn);
  await bo.tab.page.reload();
  await bo.tab.until(drawn);
  await ada.tab.button("Remove picture", settings).click();
  await ada.tab.button("Remove picture", settings).waitFor({ state: "hidden" });
});

story("a bot is made, and its token is shown once", async (w) => {
  const ada = await w.person("Ada");
  await ada.tab.settings();
  const settings = ada.tab.dialog("Settings");
  const handle = `bot${ada.handle}`.slice(0, 20);
  await ada.tab.field("Bot’s handle", settings).fill(handle);
  await ada.tab.button("Create bot", settings).click();
  const token = settings.getByRole("textbox", { name: /^Token of/ });
  expect((await token.inputValue()).length).toBeGreaterThan(20);
  await settings.getByText("This is shown once. Copy it now.").waitFor();
  await ada.tab.button("Close", settings).click();
  await ada.tab.settings();
  await settings.getByRole("list", { name: "Bots" }).getByText(`@${handle}`).waitFor();
  expect(await token.count()).toBe(0);
});

story("a message is forwarded, and says that it was", async (w) => {
  const [ada, bo, cleo] = await Promise.all([w.person("Ada"), w.person("Bo"), w.person("Cleo")]);
  await ada.tab.startDirect(cleo.handle, "Cleo");
  await ada.tab.sayAndSee("hi");
  await ada.tab.startDirect(bo.handle, "Bo");
  await ada.tab.sayAndSee("The key is under the mat");
  await ada.tab.act("The key is under the mat", "Forward");
  await ada.tab.dialog("Forward to").getByRole("button", { name: "Cleo" }).click();
  await ada.tab.heading("Cleo").waitFor(); // it leads there
  await cleo.tab.open("Ada");
  await cleo.tab.message("The key is under the mat").getByText("Forwarded").waitFor();
});

story("contacts are saved as a file", async (w) => {
  const [ada, bo] = await Promise.all([w.person("Ada"), w.person("Bo")]);
  await ada.tab.startDirect(bo.handle, "Bo");
  await ada.tab.sayAndSee("hi");
  await bo.tab.open("Ada"); // lets her in: she is among his contacts
  await bo.tab.button("Contacts", bo.tab.side).click();
  const dialog = bo.tab.dialog("Contacts");
  await dialog.getByRole("listitem").filter({ hasText: `@${ada.handle}` }).waitFor();
  const [file] = await Promise.all([bo.tab.page.waitForEvent("download"), dialog.getByRole("button", { name: /JSON/ }).click()]);
  expect(await text(await file.createReadStream())).toContain(ada.handle);
});
