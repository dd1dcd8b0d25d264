/** The ceiling of the waits doubles from the first to the last, in milliseconds. */
const FIRST = 500;
const LAST = 30_000;

/** No wait is shorter, in milliseconds, whatever chance says. */
const LEAST = 50;

/**
 * Spreads tries with full jitter: each wait is anywhere between nearly nothing and a ceiling that doubles, so that the many pages that lost a
 * server together do not return together.
 */
export class Backoff {
  private tries = 0;

  constructor(private readonly random: () => number) {}

  /** How long to wait before the next try, in milliseconds. */
  next(): number {
    const ceiling = Math.min(LAST, FIRST * 2 ** this.tries);
    this.tries = Math.min(this.tries + 1, 16); // far past the last, and a number that stays small
    return Math.max(LEAST, this.random() * ceiling);
  }

  reset(): void {
    this.tries = 0;
  }
}
