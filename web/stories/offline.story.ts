/// <reference types="node" />
/** Without a network nothing is lost, and nothing is said twice. */
import { expect } from "vitest";
import { soon, story, unreachable } from "./harness";

story(
  "three messages written offline outlive a reload and arrive once each, in order",
  async (w) => {
    const ada = await w.person("Ada");
    const bo = await w.terminal("bo");
    await ada.tab.startDirect(bo.handle);
    await ada.tab.sayAndSee("before");
    await ada.tab.installed();
    await ada.context.setOffline(true);
    await ada.tab.status("Offline").waitFor();
    const texts = ["first, offline", "second, offline", "third, offline"];
    for (const text of texts) {
      await ada.tab.say(text);
      await ada.tab.receipt(text, "Waiting to be sent").waitFor();
    }
    await ada.tab.page.reload();
    await ada.tab.shows(["before", ...texts]);
    for (const text of texts) await ada.tab.receipt(text, "Waiting to be sent").waitFor();
    expect(await bo.texts(`@${ada.handle}`)).toEqual(["before"]);

    await ada.context.setOffline(false);
    for (const text of texts) await ada.tab.receipt(text, "Sent").waitFor();
    expect(await bo.texts(`@${ada.handle}`)).toEqual(["before", ...texts]);
    await ada.tab.shows(["before", ...texts]);
    await ada.tab.page.reload();
    await ada.tab.shows(["before", ...texts]);
  },
  { allow: [unreachable] },
);

story(
  "opened without a network, the app shows conversations and history",
  async (w) => {
    const ada = await w.person("Ada");
    const [bo, cleo] = await Promise.all([w.terminal("bo"), w.terminal("cleo")]);
    await cleo.send(`@${ada.handle}`, "remember the milk");
    await bo.send(`@${ada.handle}`, "remember the bread");
    await ada.tab.open(cleo.handle);
    await ada.tab.message("remember the milk").waitFor();
    await ada.tab.installed();
    await ada.tab.page.close();

    await ada.context.setOffline(true);
    const tab = await w.tab(ada.context);
    await tab.goto();
    await tab.row(cleo.handle).waitFor();
    await tab.side.getByRole("button", { name: /^Message requests/ }).waitFor(); // of Bo, who is a stranger still
    await tab.status("Offline").waitFor();
    await tab.open(cleo.handle);
    await tab.message("remember the milk").waitFor();
    await tab.open(bo.handle); // never opened before: the device had it all the same
    await tab.message("remember the bread").waitFor();
    await tab.settings(); // which comes in another file
  },
  { allow: [unreachable] },
);

story(
  "a message that waited for the network says when it was written",
  async (w) => {
    const ada = await w.person("Ada");
    const bo = await w.terminal("bo");
    await ada.tab.startDirect(bo.handle);
    await ada.tab.sayAndSee("now");
    await ada.context.setOffline(true);
    await ada.tab.status("Offline").waitFor();
    // The page's clock was two hours behind when this was written.
    await ada.tab.page.evaluate(() => {
      const real = Date.now;
      Object.assign(globalThis, { realNow: real });
      Date.now = () => real() - 7_200_000;
    });
    await ada.tab.say("then");
    await ada.tab.receipt("then", "Waiting to be sent").waitFor();
    await ada.tab.page.evaluate(() => {
      Date.now = (globalThis as unknown as { realNow: () => number }).realNow;
    });
    await ada.context.setOffline(false);
    await ada.tab.receipt("then", "Sent").waitFor();
    await ada.tab.message("then").getByText("Written earlier, offline").waitFor();
    expect(await ada.tab.message("now").getByText("Written earlier, offline").count()).toBe(0);
  },
  { allow: [unreachable] },
);

story(
  "signing out while messages wait asks first, and they can be kept",
  async (w) => {
    const ada = await w.person("Ada");
    const bo = await w.terminal("bo");
    await ada.tab.startDirect(bo.handle);
    await ada.tab.sayAndSee("before");
    await ada.context.setOffline(true);
    await ada.tab.status("Offline").waitFor();
    await ada.tab.say("not yet gone");
    await ada.tab.receipt("not yet gone", "Waiting to be sent").waitFor();
    await ada.tab.settings();
    await ada.tab.button("Sign out").click();
    await ada.tab.alert.filter({ hasText: "1 message still waits to be sent" }).waitFor();
    await ada.tab.button("Stay signed in").click();
    await ada.tab.page.keyboard.press("Escape");
    await ada.context.setOffline(false);
    await expect.poll(() => bo.texts(`@${ada.handle}`), { timeout: soon }).toEqual(["before", "not yet gone"]);
  },
  { allow: [unreachable] },
);

story(
  "what was missed offline is there in order, and what was sent meanwhile comes after it",
  async (w) => {
    const [ada, bo] = await Promise.all([w.person("Ada"), w.terminal("bo")]);
    await ada.tab.startDirect(bo.handle);
    await ada.tab.sayAndSee("0");
    await ada.context.setOffline(true);
    await ada.tab.status("Offline").waitFor();
    await bo.sendLines(`@${ada.handle}`, ["1", "2", "3"]);
    await ada.tab.say("4");
    await ada.context.setOffline(false);
    await ada.tab.receipt("4", "Sent").waitFor();
    await ada.tab.shows(["0", "1", "2", "3", "4"]);
    expect(await bo.texts(`@${ada.handle}`)).toEqual(["0", "1", "2", "3", "4"]);
  },
  { allow: [unreachable] },
);

story(
  "what the network keeps away says so, and comes when there is one",
  async (w) => {
    const ada = await w.person("Ada");
    const { tab } = await w.visitor("Ada", { serviceWorkers: "block" });
    await tab.page.route("**/assets/more.js", (route) => route.abort());
    await tab.goto();
    await tab.signIn(ada);
    await tab.inside();
    await tab.button("Settings", tab.side).click();
    await tab.dialog("This could not be opened").getByRole("alert").waitFor();
    await tab.page.unroute("**/assets/more.js");
    await tab.button("Try again").click();
    await tab.dialog("Settings").getByRole("heading", { name: "Profile" }).waitFor();
  },
  { allow: [unreachable] },
);
