/// <reference types="node" />
/**
 * The one Chromium of a run, started before the first story and ended after the last.
 */
import { accessSync, constants } from "node:fs";
import { chromium } from "playwright-core";
import type { TestProject } from "vitest/node";

declare module "vitest" {
  export interface ProvidedContext {
    /** where the browser of this run is driven */
    browser: string;
    /** the server's program */
    parley: string;
  }
}

const flags = [
  "--no-sandbox",
  "--disable-gpu",
  "--disable-quic",
  "--no-first-run",
  "--disable-background-networking",
  "--disable-component-update",
  "--disable-sync",
];

/** The way to a program that must be there; advice says how to get it. */
function program(path: string, advice: string): string {
  try {
    accessSync(path, constants.X_OK);
  } catch {
    throw new Error(`The stories need ${path}, which is not there or cannot be run. ${advice}`);
  }
  return path;
}

export default async function setup(project: TestProject): Promise<() => Promise<void>> {
  const parley = program(
    process.env["PARLEY_BIN"] ?? new URL("../../bin/parley", import.meta.url).pathname,
    "Build it with `make build`, or name another with PARLEY_BIN.",
  );
  const executablePath = program(
    process.env["CHROMIUM"] ?? "/usr/bin/chromium",
    "Install Debian's package `chromium` (apt-get install chromium), or name another with CHROMIUM.",
  );
  const server = await chromium.launchServer({ executablePath, args: flags, headless: true });
  project.provide("browser", server.wsEndpoint());
  project.provide("parley", parley);
  return () => server.close();
}
