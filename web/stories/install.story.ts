/// <reference types="node" />
/** The app as something that one installs, and that is replaced by a newer one. */
import { expect } from "vitest";
import { Front } from "./front";
import { soon, story, unreachable } from "./harness";

story("a new version is offered, not forced, and a reload brings it", async (w) => {
  const front = await Front.open(w.server.url);
  try {
    const ada = await w.person("Ada", {}, front.url);
    await ada.tab.installed();
    const bo = await w.terminal("bo");
    await ada.tab.startDirect(bo.handle);
    await ada.tab.composer.fill("in the middle of a sen");
    front.change("/sw.js", (script) => `${script}\n// another version\n`);
    await ada.tab.page.evaluate(async () => (await navigator.serviceWorker.ready).update());
    await ada.tab.status("A new version is ready").waitFor();
    expect(await ada.tab.composer.inputValue()).toBe("in the middle of a sen"); // nobody was interrupted
    const born = await ada.tab.page.evaluate(() => performance.timeOrigin);
    await ada.tab.button("Reload").click();
    await ada.tab.page.waitForFunction((before) => performance.timeOrigin !== before, born);
    await ada.tab.inside();
    await expect.poll(() => ada.tab.composer.inputValue(), { timeout: soon }).toBe("in the middle of a sen");
    expect(await ada.tab.status("A new version is ready").count()).toBe(0);
    const waiting = await ada.tab.page.evaluate(async () => (await navigator.serviceWorker.ready).waiting !== null);
    expect(waiting).toBe(false);
  } finally {
    await front.close();
  }
});

story(
  "it can be installed: a whole manifest, an active worker, and a start without a network",
  async (w) => {
    const ada = await w.person("Ada");
    await ada.tab.installed();
    const devtools = await ada.context.newCDPSession(ada.tab.page);
    const { errors, url } = await devtools.send("Page.getAppManifest");
    expect(errors).toEqual([]);
    const manifest = (await (await ada.context.request.get(url)).json()) as {
      name: string;
      short_name: string;
      start_url: string;
      scope?: string;
      display: string;
      icons: { src: string; sizes: string; type: string; purpose?: string }[];
    };
    expect(manifest.name).toContain("Parley");
    expect(manifest.short_name.length).toBeLessThanOrEqual(12);
    expect(["standalone", "minimal-ui"]).toContain(manifest.display);
    for (const size of ["192x192", "512x512"]) expect(manifest.icons.some((i) => i.type === "image/png" && i.sizes.split(" ").includes(size))).toBe(true);
    for (const icon of manifest.icons) {
      const got = await ada.context.request.get(new URL(icon.src, url).href);
      expect([got.status(), got.headers()["content-type"]]).toEqual([200, icon.type]);
    }
    const obstacles = await devtools.send("Page.getInstallabilityErrors");
    // A profile that leaves no trace cannot install anything; that is no fault of the app.
    expect(obstacles.installabilityErrors.filter((e) => e.errorId !== "in-incognito")).toEqual([]);

    await ada.context.setOffline(true);
    const start = await w.tab(ada.context);
    await start.page.goto(new URL(manifest.start_url, url).href);
    await start.inside();
  },
  { allow: [unreachable] },
);

story("the worker keeps the app, and never an answer of the API", async (w) => {
  const ada = await w.person("Ada");
  const bo = await w.terminal("bo");
  await ada.tab.startDirect(bo.handle);
  await ada.tab.sayAndSee("hello");
  await ada.tab.installed();
  await ada.tab.page.reload();
  await ada.tab.message("hello").waitFor();
  const kept = await ada.tab.page.evaluate(async () => {
    const urls: string[] = [];
    for (const name of await caches.keys()) for (const request of await (await caches.open(name)).keys()) urls.push(new URL(request.url).pathname);
    return urls;
  });
  expect(kept.length).toBeGreaterThan(0);
  expect(kept.filter((path) => path.startsWith("/v1/") || path === "/openapi.json")).toEqual([]);
});

story("the policy and the other headers are those that were promised", async (w) => {
  const ada = await w.visitor("Ada");
  const page = await ada.context.request.get(`${w.server.url}/`);
  const policy = page.headers()["content-security-policy"] ?? "";
  for (const part of [
    "default-src 'none'",
    "script-src 'self'",
    "connect-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
    "require-trusted-types-for 'script'",
  ]) expect(policy).toContain(part);
  expect(policy).not.toContain("unsafe");
  expect(page.headers()["x-content-type-options"]).toBe("nosniff");
  expect(page.headers()["referrer-policy"]).toMatch(/no-referrer|same-origin/);
  // And the browser keeps to it.
  await ada.tab.goto();
  await ada.tab.page.getByRole("heading", { level: 1 }).waitFor();
  w.allow(/policy broken/, /Content Security Policy/i, /Trusted/i);
  const ran = await ada.tab.page.evaluate(() => {
    const script = document.createElement("script");
    try {
      script.text = "window.evil = true";
      document.body.append(script);
    } catch {
      // as it should be
    }
    const image = document.createElement("div");
    try {
      image.innerHTML = "<img src=x onerror='window.evil = true'>";
    } catch {
      return "refused";
    }
    return (window as unknown as { evil?: boolean }).evil === true ? "ran" : "let in";
  });
  expect(ran).toBe("refused");
});
