import { tables } from "./tables.ts";

// The contexts of the model; see wire/model.go.
const MENTION_STATES = 5;
const TREND_STATES = 3;
const ERROR_STATES = 7;
const BEFORE_STATES = 3;
const LENGTH_NODES = 10;
const NODE_ZERO = 0;
const NODE_SIGN = 1;
const NODE_LENGTH = 2;
const NODE_SECOND = NODE_LENGTH + LENGTH_NODES;
const NUMBER_NODES = NODE_SECOND + LENGTH_NODES;

/** @internal */
export const Context = (() => {
  const raw = 0;
  const ack = 1;
  const mention = ack + 8;
  const special = mention + MENTION_STATES;
  const gone = special + 1;
  const more = gone + 1;
  const gap = more + 1;
  const number = gap + NUMBER_NODES;
  const integer = number + TREND_STATES * ERROR_STATES * BEFORE_STATES * NUMBER_NODES;
  const text = integer + 3 * NUMBER_NODES;
  return { raw, ack, mention, special, gone, more, gap, number, integer, text } as const;
})();

/** The context of a number; see guess in wire/predict.go. @internal */
export function numberContext(trend: number, missed: number, before: number): number {
  return Context.number + ((trend * ERROR_STATES + missed) * BEFORE_STATES + before) * NUMBER_NODES;
}

/** The context of an integer. @internal */
export function integerContext(turned: number): number {
  return Context.integer + turned * NUMBER_NODES;
}

/** How badly a number was expected, as a state: 1 and more. @internal */
export function missedState(a: number, b: number): number {
  const off = a < b ? b - a : a - b;
  return 1 + Math.min(32 - Math.clz32(off), ERROR_STATES - 2);
}

const MOST_ZEROS = 4;

/**
 * Reads what the server's range coder wrote (wire/coder.go). Past the end it
 * reads zeros; over says whether it read more of them than are ever left out.
 * @internal
 */
export class RangeDecoder {
  #src: Uint8Array = new Uint8Array(0);
  #at = 0;
  #width = 0;
  #code = 0;

  begin(src: Uint8Array): void {
    this.#src = src;
    this.#at = 0;
    this.#width = 0xffffffff;
    this.#code = 0;
    for (let i = 0; i < 4; i++) this.#more();
  }

  #more(): void {
    this.#code = ((this.#code << 8) | (this.#at < this.#src.length ? this.#src[this.#at]! : 0)) >>> 0;
    this.#at++;
  }

  get over(): boolean {
    return this.#at > this.#src.length + MOST_ZEROS;
  }

  /** Whether all bytes were read. */
  get done(): boolean {
    return this.#at >= this.#src.length;
  }

  /** Reads one decision. */
  bit(context: number): number {
    const bound = (this.#width >>> 12) * tables[context]!; // below 2^32
    let b = 0;
    if (this.#code < bound) {
      this.#width = bound;
    } else {
      this.#code -= bound;
      this.#width -= bound;
      b = 1;
    }
    while (this.#width < 0x1000000) {
      this.#width = (this.#width << 8) >>> 0;
      this.#more();
    }
    return b;
  }

  /** Reads n bits, up to 32, the highest first. */
  raw(n: number): number {
    let v = 0;
    for (let i = 0; i < n; i++) v = ((v << 1) | this.bit(Context.raw)) >>> 0;
    return v;
  }

  /** Reads a number from 0 that is usually small; -1: it has more than 32 bits. */
  amount(context: number): number {
    let n = 0;
    while (this.bit(context + NODE_LENGTH + Math.min(n, LENGTH_NODES - 1)) === 1) {
      if (++n > 31) return -1;
    }
    let u = 1;
    for (let i = 0; i < n; i++) {
      const c = i === 0 ? context + NODE_SECOND + Math.min(n, LENGTH_NODES - 1) : Context.raw;
      u = u * 2 + this.bit(c);
    }
    return u - 1;
  }

  /** Whether a value that has few others is another one. */
  changed(context: number): boolean {
    return this.bit(context + NODE_ZERO) === 1;
  }

  /** Reads a value by its difference; -1: it is not 0 to top. */
  difference(context: number, expected: number, top: number, down: boolean): number {
    if (this.bit(context + NODE_ZERO) === 0) return expected;
    const below = (this.bit(context + NODE_SIGN) === 1) !== down;
    const n = this.amount(context);
    if (n < 0) return -1;
    if (below) return expected - n - 1; // below 0: out of range
    const v = expected + n + 1;
    return v <= top ? v : -1;
  }
}
