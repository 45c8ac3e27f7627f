import { HISTORY } from "./message.ts";

// Masks of ticks: bit i is the tick that is i before the snapshot's.

/** A mask's bits, moved on by so many ticks. @internal */
export function later(mask: number, by: number): number {
  return by >= HISTORY ? 0 : (mask << by) >>> 0;
}

/** The index of the lowest bit; 32 if there is none. @internal */
export function lowest(mask: number): number {
  return mask === 0 ? 32 : 31 - Math.clz32(mask & -mask);
}

const LEAST_STEP = 2;
const MOST_STEP = 8;

/** What a number is expected from: ages of samples, 0: there is none. @internal */
export interface Bases {
  base: number;
  older: number;
  oldest: number;
}

/** In which ticks an entity was told; see wire/samples.go. @internal */
export class Samples {
  told = 0;
  gone = 0;
  fresh = 0;
  settled = false;

  reset(): void {
    this.told = this.gone = this.fresh = 0;
    this.settled = false;
  }

  /** Goes on by so many ticks, and returns the age, before it, of the newest sample that is left behind, or -1. */
  advance(by: number): number {
    const left = by < HISTORY ? this.told & ~((2 ** (HISTORY - by) - 1) | 0) : this.told;
    const age = left === 0 ? -1 : lowest(left);
    if (age >= 0) this.settled = ((this.gone >>> age) & 1) === 0;
    this.told = later(this.told, by);
    this.gone = later(this.gone, by);
    this.fresh = later(this.fresh, by);
    return age;
  }

  /** Whether a client sees the entity who has these ticks, and what settled. */
  seen(acks: number): boolean {
    const came = this.told & acks;
    return came === 0 ? this.settled : ((this.gone >>> lowest(came)) & 1) === 0;
  }

  /** Which of these ticks told the entity, from the newest on that told it anew. */
  #since(acks: number): number {
    const came = this.told & acks;
    const fresh = this.fresh & came;
    return fresh === 0 ? came : came & ((fresh & -fresh) | ((fresh & -fresh) - 1));
  }

  /** Chooses what the newest values are told by. */
  bases(acks: number, into: Bases): Bases {
    const came = this.#since(acks) & ~this.gone;
    into.base = into.older = into.oldest = 0;
    if (came === 0) return into;
    into.base = lowest(came);
    const step = Math.min(Math.max(into.base, LEAST_STEP), MOST_STEP);
    into.older = before(came, into.base, step);
    if (into.older !== 0) into.oldest = before(came, into.older, step);
    return into;
  }

  /** How likely the entity is to be told again. */
  mention(acks: number): number {
    const newest = acks & -acks;
    let second = acks & ~newest;
    second &= -second;
    const t = this.#since(acks);
    if ((t & newest) !== 0) return (t & second) !== 0 ? 0 : 1;
    if ((t & second) !== 0) return 2;
    return t !== 0 ? 3 : 4;
  }
}

function before(came: number, at: number, step: number): number {
  if (at + step < HISTORY) {
    const far = came >>> (at + step);
    if (far !== 0) return at + step + lowest(far);
  }
  const last = 31 - Math.clz32(came);
  return last > at ? last : 0;
}
