import { createHash } from "node:crypto";
import { readFile, readdir, writeFile } from "node:fs/promises";
import { join, resolve, sep } from "node:path";
import type { Plugin, ResolvedConfig } from "vite";

/** What the worker's source has where the list of files goes. */
const placeholder = "__FILES__";

/**
 * Tells the service worker every file of the build and its SHA-256, after all of them were written. A build whose worker does not
 * ask for it fails.
 */
export function serviceWorkerFiles(): Plugin {
  let config: ResolvedConfig;
  return {
    name: "service-worker-files",
    apply: "build",
    configResolved(resolved) {
      config = resolved;
    },
    async closeBundle() {
      const out = resolve(config.root, config.build.outDir);
      const worker = join(out, "sw.js");
      const source = await readFile(worker, "utf8");
      if (!source.includes(placeholder)) throw new Error(`sw.js has no ${placeholder}`);
      await writeFile(worker, source.replace(placeholder, JSON.stringify(await digests(out))));
    },
  };
}

/** The address of every file under dir but the worker's own, with the SHA-256 of its content in hexadecimal, sorted. */
export async function digests(dir: string): Promise<Record<string, string>> {
  const names = (await readdir(dir, { recursive: true, withFileTypes: true }))
    .filter((e) => e.isFile())
    .map((e) => join(e.parentPath, e.name).slice(dir.length + 1))
    .filter((name) => name !== "sw.js")
    .sort();
  const all: Record<string, string> = {};
  for (const name of names) {
    const address = name === "index.html" ? "/" : "/" + name.split(sep).join("/");
    all[address] = createHash("sha256").update(await readFile(join(dir, name))).digest("hex");
  }
  return all;
}
