import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { decode, parse } from "./decode";

vi.setConfig({ testTimeout: 60_000 }); // thousands of frames, on a machine that may be busy

/** What Go has on the wire: a line for each field of each shape and frame. decode is checked against it, not against itself. */
const golden = readFileSync(new URL("../../../wire/testdata/v1.txt", import.meta.url), "utf8");

interface Field {
  readonly name: string;
  readonly type: string;
  readonly maybe: boolean; // it may be absent
}

/** The fields of each shape and, under "< NAME", of each frame of the server. */
const shapes = new Map<string, Field[]>();
for (const line of golden.split("\n")) {
  const [, shape, name, maybe, type] = /^((?:< )?\w+)\.(\w+)(\?)?: (.+)$/.exec(line) ?? [];
  if (shape === undefined || name === undefined || type === undefined) continue;
  const fields = shapes.get(shape) ?? [];
  fields.push({ name, type, maybe: maybe === "?" });
  shapes.set(shape, fields);
}

const frames = [...shapes.keys()].filter((shape) => shape.startsWith("< ")).map((shape) => shape.slice(2));

/** Values of a type of the golden file. */
function of(type: string): fc.Arbitrary<unknown> {
  if (type.endsWith(" | null")) return fc.option(of(type.slice(0, -" | null".length)), { nil: null });
  if (type === "number[][]") return fc.array(fc.tuple(fc.maxSafeNat(), fc.maxSafeNat()), { minLength: 1, maxLength: 3 });
  if (type.endsWith("[]")) return fc.array(of(type.slice(0, -2)), { minLength: 1, maxLength: 3 });
  switch (type) {
    case "string":
      return fc.string();
    case "number":
      return fc.maxSafeNat();
    case "boolean":
      return fc.boolean();
    case "Ref":
      return fc.oneof(fc.string(), fc.maxSafeNat());
    default:
      return object(shapes.get(type), type);
  }
}

function object(fields: readonly Field[] | undefined, shape: string): fc.Arbitrary<Record<string, unknown>> {
  if (fields === undefined) throw new Error(`the golden file says nothing of ${shape}`);
  return fc.record(Object.fromEntries(fields.map(({ name, type }) => [name, of(type)])), {
    requiredKeys: fields.filter(({ maybe }) => !maybe).map(({ name }) => name),
  });
}

function frame(t: string): fc.Arbitrary<Record<string, unknown>> {
  return object(shapes.get(`< ${t}`), t).map((fields) => ({ t, ...fields }));
}

/** One thing in a frame: how to see it, to put something in its place, and to take it away. */
interface Spot {
  readonly path: string;
  readonly type: string;
  readonly maybe: boolean;
  put(value: unknown): void;
  remove(): void;
}

/** Every field within value, which is of that shape, however deep. */
function spots(value: Record<string, unknown>, shape: string, path: string): Spot[] {
  return (shapes.get(shape) ?? []).flatMap(({ name, type, maybe }) => {
    const here: Spot = {
      path: `${path}.${name}`,
      type,
      maybe,
      put: (other) => (value[name] = other),
      remove: () => delete value[name],
    };
    const plain = type.replace(/ \| null$|\[\]$/, "");
    const held = value[name];
    const inner = held === undefined || held === null || !shapes.has(plain) ? [] : Array.isArray(held) ? held : [held];
    return [here, ...inner.flatMap((one, i) => spots(one as Record<string, unknown>, plain, `${here.path}[${i}]`))];
  });
}

/** Values that are not of a type, whatever the type. */
function not(type: string): unknown[] {
  const never: unknown[] = type.endsWith(" | null") ? [] : [null];
  switch (type) {
    case "string":
      return [...never, 1, true, ["x"], { x: 1 }];
    case "number":
      return [...never, "1", -1, 1.5, 2 ** 53, 1e300, true, [1], { x: 1 }];
    case "boolean":
      return [...never, "true", 0, 1, [], {}];
    case "Ref":
      return [...never, -1, 1.5, true, [], {}];
    default:
      if (type === "string[]") return [...never, {}, "", 0, [null], [1], { length: 0 }];
      return type.endsWith("[]") ? [...never, {}, "", 0, [null], ["x"], { length: 0 }] : [...never, [], "x", 1, true, {}];
  }
}

const aFrame = fc.constantFrom(...frames).chain((t) => fc.tuple(fc.constant(t), frame(t)));

test("the golden file was understood", () => {
  expect(frames).toContain("entries");
  expect(frames.length).toBeGreaterThanOrEqual(10);
  expect(shapes.get("Entry")?.length).toBeGreaterThanOrEqual(12);
});

describe("decode", () => {
  test("takes every frame that the golden file allows", () => {
    fc.assert(
      fc.property(aFrame, ([, value]) => {
        expect(decode(JSON.stringify(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
      { numRuns: 500 },
    );
  });

  // Kills a shape that forgets a field, or that takes null, a fraction or a negative number for what it is not.
  test("refuses a frame with anything wrong in it, however deep", () => {
    fc.assert(
      fc.property(aFrame, fc.nat(), fc.nat(), ([t, value], where, what) => {
        const all = spots(value, `< ${t}`, t);
        const spot = all[where % all.length];
        if (spot === undefined) throw new Error("a frame without fields");
        const wrong = not(spot.type);
        spot.put(wrong[what % wrong.length]);
        expect(parse(JSON.stringify(value)), `${spot.path}: ${JSON.stringify(value)}`).toBe("broken");
      }),
      { numRuns: 2_000 },
    );
  });

  test("refuses a frame that lacks what must be there, and takes one that lacks what may", () => {
    fc.assert(
      fc.property(aFrame, fc.nat(), ([t, value], where) => {
        const all = spots(value, `< ${t}`, t);
        const spot = all[where % all.length];
        if (spot === undefined) throw new Error("a frame without fields");
        spot.remove();
        expect(parse(JSON.stringify(value)) === "broken", `${spot.path}: ${JSON.stringify(value)}`).toBe(!spot.maybe);
      }),
      { numRuns: 1_000 },
    );
  });

  test("ignores what a later version adds", () => {
    fc.assert(
      fc.property(aFrame, fc.jsonValue(), ([t, value], more) => {
        for (const one of [value, ...objects(value)]) one["later_field"] = more;
        expect(decode(JSON.stringify(value)), t).toEqual(JSON.parse(JSON.stringify(value)));
      }),
      { numRuns: 500 },
    );
    expect(parse(`{"t":"confetti","n":-1.5e3,"colour":null}`)).toBe("later");
    expect(decode(`{"t":"confetti"}`)).toBeUndefined();
  });

  test("never throws, whatever comes", () => {
    const text = fc.oneof(
      fc.string({ unit: "binary" }),
      fc.json(),
      fc.jsonValue().map((value) => JSON.stringify({ t: "entries", entries: value })),
      fc.tuple(aFrame, fc.nat(), fc.string()).map(([[, value], at, junk]) => {
        const whole = JSON.stringify(value);
        return whole.slice(0, at % whole.length) + junk;
      }),
    );
    fc.assert(
      fc.property(text, (received) => {
        decode(received);
      }),
      { numRuns: 2_000 },
    );
    decode("[".repeat(65_536));
    decode(`{"t":${"[".repeat(30_000)}`);
  });

  // Kills looking a type up in an object's prototype, or a field in what the value inherits.
  test.each(["constructor", "__proto__", "toString", "hasOwnProperty"])("knows no frame named %s", (t) => {
    expect(parse(JSON.stringify({ t }))).toBe("later");
  });

  test("takes no field from a prototype", () => {
    expect(parse(`{"t":"resync","__proto__":{"epoch":"e1"}}`)).toBe("broken");
  });
});

/** What the codec of Go takes from a server, and what it refuses. */
describe("the corpus", () => {
  for (const verdict of ["good", "bad"] as const) {
    const lines = readFileSync(new URL(`../../../wire/testdata/corpus/${verdict}.jsonl`, import.meta.url), "utf8").trim().split("\n");
    for (const line of lines) {
      const { name, to, text } = JSON.parse(line) as { name: string; to: string; text?: string };
      if (to !== "server" || text === undefined) continue;
      test(`${verdict}: ${name}`, () => {
        const parsed = parse(text);
        if (verdict === "good" && !lacking.includes(name)) expect(parsed).not.toBe("broken");
        else expect(typeof parsed).toBe("string");
      });
    }
  }
});

/** What Go takes, for its structs have a zero for everything, and what has no meaning for us. */
const lacking = ["ack, no ref", "frame without t"];

/** Every object within a value. */
function objects(value: unknown): Record<string, unknown>[] {
  if (typeof value !== "object" || value === null) return [];
  const inner = Object.values(value).flatMap(objects);
  return Array.isArray(value) ? inner : [value as Record<string, unknown>, ...inner];
}
