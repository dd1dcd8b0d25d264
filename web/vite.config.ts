import { svelte } from "@sveltejs/vite-plugin-svelte";
import { defineConfig } from "vitest/config";
import { serviceWorkerFiles } from "./build/files.ts";

export default defineConfig({
  plugins: [svelte(), serviceWorkerFiles()],
  // Tests in Node render the components that a browser gets.
  resolve: process.env["VITEST"] ? { conditions: ["browser"] } : {},
  build: {
    target: "es2022",
    modulePreload: false, // its polyfill would be an inline script's work, and what comes later needs nothing but the app
    cssCodeSplit: false, // one sheet: what comes later is dressed already
    assetsInlineLimit: 0,
    rollupOptions: {
      input: { app: "index.html", sw: "src/sw.ts" },
      output: {
        // Names are stable, so that a rebuild is a small change and servers of
        // two versions beside each other serve the same addresses: the worker
        // knows each file by its content.
        entryFileNames: (chunk) => (chunk.name === "sw" ? "sw.js" : "assets/[name].js"),
        chunkFileNames: "assets/[name].js",
        assetFileNames: (asset) => (asset.names.includes("style.css") ? "assets/app.css" : "assets/[name][extname]"),
        // What a file hands to the other keeps its name. Should the two be of different versions after all (no worker, a new server),
        // the browser refuses to join them, and the page says so: with one-letter names it would take the one thing for the other.
        minifyInternalExports: false,
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
