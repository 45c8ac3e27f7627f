const SECONDS = 2; // over which rates are taken
const SLICES = 8;

/** Events and amounts a second, over the last two seconds. */
export class Rate {
  #slices = new Float64Array(SLICES);
  #at = 0; // slice since the clock's zero

  /** Counts an amount. */
  add(amount: number, now: number): void {
    this.#advance(now);
    this.#slices[this.#at % SLICES]! += amount;
  }

  /** Amount a second. */
  perSecond(now: number): number {
    this.#advance(now);
    return this.#slices.reduce((a, b) => a + b, 0) / SECONDS;
  }

  #advance(now: number): void {
    const at = Math.floor((now * SLICES) / (SECONDS * 1000));
    for (let i = Math.max(this.#at + 1, at - SLICES + 1); i <= at; i++) this.#slices[i % SLICES] = 0;
    this.#at = Math.max(this.#at, at);
  }
}
