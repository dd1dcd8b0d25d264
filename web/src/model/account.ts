import type { AccountRecord } from "../db/schema";
import { Failure } from "../wire/failure";
import type { Me, SignedIn, User } from "../wire/wire.gen";
import { Cell } from "./cell";
import { Coalesced } from "./coalesced";
import type { Core } from "./core";
import type { Account } from "./model";
import { person } from "./persons";

/** Who is signed in on this device. */
export class Accounts {
  readonly cell = new Cell<Account>({ state: "starting" });
  private readonly work = new Coalesced(() => this.refresh());
  private broken = false;

  /**
   * @param ready prepares what is shown of an account before it is first said to be in
   * @param turned is told of each account that is in or out
   */
  constructor(
    private readonly core: Core,
    private readonly ready: () => Promise<void>,
    private readonly turned: (me: string | undefined) => void,
  ) {}

  /** It may have changed. Resolves when it is shown. */
  changed(): Promise<void> {
    return this.work.ask();
  }

  stop(): Promise<void> {
    return this.work.stop();
  }

  async signUp(form: { handle: string; password: string; name: string; invite: string }): Promise<void> {
    const { handle, password, name, invite } = form;
    await this.enter(await this.core.api.register({ handle, password, ...(name ? { name } : {}), ...(invite ? { invite } : {}) }));
  }

  async signIn(form: { handle: string; password: string }): Promise<void> {
    await this.enter(await this.core.api.signIn(form));
  }

  /** Forgets everything, also when the server cannot be told now: then it is told at the next start. */
  async signOut(): Promise<void> {
    await this.core.db.erase(true);
    this.core.tabs.changed("all", "account");
    await this.work.ask();
    await this.leave();
  }

  /** Tells the server of a sign-out that it has not heard of. */
  async finishLeaving(): Promise<void> {
    if (await this.core.db.read((tx) => tx.get("meta", "leaving"))) await this.leave();
  }

  /** The server no longer knows this device. What it holds is kept until somebody signs in. */
  async lost(): Promise<void> {
    await this.core.db.updateAccount((account) => ({ ...account, lost: true }));
    this.core.tabs.changed("all", "account");
  }

  /** The owner's account after a change, as the server answers it. */
  async changedTo(me: Me): Promise<void> {
    const { id, handle, name, status, avatar } = me;
    const user: User = { id, handle, name, ...(status ? { status } : {}), ...(avatar ? { avatar } : {}) };
    if (await this.core.db.updateAccount((account) => ({ ...account, me: user }))) this.core.tabs.changed("all", "account", "people");
    await this.work.ask();
  }

  /** The device's database cannot be used. */
  breakDown(failure: Failure): void {
    this.broken = true;
    this.cell.set({ state: "broken", failure });
    this.turned(undefined);
  }

  mended(): void {
    this.broken = false;
  }

  private async enter({ user, device }: SignedIn): Promise<void> {
    const admin = await this.core.api.me().then(
      (me) => me.admin,
      () => false, // it is asked again with the next connection
    );
    await this.core.db.signIn(user, device.id, admin);
    this.core.tabs.changed("all", "account", "outbox");
    await this.work.ask();
  }

  private async leave(): Promise<void> {
    try {
      await this.core.api.signOut();
    } catch (why) {
      if (!(why instanceof Failure) || why.code !== "unauthorized") return; // at the next start
    }
    // Somebody may have signed in meanwhile: that is another session, and this note is gone with it.
    await this.core.db.left();
  }

  private async refresh(): Promise<void> {
    if (this.broken) return;
    try {
      const { account, unsent } = await this.core.db.read(async (tx) => ({
        account: (await tx.get("meta", "account")) as AccountRecord | undefined,
        unsent: (await tx.all("outbox")).filter((row) => !row.acked).length,
      }));
      const shown = this.cell.now.state === "in" ? this.cell.now.me.id : undefined;
      if (account && !account.lost && account.me.id !== shown) await this.ready();
      if (!this.broken) this.show(account, unsent);
    } catch (why) {
      this.core.background(why);
    }
  }

  private show(account: AccountRecord | undefined, unsent: number): void {
    const signedIn = account && !account.lost ? account : undefined;
    // The view hears that nobody is in before the connection goes, and of who is in before it comes.
    if (signedIn) this.set({ state: "in", me: person(signedIn.me.id, signedIn.me), admin: signedIn.admin, device: signedIn.device });
    else this.set({ state: "out", lost: account !== undefined, ...(account ? { handle: account.me.handle } : {}), unsent });
    this.turned(signedIn?.me.id);
  }

  private set(now: Account): void {
    if (JSON.stringify(now) !== JSON.stringify(this.cell.now)) this.cell.set(now);
  }
}
