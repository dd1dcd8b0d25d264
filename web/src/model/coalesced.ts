/** Work that is asked for often and done one run at a time: what is asked for while it runs is done by one run after it. */
export class Coalesced {
  private asked = false;
  private stopped = false;
  private running: Promise<void> | undefined;

  /** @param work never rejects */
  constructor(private readonly work: () => Promise<void>) {}

  /** Resolves when everything asked for up to now is done. */
  ask(): Promise<void> {
    if (this.stopped) return this.running ?? Promise.resolve();
    this.asked = true;
    this.running ??= this.run();
    return this.running;
  }

  /** Asks no more. Resolves when nothing runs. */
  async stop(): Promise<void> {
    this.stopped = true;
    await this.running;
  }

  private async run(): Promise<void> {
    while (this.asked) {
      this.asked = false;
      await this.work();
    }
    this.running = undefined;
  }
}
