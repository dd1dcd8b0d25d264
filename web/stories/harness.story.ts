/// <reference types="node" />
/** The harness itself: it hears each thing that must not happen. A deaf one would let every other story pass. */
import { expect } from "vitest";
import { soon, story } from "./harness";

const faults: [string, RegExp, () => void][] = [
  ["an error on the console", /console: something is wrong/, () => console.error("something is wrong")],
  ["an error nobody caught", /not caught: .*thrown/, () => void setTimeout(() => { throw new Error("thrown"); })],
  ["a rejection nobody caught", /not caught: .*rejected/, () => void Promise.reject(new Error("rejected"))],
  ["a request that leaves the origin", /left the origin: http:\/\/127\.0\.0\.1:9\//, () => void window.open("http://127.0.0.1:9/")],
  ["a request against the policy", /policy broken: connect-src/, () => void fetch("http://127.0.0.1:9/").catch(() => undefined)],
  ["a style against the policy", /policy broken: style-src/, () => document.body.append(Object.assign(document.createElement("style"), { textContent: "*{color:red}" }))],
  ["a dialog of the browser", /a dialog of the browser: alert hello/, () => void setTimeout(() => alert("hello"))],
];

story("the harness hears what must not happen", async (w) => {
  const ada = await w.visitor("Ada");
  await ada.tab.goto();
  await ada.tab.page.getByRole("heading", { level: 1 }).waitFor();
  w.check();
  for (const [name, pattern, commit] of faults) {
    await ada.tab.page.evaluate(commit);
    let heard = "";
    await expect.poll(() => (heard += w.forgiven().join("\n")), { timeout: soon, message: name }).toMatch(pattern);
  }
  await ada.context.close();
  w.forgiven(); // what came of it after that
});
