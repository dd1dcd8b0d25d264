/** What is said when something did not work: what to do, before anything else. */
import { Failure } from "../wire/failure";
import type { Code } from "../wire/wire.gen";
import type { Key, Translate } from "./catalogue";

const sentences: Readonly<Record<Code | "offline" | "unreadable", Key>> = {
  offline: "failure.offline",
  unreadable: "failure.unreadable",
  bad_request: "failure.bad-request",
  unauthorized: "failure.unauthorized",
  forbidden: "failure.forbidden",
  not_found: "failure.not-found",
  conflict: "failure.conflict",
  id_conflict: "failure.id-conflict",
  too_large: "failure.too-large",
  unsupported: "failure.unsupported",
  rate_limited: "failure.rate-limited",
  internal: "failure.internal",
  overloaded: "failure.overloaded",
  draining: "failure.draining",
  storage_full: "failure.storage-full",
};

/** The sentences of one screen for codes that mean something more exact there. */
export type Special = Readonly<Partial<Record<Code, Key>>>;

/**
 * A sentence for a person, with the time to wait if the server named one.
 *
 * @param reason what was thrown; of anything but a Failure nothing is known, and nothing of it is shown
 */
export function sentence(t: Translate, reason: unknown, special: Special = {}): string {
  if (!(reason instanceof Failure)) return t("failure.unknown", { detail: "" }).trim();
  const own = (special as Partial<Record<string, Key>>)[reason.code];
  const key = own ?? (sentences as Partial<Record<string, Key>>)[reason.code] ?? "failure.unknown";
  const said = own ? t(own) : t(key, { detail: reason.detail }).trim();
  if (reason.retryAfter <= 0) return said;
  return `${said} ${t("failure.retry", { seconds: Math.ceil(reason.retryAfter / 1000) })}`;
}
