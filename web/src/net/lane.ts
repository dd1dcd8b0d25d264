/**
 * A lane handles what comes strictly in order, one after another: the next waits until the one before has been handled. What waits is bounded
 * by its size. When handling fails, what waits is dropped, for it must not overtake what failed.
 */
export class Lane<T> {
  private waiting: { readonly item: T; readonly size: number }[] = [];
  private size = 0; // of what waits
  private run: Promise<void> | undefined; // while something is being handled

  /**
   * @param limit how much may wait; one item that is alone may be greater
   * @param handle must settle, or nothing moves any more
   * @param failed is told that handle failed, after what waited was dropped
   */
  constructor(
    private readonly limit: number,
    private readonly handle: (item: T) => void | Promise<void>,
    private readonly failed: (item: T) => void,
  ) {}

  /** Takes an item. False: too much waits, and it was not taken. */
  push(item: T, size: number): boolean {
    if (this.waiting.length > 0 && this.size + size > this.limit) return false;
    this.waiting.push({ item, size });
    this.size += size;
    this.run ??= this.work();
    return true;
  }

  /** Forgets what waits, except what is being handled. */
  drop(): void {
    this.waiting = [];
    this.size = 0;
  }

  /** Resolves when nothing waits and nothing is being handled. */
  async idle(): Promise<void> {
    while (this.run !== undefined) await this.run;
  }

  private async work(): Promise<void> {
    await undefined; // so that run is set, and push returns, before anything is handled
    for (let next = this.waiting.shift(); next !== undefined; next = this.waiting.shift()) {
      this.size -= next.size;
      try {
        await this.handle(next.item);
      } catch {
        this.drop();
        this.failed(next.item);
      }
    }
    this.run = undefined;
  }
}
