/// <reference types="node" />
/**
 * What is run by hand with the stories' harness: screenshots, figures, the demonstration.
 *
 *   PARLEY_BIN=../bin/parley npx vitest run --config stories/tools.config.ts shots
 *   PARLEY_BIN=../bin/parley npx vitest run --config stories/tools.config.ts bench
 *   PARLEY_BIN=../bin/parley npx vitest run --config stories/tools.config.ts demonstration
 */
import { mergeConfig } from "vitest/config";
import stories from "./vitest.config.ts";

const tools = mergeConfig(stories, { test: { testTimeout: 900_000, hookTimeout: 300_000 } });
tools.test.include = ["stories/shots.ts", "stories/bench.ts", "stories/demonstration.ts"];
export default tools;
