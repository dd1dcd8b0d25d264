import type { Readable } from "./model";

/** A Readable that its owner sets. Setting the value it has tells nobody. */
export class Cell<T> implements Readable<T> {
  private readonly told = new Set<(value: T) => void>();

  constructor(private value: T) {}

  get now(): T {
    return this.value;
  }

  set(value: T): void {
    if (value === this.value) return;
    this.value = value;
    for (const run of [...this.told]) if (this.told.has(run)) run(value);
  }

  subscribe(run: (value: T) => void): () => void {
    const mine = (value: T): void => run(value); // the same function may subscribe twice
    this.told.add(mine);
    run(this.value);
    return () => void this.told.delete(mine);
  }
}
