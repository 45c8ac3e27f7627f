const WINDOW = 32; // round trips that are looked at
const SLEW = 0.05; // how much faster or slower than real time the estimate may run
const JUMP = 500; // ms off at which it jumps instead: the server stood still, or is another one

/**
 * Estimates the server's time. A round trip says it within half of its length; so the
 * shortest quarter of them is believed, and of these the median. Times are
 * milliseconds of one clock of the caller's.
 */
export class Clock {
  readonly #tickTime: number;
  #trips: { readonly offset: number; readonly round: number }[] = []; // offset: to add to the caller's time if both ways took as long
  #target = 0; // what is to be added to the caller's time
  #offset = 0; // what is added, on its way to target
  #at = 0; // when

  constructor(tickRate: number) {
    this.#tickTime = 1000 / Math.max(1, tickRate);
  }

  /** Takes a round trip that ended now, with the snapshot of a tick. */
  add(tick: number, round: number, now: number): void {
    const offset = tick * this.#tickTime - (now - round / 2);
    this.#advance(now);
    // No way can be as uneven as that.
    if (this.#trips.length > 0 && Math.abs(offset - this.#target) > JUMP + round / 2) this.#trips = [];
    const first = this.#trips.length === 0;
    push(this.#trips, { offset, round }, WINDOW);
    const best = [...this.#trips].sort((a, b) => a.round - b.round).slice(0, Math.floor((this.#trips.length + 3) / 4));
    this.#target = median(best.map((t) => t.offset));
    if (first || Math.abs(this.#target - this.#offset) > JUMP) this.#offset = this.#target;
  }

  #advance(now: number): void {
    const passed = Math.max(0, now - this.#at);
    this.#at = Math.max(this.#at, now);
    this.#offset += bounded(this.#target - this.#offset, SLEW * passed);
  }

  /** At which tick the server is now, with its fraction; NaN: no round trip is known. */
  tick(now: number): number {
    if (this.#trips.length === 0) return NaN;
    this.#advance(now);
    return (now + this.#offset) / this.#tickTime;
  }
}

/** Appends to a list of the newest n. @internal */
export function push<T>(list: T[], v: T, n: number): void {
  if (list.length === n) list.shift();
  list.push(v);
}

/** The middle one, of an even number the lower. @internal */
export function median(v: readonly number[]): number {
  return [...v].sort((a, b) => a - b)[Math.floor((v.length - 1) / 2)]!;
}

/** v, at most by so much from 0. @internal */
export function bounded(v: number, most: number): number {
  return Math.max(-most, Math.min(most, v));
}
