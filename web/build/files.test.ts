import { createHash } from "node:crypto";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { digests } from "./files";

// It kills a worker that keeps itself, and one that does not notice a change.
test("the worker knows every file by its content, but itself", async () => {
  const dir = await mkdtemp(join(tmpdir(), "files-"));
  try {
    await mkdir(join(dir, "assets"));
    await writeFile(join(dir, "index.html"), "<!doctype html>");
    await writeFile(join(dir, "assets", "app.js"), "one");
    await writeFile(join(dir, "sw.js"), "not itself");
    const before = await digests(dir);
    expect(Object.keys(before)).toEqual(["/assets/app.js", "/"]);
    expect(before["/assets/app.js"]).toBe(createHash("sha256").update("one").digest("hex"));
    await writeFile(join(dir, "assets", "app.js"), "two");
    const after = await digests(dir);
    expect(after["/assets/app.js"]).not.toBe(before["/assets/app.js"]);
    expect(after["/"]).toBe(before["/"]);
  } finally {
    await rm(dir, { recursive: true });
  }
});
