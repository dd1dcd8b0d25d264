/// <reference types="node" />
/** Two tabs of one browser are one device. */
import { expect } from "vitest";
import { soon, story, unreachable } from "./harness";

story("two tabs say things at once: each arrives once, and both show all", async (w) => {
  const ada = await w.person("Ada");
  const bo = await w.terminal("bo");
  await ada.tab.startDirect(bo.handle);
  await ada.tab.sayAndSee("0");
  const second = await w.tab(ada.context);
  await second.goto(`#/c/${ada.tab.conversation()}`);
  await second.message("0").waitFor();

  const sent: string[] = ["0"];
  const speak = async (tab: typeof second, who: string) => {
    for (let i = 1; i <= 6; i++) await tab.say(`${who}${i}`);
  };
  await Promise.all([speak(ada.tab, "a"), speak(second, "b")]);
  for (const who of ["a", "b"]) for (let i = 1; i <= 6; i++) sent.push(`${who}${i}`);
  const said = () => bo.texts(`@${ada.handle}`);
  await expect.poll(async () => (await said()).length, { timeout: soon }).toBe(13);
  const log = await said();
  expect([...log].sort()).toEqual([...sent].sort());
  for (const who of ["a", "b"]) expect(log.filter((text) => text.startsWith(who))).toEqual([1, 2, 3, 4, 5, 6].map((i) => `${who}${i}`));
  for (const tab of [ada.tab, second]) {
    await tab.log.hover();
    await tab.shows(log);
  }
  const devices = (await (await ada.context.request.get(`${w.server.url}/v1/devices`)).json()) as { items: unknown[] };
  expect(devices.items.length).toBe(1);
});

story("two tabs hold one connection; when its tab closes the other takes over", async (w) => {
  const ada = await w.person("Ada");
  const bo = await w.terminal("bo");
  const sockets = watched(ada.tab.page);
  await ada.tab.page.reload();
  await ada.tab.startDirect(bo.handle);
  await ada.tab.sayAndSee("0");
  const second = await w.tab(ada.context);
  const others = watched(second.page);
  await second.goto(`#/c/${ada.tab.conversation()}`);
  await second.message("0").waitFor();
  await bo.send(`@${ada.handle}`, "1");
  for (const tab of [ada.tab, second]) await tab.shows(["0", "1"]);
  expect([sockets.open(), others.open()]).toEqual([1, 0]);

  await ada.tab.page.close();
  await bo.send(`@${ada.handle}`, "2");
  await second.shows(["0", "1", "2"]);
  await second.sayAndSee("3");
  expect(others.open()).toBe(1);
  expect(await bo.texts(`@${ada.handle}`)).toEqual(["0", "1", "2", "3"]);
});

story(
  "written offline in one tab that is closed, sent by the other",
  async (w) => {
    const ada = await w.person("Ada");
    const bo = await w.terminal("bo");
    await ada.tab.startDirect(bo.handle);
    await ada.tab.sayAndSee("0");
    const second = await w.tab(ada.context);
    await second.goto(`#/c/${ada.tab.conversation()}`);
    await second.message("0").waitFor();
    await ada.context.setOffline(true);
    await second.say("1");
    await second.receipt("1", "Waiting to be sent").waitFor();
    await ada.tab.receipt("1", "Waiting to be sent").waitFor();
    await second.page.close();
    await ada.context.setOffline(false);
    await ada.tab.receipt("1", "Sent").waitFor();
    await ada.tab.shows(["0", "1"]);
    expect(await bo.texts(`@${ada.handle}`)).toEqual(["0", "1"]);
  },
  { allow: [unreachable] },
);

story("signing out in one tab signs out the other", async (w) => {
  const ada = await w.person("Ada");
  const second = await w.tab(ada.context);
  await second.goto();
  await second.inside();
  await ada.tab.settings();
  await ada.tab.button("Sign out").click();
  for (const tab of [ada.tab, second]) await tab.page.getByRole("heading", { level: 1, name: "Sign in to Parley" }).waitFor();
}, { allow: [/status of 401/] });

/** Counts the connections that a page holds. */
function watched(page: import("playwright-core").Page): { open(): number } {
  let open = 0;
  page.on("websocket", (socket) => {
    open++;
    socket.on("close", () => open--);
  });
  return { open: () => open };
}
