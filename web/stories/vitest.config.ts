/// <reference types="node" />
/**
 * Stories: the real server, the real terminal, and the app in Chromium.
 *
 *   PARLEY_BIN=../bin/parley npx vitest run --config stories/vitest.config.ts
 */
import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

export default defineConfig({
  root: fileURLToPath(new URL("..", import.meta.url)),
  test: {
    include: ["stories/*.story.ts"],
    globalSetup: ["stories/browser.ts"],
    environment: "node",
    // One after another: what is waited for is the app, not the machine.
    fileParallelism: false,
    maxWorkers: 1,
    testTimeout: 60_000,
    hookTimeout: 60_000,
  },
});
