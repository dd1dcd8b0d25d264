import type { Tx } from "../db/engine";
import type { User } from "../wire/wire.gen";
import type { Person } from "./model";

/** How a user is called; of one who is not known yet only the id is told. */
export type Names = (id: string) => Person;

export function person(id: string, user: User | undefined): Person {
  if (!user) return { id, handle: "", name: "…" };
  return {
    id, handle: user.handle, name: user.name || user.handle,
    ...(user.status ? { status: user.status } : {}), ...(user.bot ? { bot: true } : {}),
    ...(user.avatar ? { avatar: `/v1/users/${encodeURIComponent(id)}/avatar?v=${encodeURIComponent(user.avatar)}` } : {}),
  };
}

/** The persons of those ids, each once and always the same object while nothing changes. */
export class Persons {
  private readonly known = new Map<string, Person>();

  readonly of: Names = (id) => this.known.get(id) ?? person(id, undefined);

  /** Reads those that are not known. True: somebody who was unknown before is known now. */
  async learn(tx: Tx, ids: Iterable<string>): Promise<boolean> {
    let news = false;
    for (const id of new Set(ids)) {
      const before = this.known.get(id);
      if (before && before.handle !== "") continue;
      const user = await tx.get("people", id);
      if (before && !user) continue;
      this.known.set(id, person(id, user));
      news ||= user !== undefined;
    }
    return news;
  }

  has(id: string): boolean {
    return (this.known.get(id)?.handle ?? "") !== "";
  }

  forget(): void {
    this.known.clear();
  }
}
