import type { Outside } from "./outside";

/** How long a tab that another has overtaken leaves it alone, in milliseconds: at least, and up to as much again by chance. */
const ASIDE = 2_000;

/**
 * One tab of a browser leads: it has the connection and sends what waits. The browser passes the lock on when its holder goes, however it
 * goes. Without locks a tab leads at once. Where two believe to lead all the same, the database refuses the one that was overtaken, and that
 * one steps aside.
 */
export class Leadership {
  private readonly leave = new AbortController();
  private end: () => void = () => undefined; // ends the turn, or the pause after it
  private over: Promise<void> = Promise.resolve();

  /**
   * @param lead begins to lead; what it resolves to is called when it ends
   */
  constructor(
    private readonly outside: Pick<Outside, "locks" | "setTimer" | "random">,
    private readonly lead: () => () => Promise<void>,
  ) {}

  start(): void {
    this.over = this.turns();
  }

  /** Another tab leads, too: leads no more, and asks again after a while. */
  stepAside(): void {
    this.end();
  }

  /** Lets go. Resolves when this tab leads no more. */
  async stop(): Promise<void> {
    this.leave.abort();
    this.end();
    await this.over;
  }

  private async turns(): Promise<void> {
    const { locks } = this.outside;
    while (!this.leave.signal.aborted) {
      // A browser may refuse locks to a page (in some private windows): then the tab leads as where there are none.
      if (locks) await locks.request("parley", this.leave.signal, () => this.turn()).catch(() => this.turn());
      else await this.turn();
      if (!this.leave.signal.aborted) await this.pause();
    }
  }

  private async turn(): Promise<void> {
    if (this.leave.signal.aborted) return;
    const over = new Promise<void>((resolve) => (this.end = resolve));
    const done = this.lead();
    await over;
    await done();
  }

  private pause(): Promise<void> {
    return new Promise((resolve) => {
      const callOff = this.outside.setTimer(resolve, ASIDE * (1 + this.outside.random()));
      this.end = () => {
        callOff();
        resolve();
      };
    });
  }
}
