/// <reference types="node" />
/** Coming in and going out: links, passwords, devices. */
import { expect } from "vitest";
import { answered, soon, story } from "./harness";

story(
  "the link that the first start prints makes the administrator's account, once",
  async (w) => {
    const ada = await w.visitor("Ada");
    await ada.tab.page.goto(w.server.setup);
    await ada.tab.page.getByRole("heading", { level: 1, name: "Create your account" }).waitFor();
    expect(await ada.tab.field("Invite code").count()).toBe(0); // the link brought it
    await ada.tab.signUp({ ...ada });
    await ada.tab.inside();
    expect(ada.tab.page.url()).not.toContain("/setup/"); // nobody shares it by mistake

    await ada.tab.settings();
    await ada.tab.button("Create invite").waitFor();

    const bo = await w.visitor("Bo");
    await bo.tab.page.goto(w.server.setup);
    await bo.tab.signUp({ ...bo });
    await bo.tab.alert.first().waitFor();
    expect(await bo.tab.side.count()).toBe(0);
  },
  { server: { registration: "invite" }, allow: [answered(403), answered(404)] },
);

story(
  "an invite link made in Settings lets one person in",
  async (w) => {
    const ada = await w.visitor("Ada");
    await ada.tab.page.goto(w.server.setup);
    await ada.tab.signUp({ ...ada });
    await ada.tab.inside();
    await ada.tab.settings();
    await ada.tab.button("Create invite").click();
    await ada.tab.button("Copy link").first().click();
    const link = () => ada.tab.page.evaluate(() => navigator.clipboard.readText());
    await expect.poll(link, { timeout: soon }).toMatch(new RegExp(`^${w.server.url}/#/invite/[\\w-]+$`));

    const bo = await w.visitor("Bo");
    await bo.tab.page.goto(await link());
    await bo.tab.signUp({ ...bo });
    await bo.tab.inside();
    await bo.tab.startDirect(ada.handle, "Ada");
  },
  { server: { registration: "invite" } },
);

story(
  "a wrong password is told, and the right one lets in",
  async (w) => {
    const terminal = await w.terminal("ada");
    const ada = await w.visitor("Ada");
    await ada.tab.goto();
    await ada.tab.signIn({ handle: terminal.handle, password: "not the password" });
    await ada.tab.alert.first().waitFor();
    expect(await ada.tab.field("Handle").inputValue()).toBe(terminal.handle); // not to be typed again
    await ada.tab.field("Password").fill(ada.password);
    await ada.tab.button("Sign in").click();
    await ada.tab.inside();
  },
  { allow: [answered(401)] },
);

story(
  "a handle that is taken is told, and another one will do",
  async (w) => {
    const taken = await w.terminal("ada");
    const ada = await w.visitor("Ada");
    await ada.tab.goto();
    await ada.tab.button("Create an account").click();
    await ada.tab.signUp({ ...ada, handle: taken.handle });
    await ada.tab.alert.first().waitFor();
    await ada.tab.field("Handle").fill(ada.handle);
    await ada.tab.button("Create account").click();
    await ada.tab.inside();
  },
  { allow: [answered(409)] },
);

story("a reload and a new tab need no password", async (w) => {
  const ada = await w.person("Ada");
  await ada.tab.page.reload();
  await ada.tab.inside();
  const second = await w.tab(ada.context);
  await second.goto();
  await second.inside();
  const readable = await ada.tab.page.evaluate(() => document.cookie + JSON.stringify({ ...localStorage, ...sessionStorage }));
  const token = (await ada.context.cookies()).find((c) => c.httpOnly);
  expect(token?.sameSite).toBe("Strict");
  expect(readable).not.toContain(token?.value); // no script sees the token
});

story("signing out erases what the device holds", async (w) => {
  const ada = await w.person("Ada");
  const bo = await w.terminal("bo");
  await ada.tab.startDirect(bo.handle);
  await ada.tab.sayAndSee("the safe is behind the painting");
  await ada.tab.settings();
  await ada.tab.button("Sign out").click();
  await ada.tab.page.getByRole("heading", { level: 1, name: "Sign in to Parley" }).waitFor();
  expect(await held(ada.tab.page)).not.toContain("painting");
  expect((await ada.context.cookies()).filter((c) => c.value !== "")).toEqual([]);

  await ada.tab.page.reload();
  await ada.tab.page.getByRole("heading", { level: 1, name: "Sign in to Parley" }).waitFor();
  await ada.tab.page.goBack();
  expect(await ada.tab.page.locator("body").innerText()).not.toContain("painting");
});

story(
  "a device signed out from elsewhere says so within a second or so",
  async (w) => {
    const ada = await w.person("Ada");
    const lost = await w.device(ada);
    await ada.tab.settings();
    const signOut = ada.tab.page.getByRole("button", { name: /^Sign out .+/ });
    await expect.poll(() => signOut.count(), { timeout: soon }).toBeGreaterThan(0);
    const before = Date.now();
    await signOut.last().click();
    await lost.tab.page.getByRole("heading", { level: 1, name: "Sign in to Parley" }).waitFor();
    expect(Date.now() - before).toBeLessThan(5_000);
    expect(await lost.tab.field("Handle").inputValue()).toBe(ada.handle); // one only has to give the password
    await lost.tab.field("Password").fill(ada.password);
    await lost.tab.button("Sign in").click();
    await lost.tab.inside();
    await ada.tab.page.keyboard.press("Escape");
    await ada.tab.inside(); // and the one that asked stays in
  },
  { allow: [answered(401), /WebSocket/] },
);

story("a new name is seen by others", async (w) => {
  const ada = await w.person("Ada");
  await ada.tab.settings();
  await ada.tab.field("Name").fill("Ada Lovelace");
  await ada.tab.button("Save").click();
  await ada.tab.status("Saved").waitFor();
  const bo = await w.person("Bo");
  await expect
    .poll(async () => (await (await bo.context.request.get(`${w.server.url}/v1/users/${ada.handle}`)).json()).name, { timeout: soon })
    .toBe("Ada Lovelace");
  await bo.tab.startDirect(ada.handle, "Ada Lovelace");
});

story("a server that is down is told at the door, and come back it lets in", async (w) => {
  const ada = await w.visitor("Ada");
  await ada.tab.goto();
  await ada.tab.page.getByRole("heading", { level: 1, name: "Sign in to Parley" }).waitFor();
  await w.server.kill();
  w.allow(/Failed to load resource/);
  await ada.tab.signIn({ handle: "nobody", password: "whatever it is" });
  await ada.tab.alert.first().waitFor();
  await w.server.resume();
  await ada.tab.button("Create an account").click();
  await ada.tab.signUp({ ...ada });
  await ada.tab.inside();
}, { server: {} });

/** Everything in the page's databases, caches and storage, as text. */
async function held(page: import("playwright-core").Page): Promise<string> {
  return page.evaluate(async () => {
    const all: unknown[] = [{ ...localStorage }, { ...sessionStorage }];
    for (const { name } of await indexedDB.databases()) {
      const db = await new Promise<IDBDatabase>((resolve, reject) => {
        const asked = indexedDB.open(name ?? "");
        asked.onsuccess = () => resolve(asked.result);
        asked.onerror = () => reject(asked.error);
      });
      for (const store of db.objectStoreNames) {
        all.push(
          await new Promise((resolve, reject) => {
            const asked = db.transaction(store).objectStore(store).getAll();
            asked.onsuccess = () => resolve(asked.result);
            asked.onerror = () => reject(asked.error);
          }),
        );
      }
      db.close();
    }
    for (const name of await caches.keys()) {
      for (const request of await (await caches.open(name)).keys()) all.push(request.url);
    }
    return JSON.stringify(all);
  });
}
