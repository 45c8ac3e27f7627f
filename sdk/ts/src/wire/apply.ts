import { Context, integerContext, missedState, numberContext, RangeDecoder } from "./coder.ts";
import { HISTORY, invalid } from "./message.ts";
import { later, lowest, Samples, type Bases } from "./samples.ts";
import { type Kind, MAX_ENTITIES, type Schema, seenBy, type Slot, VARIANT_BITS } from "./schema.ts";
import type { Snapshot } from "./snapshot.ts";
import { type Hash, Hasher, type View } from "./view.ts";

const MAX_COPIES = 2 * MAX_ENTITIES;
const KIND_BITS = 5;
const MAX_OWNER = 64;

/** An entity as it was told, by tick modulo HISTORY, and the settled sample behind them. */
class Copied {
  readonly id: number;
  readonly kind: number;
  owner = "";
  readonly samples = new Samples();
  readonly sees = new Uint8Array(HISTORY + 1);
  readonly numbers: Uint32Array;
  readonly texts: string[];

  constructor(id: number, kind: number, k: Kind) {
    this.id = id;
    this.kind = kind;
    this.numbers = new Uint32Array((HISTORY + 1) * k.values);
    this.texts = new Array<string>((HISTORY + 1) * k.texts).fill("");
  }

  /** Keeps what is in a place as the settled sample. */
  settle(k: Kind, place: number): void {
    this.numbers.copyWithin(HISTORY * k.values, place * k.values, (place + 1) * k.values);
    for (let j = 0; j < k.texts; j++) this.texts[HISTORY * k.texts + j] = this.texts[place * k.texts + j]!;
    this.sees[HISTORY] = this.sees[place]!;
  }
}

/**
 * A client's copy of a world: reads snapshots' bodies, and keeps what it needs of
 * those before to read the next; see wire/apply.go. @internal
 */
export class Decoder {
  /** Of the newest snapshot that was applied; 0: none was. */
  tick = 0;

  readonly #schema: Schema;
  #came = 0; // which of the ticks before it and it came
  #copies: Copied[] = []; // in the order of IDs
  #acks = 0; // of one apply
  #r = new RangeDecoder();
  #bases: Bases = { base: 0, older: 0, oldest: 0 };

  constructor(schema: Schema) {
    this.#schema = schema;
  }

  /** Which ticks' snapshots are here of those before tick: bit i is the tick i+1 before it. */
  get came(): number {
    return this.#came >>> 1;
  }

  /** Makes the copy empty. */
  forget(): void {
    this.#copies = [];
    this.tick = 0;
    this.#came = 0;
  }

  /**
   * Brings the copy to the tick of s, which must be newer. Throws when the body
   * makes no sense or was not made for what is here; the copy is then empty.
   */
  apply(s: Snapshot): void {
    if (s.tick <= this.tick || !this.#apply(s)) {
      this.forget();
      throw invalid(`the snapshot of tick ${s.tick} makes no sense here`);
    }
  }

  #apply(s: Snapshot): boolean {
    const by = this.tick === 0 ? HISTORY : Math.min(s.tick - this.tick, HISTORY);
    this.tick = s.tick;
    this.#came = later(this.#came, by);
    this.#advance(by, s);
    const r = this.#r;
    r.begin(s.body);
    if (!this.#readAcks(s.since ?? HISTORY - 1)) return false;
    for (const c of this.#copies) {
      if (c.samples.seen(this.#acks) && !this.#known(c)) return false;
    }
    if (!this.#news() || r.over || !r.done) return false;
    this.#came |= 1;
    return true;
  }

  /** Brings all samples to the tick of s, and drops what it does not refer to. */
  #advance(by: number, s: Snapshot): void {
    this.#copies = this.#copies.filter((c) => {
      const age = c.samples.advance(by);
      if (age >= 0) c.settle(this.#schema.kinds[c.kind]!, (s.tick - by - age) % HISTORY);
      if (s.since !== undefined) {
        if (s.since < HISTORY - 1) c.samples.told &= 2 ** (s.since + 1) - 1;
        c.samples.settled = false;
      }
      return c.samples.told !== 0 || c.samples.settled;
    });
  }

  /** Reads which ticks the server knows to have come. False: it names some that are not here. */
  #readAcks(since: number): boolean {
    let acks = 0;
    let trail = 0;
    for (let i = 1; i <= since; i++) {
      const came = this.#r.bit(Context.ack + trail);
      acks |= came << i;
      trail = ((trail << 1) & 7) | came;
    }
    this.#acks = acks;
    return (acks & ~this.#came) === 0;
  }

  /** Reads what is told of an entity that is seen. */
  #known(c: Copied): boolean {
    const r = this.#r;
    if (r.bit(Context.mention + c.samples.mention(this.#acks)) === 0) return true;
    if (r.bit(Context.special) === 0) return this.#change(c);
    if (r.bit(Context.gone) === 1) {
      c.samples.told |= 1;
      c.samples.gone |= 1;
      return !r.over;
    }
    return this.#fresh(c);
  }

  #place(age: number): number {
    return (this.tick - age) % HISTORY;
  }

  #change(c: Copied): boolean {
    const r = this.#r;
    const k = this.#schema.kinds[c.kind]!;
    const b = c.samples.bases(this.#acks, this.#bases);
    const base = b.base === 0 ? HISTORY : this.#place(b.base);
    const older = b.older === 0 ? -1 : this.#place(b.older);
    const oldest = b.oldest === 0 ? -1 : this.#place(b.oldest);
    const v = c.sees[base]!;
    const to = this.#begin(c, k, v);
    const { numbers, texts } = c;
    let before = 0;
    for (const s of k.slots) {
      if (!seenBy(s, v)) continue;
      if (s.text) {
        const at = to * k.texts + s.index;
        texts[at] = texts[base * k.texts + s.index]!;
        if (r.bit(Context.text) === 1) {
          const text = this.#text(s.top);
          if (text === undefined) return false;
          texts[at] = text;
        }
        continue;
      }
      const was = numbers[base * k.values + s.index]!;
      const past = older < 0 ? was : numbers[older * k.values + s.index]!;
      let value: number;
      if (s.number) {
        let expected = was;
        let trend = 0;
        let missed = 0;
        if (older >= 0) {
          trend = past === was ? 1 : 2;
          expected = onward(was, past, b.base, b.older - b.base, s.top);
          if (oldest >= 0) {
            const first = numbers[oldest * k.values + s.index]!;
            missed = missedState(onward(past, first, b.older - b.base, b.oldest - b.older, s.top), was);
          }
        }
        value = r.difference(numberContext(trend, missed, before), expected, s.top, older >= 0 && was < past);
        before = value === expected ? 1 : 2;
      } else {
        value = this.#integer(s, was, integerContext(older < 0 ? 0 : past === was ? 1 : 2));
      }
      if (value < 0 || value > s.top) return false;
      numbers[to * k.values + s.index] = value;
    }
    c.samples.told |= 1;
    return !r.over;
  }

  #integer(s: Slot, was: number, context: number): number {
    if (s.width > 4) return this.#r.difference(context, was, s.top, false);
    if (!this.#r.changed(context)) return was;
    return s.width === 1 ? was ^ 1 : this.#r.raw(s.width);
  }

  /** Empties the place of the tick, and returns it. */
  #begin(c: Copied, k: Kind, v: number): number {
    const place = this.tick % HISTORY;
    c.numbers.fill(0, place * k.values, (place + 1) * k.values);
    c.texts.fill("", place * k.texts, (place + 1) * k.texts);
    c.sees[place] = v;
    return place;
  }

  #fresh(c: Copied): boolean {
    const r = this.#r;
    const v = r.raw(VARIANT_BITS);
    c.owner = "";
    if (r.raw(1) === 1) {
      const owner = this.#text(MAX_OWNER);
      if (owner === undefined) return false;
      c.owner = owner;
    }
    const k = this.#schema.kinds[c.kind]!;
    const to = this.#begin(c, k, v);
    for (const s of k.slots) {
      if (!seenBy(s, v)) continue;
      if (s.text) {
        const text = this.#text(s.top);
        if (text === undefined) return false;
        c.texts[to * k.texts + s.index] = text;
        continue;
      }
      const value = r.raw(s.width);
      if (value > s.top) return false;
      c.numbers[to * k.values + s.index] = value;
    }
    c.samples.told |= 1;
    c.samples.fresh |= 1;
    return !r.over;
  }

  #text(most: number): string | undefined {
    const n = this.#r.raw(7);
    if (n > most || this.#r.over) return undefined;
    let s = "";
    for (let i = 0; i < n; i++) s += String.fromCharCode(this.#r.raw(8));
    return s;
  }

  /** Reads the entities that the client does not see who has these ticks. */
  #news(): boolean {
    const r = this.#r;
    const added: Copied[] = [];
    let last = 0;
    let at = 0;
    for (let first = true; r.bit(Context.more) === 1; first = false) {
      let id: number;
      if (first) {
        id = r.raw(32);
      } else {
        const n = r.amount(Context.gap);
        if (n < 0) return false;
        id = last + 1 + n;
      }
      const kind = r.raw(KIND_BITS);
      const k = this.#schema.kinds[kind];
      if (id === 0 || id > 0xffffffff || k === undefined || r.over) return false;
      last = id;
      while (at < this.#copies.length && this.#copies[at]!.id < id) at++;
      let c = this.#copies[at];
      if (c === undefined || c.id !== id) {
        if (this.#copies.length + added.length >= MAX_COPIES) return false;
        c = new Copied(id, kind, k);
        added.push(c);
      } else if (c.kind !== kind || (c.samples.told & 1) !== 0) {
        return false;
      }
      if (!this.#fresh(c)) return false;
    }
    if (added.length > 0) this.#copies = [...this.#copies, ...added].sort((a, b) => a.id - b.id);
    return true;
  }

  /** The place of what was told last, as these ticks have it; -1: it is not seen. */
  #newest(c: Copied, came: number): number {
    const told = c.samples.told & came;
    if (told === 0) return c.samples.settled ? HISTORY : -1;
    const age = lowest(told);
    return ((c.samples.gone >>> age) & 1) === 1 ? -1 : this.#place(age);
  }

  /** Makes view what the client sees: the newest of each entity. */
  fill(view: View): void {
    view.reset(this.tick);
    for (const c of this.#copies) {
      const place = this.#newest(c, -1);
      if (place < 0) continue;
      const k = this.#schema.kinds[c.kind]!;
      const i = view.add(k, c.kind, c.id, c.owner);
      view.ages[i] = Math.min(lowest(c.samples.told), HISTORY);
      for (let j = 0; j < k.values; j++) view.values[view.valueAt[i]! + j] = c.numbers[place * k.values + j]!;
      for (let j = 0; j < k.texts; j++) view.texts[view.textAt[i]! + j] = c.texts[place * k.texts + j]!;
    }
  }

  /** A fingerprint of what the server knows the client to see. */
  hash(): number {
    const h = new Hasher();
    for (const c of this.#copies) {
      const place = this.#newest(c, this.#acks | 1);
      if (place < 0) continue;
      h.begin(c.id, c.kind);
      if (place < HISTORY) {
        const k = this.#schema.kinds[c.kind]!;
        h.text(c.owner);
        for (let j = 0; j < k.values; j++) h.word(c.numbers[place * k.values + j]!);
        for (let j = 0; j < k.texts; j++) h.text(c.texts[place * k.texts + j]!);
      }
      h.end();
    }
    const sum: Hash = h.sum();
    return sum.upper;
  }
}

/** base + (base-older) * ahead/behind, rounded half up, within 0 to top. */
function onward(base: number, older: number, ahead: number, behind: number, top: number): number {
  if (base === older) return base;
  const moved = (base - older) * ahead; // below 2^38: all of this is exact
  return Math.max(0, Math.min(base + Math.floor((2 * moved + behind) / (2 * behind)), top));
}
