import { describe, expect, test } from "vitest";
import { Failure } from "../wire/failure";
import { Api } from "./api";
import { FakePlatform, settled } from "./fakeplatform";

const user = { id: "u1", handle: "ann", name: "Ann" };
const device = { id: "d1", name: "Firefox on Linux", current: true };
const conversation = {
  id: "c1",
  kind: "direct",
  title: "Bob",
  members: [{ user: "u1", role: "owner", handle: "ann", name: "Ann", delivered: 4, read: 3 }],
  head: 4,
  unread: 0,
  read: 4,
  delivered: 4,
  last: null,
  pos: 9,
  muted: false,
};
const entry = { conversation: "c1", seq: 1, kind: "message", id: "m1", sender: "u1", device: "d1", at: "2026-01-02T03:04:05.006Z" };
const invite = { code: "x y", uses: 1, used: 0, expires: "2026-01-02T03:04:05.006Z" };
const body = { type: "text/plain", text: "hi" };

function answer(value: unknown, status = 200): Response {
  return new Response(JSON.stringify(value), { status, headers: { "Content-Type": "application/json" } });
}

function problem(fields: object, status: number, headers: Record<string, string> = {}): Response {
  return new Response(JSON.stringify(fields), { status, headers: { "Content-Type": "application/problem+json", ...headers } });
}

function html(status: number, headers: Record<string, string> = {}): Response {
  return new Response("<!doctype html><title>Sign in to the hotel</title>", { status, headers: { "Content-Type": "text/html", ...headers } });
}

/** An API whose server gives these answers, one after another. */
function served(...answers: Response[]) {
  const platform = new FakePlatform();
  platform.respond = async () => answers.shift() ?? Promise.reject(new Error("it asked too often"));
  return { api: new Api(platform), platform };
}

/** What a call failed with. */
async function failed(call: Promise<unknown>): Promise<Failure> {
  const why: unknown = await call.then(
    () => new Error("it did not fail"),
    (reason: unknown) => reason,
  );
  if (!(why instanceof Failure)) throw why;
  return why;
}

type Call = (api: Api) => Promise<unknown>;

describe("each call", () => {
  test.each<[string, Call, string, string, unknown, Response]>([
    [
      "register",
      (api) => api.register({ handle: "ann", password: "secret-secret", name: "Ann", invite: "x" }),
      "POST",
      "/v1/accounts",
      { handle: "ann", password: "secret-secret", name: "Ann", invite: "x", device: "Firefox on Linux", cookie: true },
      answer({ user, device, token: "" }, 201),
    ],
    [
      "signIn",
      (api) => api.signIn({ handle: "ann", password: "secret-secret" }),
      "POST",
      "/v1/sessions",
      { handle: "ann", password: "secret-secret", device: "Firefox on Linux", cookie: true },
      answer({ user, device, token: "" }, 201),
    ],
    ["signOut", (api) => api.signOut(), "DELETE", "/v1/sessions/current", undefined, new Response(null, { status: 204 })],
    ["me", (api) => api.me(), "GET", "/v1/me", undefined, answer({ ...user, admin: true, device })],
    ["patchMe", (api) => api.patchMe({ name: "Anna" }), "PATCH", "/v1/me", { name: "Anna" }, answer({ ...user, admin: true, device })],
    ["devices", (api) => api.devices(), "GET", "/v1/devices?limit=200", undefined, answer({ items: [device], next: null })],
    ["signOutDevice", (api) => api.signOutDevice("d 2"), "DELETE", "/v1/devices/d%202", undefined, new Response(null, { status: 204 })],
    ["invites", (api) => api.invites(), "GET", "/v1/invites?limit=200", undefined, answer({ items: [invite], next: null })],
    ["invite", (api) => api.invite(5, 24), "POST", "/v1/invites", { uses: 5, hours: 24 }, answer(invite, 201)],
    ["revokeInvite", (api) => api.revokeInvite("../x"), "DELETE", "/v1/invites/..%2Fx", undefined, new Response(null, { status: 204 })],
    ["user", (api) => api.user("bob?x"), "GET", "/v1/users/bob%3Fx", undefined, answer(user)],
    ["createDirect", (api) => api.createDirect("bob"), "POST", "/v1/conversations", { kind: "direct", members: ["bob"] }, answer(conversation)],
    [
      "createGroup",
      (api) => api.createGroup("Team", ["bob"]),
      "POST",
      "/v1/conversations",
      { kind: "group", title: "Team", members: ["bob"] },
      answer(conversation, 201),
    ],
    [
      "createGroup without a title",
      (api) => api.createGroup("", []),
      "POST",
      "/v1/conversations",
      { kind: "group", members: [] },
      answer(conversation, 201),
    ],
    ["conversation", (api) => api.conversation("c1"), "GET", "/v1/conversations/c1", undefined, answer(conversation)],
    [
      "entriesAfter",
      (api) => api.entriesAfter("c1", 7, 100),
      "GET",
      "/v1/conversations/c1/entries?after=7&limit=100",
      undefined,
      answer({ items: [entry], head: 9 }),
    ],
    [
      "entriesBefore",
      (api) => api.entriesBefore("c1", 7, 100),
      "GET",
      "/v1/conversations/c1/entries?before=7&limit=100",
      undefined,
      answer({ items: [entry], head: 9 }),
    ],
    [
      "entriesBefore the head",
      (api) => api.entriesBefore("c1", undefined, 100),
      "GET",
      "/v1/conversations/c1/entries?limit=100",
      undefined,
      answer({ items: [], head: 0 }),
    ],
    ["entryByID", (api) => api.entryByID("c1", "m/1"), "GET", "/v1/conversations/c1/entries/by-id/m%2F1", undefined, answer(entry)],
    [
      "post",
      (api) => api.post("c1", { id: "m1", body, base: 3 }),
      "POST",
      "/v1/conversations/c1/entries",
      { id: "m1", body, base: 3 },
      answer({ seq: 4, at: "", id: "m1" }, 201),
    ],
    [
      "mark",
      (api) => api.mark("c1", { read: 4 }),
      "PUT",
      "/v1/conversations/c1/markers",
      { read: 4 },
      answer({ delivered: 4, read: 4, unread: 0 }),
    ],
  ])("asks as the protocol says: %s", async (_, call, method, path, sent, given) => {
    const { api, platform } = served(given);
    await call(api);
    const [request] = platform.requests;
    expect(platform.requests).toHaveLength(1);
    expect(request?.path).toBe(path);
    expect(request?.init).toMatchObject({ method, credentials: "same-origin", redirect: "error", cache: "no-store" });
    expect(request?.init.body === undefined ? undefined : JSON.parse(String(request.init.body))).toEqual(sent);
    expect(request?.init.headers).toEqual(sent === undefined ? undefined : { "Content-Type": "application/json" });
    expect(platform.left.timers).toBe(0);
  });
});

test("history before a number is ascending, as that after it is", async () => {
  const items = [entry, { ...entry, seq: 2 }, { ...entry, seq: 3 }];
  const { api } = served(answer({ items: [...items].reverse(), head: 9 }), answer({ items, head: 9 }));
  expect(await api.entriesBefore("c1", 4, 3)).toEqual({ items, head: 9 });
  expect(await api.entriesAfter("c1", 0, 3)).toEqual({ items, head: 9 });
});

test("a post says whether it was there already", async () => {
  const ack = { seq: 4, at: "", id: "m1" };
  const { api } = served(answer(ack, 201), answer(ack, 200));
  expect(await api.post("c1", { id: "m1", body })).toEqual({ ...ack, again: false });
  expect(await api.post("c1", { id: "m1", body })).toEqual({ ...ack, again: true });
});

describe("lists", () => {
  test("are followed page after page", async () => {
    const { api, platform } = served(
      answer({ items: [device], next: "d 1" }),
      answer({ items: [{ ...device, id: "d2" }], next: "d2" }),
      answer({ items: [], next: null }),
    );
    expect((await api.devices()).map(({ id }) => id)).toEqual(["d1", "d2"]);
    expect(platform.requests.map(({ path }) => path)).toEqual([
      "/v1/devices?limit=200",
      "/v1/devices?limit=200&cursor=d%201",
      "/v1/devices?limit=200&cursor=d2",
    ]);
  });

  // Kills a list that never ends.
  test("have a bound", async () => {
    const { api, platform } = served();
    platform.respond = async () => answer({ items: [invite], next: "again" });
    expect(await api.invites()).toHaveLength(10);
  });

  test("fail as a whole", async () => {
    const { api } = served(answer({ items: [device], next: "d1" }), problem({ code: "overloaded" }, 503));
    expect(await failed(api.devices())).toMatchObject({ code: "overloaded" });
  });
});

describe("a failure", () => {
  test("says what the server says", async () => {
    const { api, platform } = served(
      problem({ type: "x", title: "y", status: 429, code: "rate_limited", detail: "Slowly.", retry_after_ms: 1_500 }, 429),
      problem({ code: "not_found" }, 404),
    );
    expect(await failed(api.me())).toMatchObject({ code: "rate_limited", detail: "Slowly.", retryAfter: 1_500 });
    expect(await failed(api.me())).toMatchObject({ code: "not_found", detail: "", retryAfter: 0 });
    expect(platform.left.timers).toBe(0);
  });

  test.each([
    [{}, "3", 3_000],
    [{ retry_after_ms: 2_500 }, "3", 3_000], // the header is whole seconds, rounded up; the longer is kept
    [{ retry_after_ms: 5_000 }, "3", 5_000],
    [{}, "Fri, 02 Jan 2026 00:00:07 GMT", 7_000],
    [{}, "Thu, 01 Jan 2026 00:00:00 GMT", 0],
    [{}, "soon", 0],
    [{}, "-4", 0],
  ])("says when to try again: %o and Retry-After %s", async (fields, header, wait) => {
    const { api } = served(problem({ code: "overloaded", ...fields }, 503, { "Retry-After": header }));
    expect((await failed(api.me())).retryAfter).toBe(wait);
  });

  // Each kills an answer of something in between that passes for one of the server: a message would count as refused, or as sent.
  test.each<[string, Call, () => Response]>([
    ["a portal's page instead of an answer", (api) => api.me(), () => html(200)],
    ["a portal's page instead of an acknowledgement", (api) => api.post("c1", { id: "m1", body }), () => html(200)],
    ["a portal's page instead of nothing", (api) => api.signOut(), () => html(200)],
    ["a portal's JSON instead of nothing", (api) => api.revokeInvite("x"), () => answer({ ok: true })],
    ["a proxy's 502", (api) => api.me(), () => html(502)],
    ["a proxy's 404", (api) => api.user("bob"), () => html(404)],
    ["a proxy's JSON", (api) => api.me(), () => answer({ code: "not_found" }, 404)],
    ["a problem that is none of ours", (api) => api.me(), () => problem({ title: "Bad gateway" }, 502)],
    ["a problem that is cut off", (api) => api.me(), () => new Response("{", { status: 500, headers: { "Content-Type": "application/problem+json" } })],
    ["an answer that is cut off", (api) => api.me(), () => new Response(`{"id":`, { headers: { "Content-Type": "application/json" } })],
    ["an answer without a type", (api) => api.me(), () => new Response(new TextEncoder().encode("{}"))],
  ])("is offline for %s", async (_, call, given) => {
    const { api } = served(given());
    const why = await failed(call(api));
    expect(why.code).toBe("offline");
    expect(why.detail).toMatch(/answered in its place/);
  });

  test("keeps a proxy's wish to wait", async () => {
    const { api } = served(html(503, { "Retry-After": "30" }));
    expect(await failed(api.me())).toMatchObject({ code: "offline", retryAfter: 30_000 });
  });

  test.each<[string, Call, unknown]>([
    ["a seq that is no number", (api) => api.post("c1", { id: "m1", body }), { seq: "4", at: "", id: "m1" }],
    ["a page of something else", (api) => api.devices(), { items: [user, 4], next: null }],
    ["an entry without a sender", (api) => api.entriesAfter("c1", 0, 9), { items: [{ ...entry, sender: null }], head: 1 }],
    ["a conversation whose members have no ids", (api) => api.conversation("c1"), { ...conversation, members: [{}] }],
  ])("is internal for an answer that does not make sense: %s", async (_, call, given) => {
    const { api } = served(answer(given));
    expect((await failed(call(api))).code).toBe("internal");
  });

  test("is offline without a network", async () => {
    const { api, platform } = served();
    platform.respond = () => Promise.reject(new TypeError("Failed to fetch"));
    expect(await failed(api.me())).toMatchObject({ code: "offline", detail: "The server cannot be reached." });
    expect(platform.left.timers).toBe(0);
  });

  // Kills a call that waits for ever, for an answer or for the rest of one.
  test.each(["nothing comes", "an answer begins and does not end"])("is offline when %s in time", async (what) => {
    const { api, platform } = served();
    platform.respond = (_, { signal }) => {
      const aborted = new Promise<never>((_, reject) => {
        signal?.addEventListener("abort", () => reject(new DOMException("aborted", "AbortError")));
      });
      if (what === "nothing comes") return aborted;
      const endless = new ReadableStream({ pull: () => aborted });
      return Promise.resolve(new Response(endless, { headers: { "Content-Type": "application/json" } }));
    };
    let late: Failure | undefined;
    void failed(api.me()).then((why) => (late = why));
    await platform.pass(14_999);
    expect(late).toBeUndefined();
    await platform.pass(1);
    await settled();
    expect(late).toMatchObject({ code: "offline", detail: "The server did not answer in time." });
    expect(platform.left.timers).toBe(0);
  });
});
