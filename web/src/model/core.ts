import type { Database } from "../db/database";
import { Fault, Stale } from "../db/database";
import type { Api } from "../net/api";
import { Failure } from "../wire/failure";
import type { Connection } from "./model";
import type { Cell } from "./cell";
import type { Outside } from "./outside";
import type { Tabs } from "./tabs";

/** What every part of the model works with. */
export interface Core {
  readonly outside: Outside;
  readonly db: Database;
  readonly api: Api;
  readonly tabs: Tabs;
  readonly connection: Cell<Connection>;
  /** Takes a failure that nobody waits for: of the database, it is told to the person; of the network, it heals. */
  background(why: unknown): void;
  /** Something the server said could not be committed. If what is held is of another log, all of it is dropped. */
  distrusted(life: number, why: unknown): Promise<void>;
  /** Another tab moved on with what this one's connection stood for: that one leads. */
  overtaken(): void;
  /** The server no longer knows this device. */
  lost(): void;
}

/** Whether the server can be asked something now, as far as is known. */
export function reachable(connection: Connection): boolean {
  return connection.state === "online" || connection.state === "catching up";
}

/**
 * Asks the server for something and commits it, in the life in which it was asked for; returns what the commit returns. When a life ended meanwhile it is asked again, and
 * when the answer shows that what is held is of another log, all of that is dropped.
 */
export async function fetched<T, R>(core: Core, ask: () => Promise<T>, commit: (life: number, answer: T) => Promise<R>): Promise<R> {
  for (let tries = 0; ; tries++) {
    const { life } = await core.db.place();
    let answer: T;
    try {
      answer = await ask();
    } catch (why) {
      if (why instanceof Failure && why.code === "unauthorized") core.lost();
      throw why;
    }
    try {
      return await commit(life, answer);
    } catch (why) {
      if (!(why instanceof Fault || why instanceof Stale)) throw why;
      await core.distrusted(life, why);
      if (tries >= 2) throw new Failure("offline", "");
    }
  }
}
