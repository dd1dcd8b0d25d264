import type { ContactRecord } from "../db/schema";
import type { User } from "../wire/wire.gen";
import { Cell } from "./cell";
import { Coalesced } from "./coalesced";
import type { Core } from "./core";
import { accountOf } from "./conversations";
import type { Contact, Person, Standing } from "./model";
import { person } from "./persons";

/** How the owner stands with others: decided here, kept at once, told to the server when it can be. */
export class Contacts {
  readonly cell = new Cell<readonly Contact[]>([]);
  private readonly work = new Coalesced(() => this.refresh());
  private readonly pulling = new Coalesced(() => this.fetch());

  constructor(private readonly core: Core) {}

  /** They may have changed. Resolves when it is shown. */
  changed(): Promise<void> {
    return this.work.ask();
  }

  /** Asks the server for all of them. */
  pull(): Promise<void> {
    return this.pulling.ask();
  }

  /** Who lets in somebody that asked nothing asks them; there is nothing to reject then. */
  async decide(who: Person, wanted: Standing): Promise<void> {
    const user: User = { id: who.id, handle: who.handle, name: who.name };
    const before = (await this.core.db.read((tx) => tx.get("contacts", who.id)))?.state ?? "none";
    if (wanted === "rejected" && before !== "pending") return;
    const state = wanted === "accepted" && before !== "pending" ? "requested" : wanted === "none" && before === "blocked" ? "unblocked" : wanted;
    await this.core.db.decide(user, state, this.core.outside.now());
    this.core.tabs.changed("all", "contacts", "outbox");
    await this.work.ask();
  }

  async stop(): Promise<void> {
    await Promise.all([this.work.stop(), this.pulling.stop()]);
  }

  private async fetch(): Promise<void> {
    try {
      const all = await this.core.api.contacts();
      if (await this.core.db.contacts(all)) this.core.tabs.changed("all", "contacts", "people");
    } catch (why) {
      this.core.background(why);
    }
  }

  private async refresh(): Promise<void> {
    try {
      const found = await this.core.db.read(async (tx) => {
        if (!(await accountOf(tx))) return [];
        const records = (await tx.all("contacts")).filter((c) => c.state !== "none" && c.state !== "unblocked");
        return Promise.all(records.map(async (c): Promise<[ContactRecord, User | undefined]> => [c, await tx.get("people", c.user)]));
      });
      const now = found.map(([c, user]): Contact => ({ person: person(c.user, user), state: c.state as Standing, at: c.at }));
      if (JSON.stringify(now) !== JSON.stringify(this.cell.now)) this.cell.set(now.sort((a, b) => (a.person.name.toLowerCase() < b.person.name.toLowerCase() ? -1 : 1)));
    } catch (why) {
      this.core.background(why);
    }
  }
}
