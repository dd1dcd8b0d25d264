import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { serviceWorkerFiles } from "./build/files.ts";

export default defineConfig({
  plugins: [svelte(), serviceWorkerFiles()],
  // Tests in Node render the components that a browser gets.
  resolve: process.env["VITEST"] ? { conditions: ["browser"] } : {},
  build: {
    target: "es2022",
    modulePreload: { polyfill: false }, // it would be an inline script's work
    assetsInlineLimit: 0,
    rollupOptions: {
      input: { app: "index.html", sw: "src/sw.ts" },
      output: {
        // Names are stable, so that a rebuild is a small change and servers of
        // two versions beside each other serve the same addresses: the worker
        // knows each file by its content.
        entryFileNames: (chunk) => (chunk.name === "sw" ? "sw.js" : "assets/[name].js"),
        chunkFileNames: "assets/[name].js",
        assetFileNames: "assets/[name][extname]",
      },
    },
  },
  test: {
    include: ["src/**/*.test.ts", "build/**/*.test.ts"],
    environment: "node", // a test of the view asks for happy-dom in its first line
    restoreMocks: true,
    testTimeout: 60_000, // of a machine that does other things as well
  },
});
