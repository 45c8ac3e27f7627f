import { textOf } from "./bits.ts";
import type { Kind, Schema } from "./schema.ts";

/** A 64-bit fingerprint of a view, as two halves. */
export interface Hash {
  readonly upper: number;
  readonly lower: number;
}

/**
 * A world at one tick as integers: entities in the order of their IDs, each as it
 * was told last. It keeps its memory when it is reset.
 */
export class View {
  tick = 0;
  /** Entities. */
  count = 0;
  ids = new Uint32Array(64);
  kinds = new Uint8Array(64);
  owners: string[] = [];
  /** Ticks before tick that an entity was told; HISTORY: long ago. One that did not change has an age, too. */
  ages = new Uint8Array(64);
  /** Where an entity's values begin in values, and its texts in texts. */
  valueAt = new Uint32Array(64);
  textAt = new Uint32Array(64);
  values = new Uint32Array(256);
  texts: string[] = [];
  #valueEnd = 0;
  #textEnd = 0;

  /** Empties the view and names its tick. @internal */
  reset(tick: number): void {
    this.tick = tick;
    this.count = 0;
    this.#valueEnd = 0;
    this.#textEnd = 0;
  }

  /** Appends an entity, its fields at 0 and empty, and returns its index. @internal */
  add(k: Kind, kind: number, id: number, owner: string): number {
    const i = this.count++;
    if (i === this.ids.length) {
      this.ids = grow(this.ids, i + 1);
      this.kinds = grow(this.kinds, i + 1);
      this.ages = grow(this.ages, i + 1);
      this.valueAt = grow(this.valueAt, i + 1);
      this.textAt = grow(this.textAt, i + 1);
    }
    this.ids[i] = id;
    this.kinds[i] = kind;
    this.ages[i] = 0;
    this.owners[i] = owner;
    this.valueAt[i] = this.#valueEnd;
    this.textAt[i] = this.#textEnd;
    const values = this.#valueEnd + k.values;
    if (values > this.values.length) this.values = grow(this.values, values);
    this.values.fill(0, this.#valueEnd, values);
    this.#valueEnd = values;
    for (let j = 0; j < k.texts; j++) this.texts[this.#textEnd++] = "";
    return i;
  }

  /** The index of the entity with an ID, -1 if it is not there. */
  find(id: number): number {
    let low = 0;
    let high = this.count;
    while (low < high) {
      const mid = (low + high) >>> 1;
      if (this.ids[mid]! < id) low = mid + 1;
      else high = mid;
    }
    return low < this.count && this.ids[low] === id ? low : -1;
  }

  /** Becomes a copy of another view. @internal */
  copy(from: View): void {
    this.tick = from.tick;
    this.count = from.count;
    this.ids = copied(this.ids, from.ids, from.count);
    this.kinds = copied(this.kinds, from.kinds, from.count);
    this.ages = copied(this.ages, from.ages, from.count);
    this.valueAt = copied(this.valueAt, from.valueAt, from.count);
    this.textAt = copied(this.textAt, from.textAt, from.count);
    this.#valueEnd = from.#valueEnd;
    this.#textEnd = from.#textEnd;
    this.values = copied(this.values, from.values, from.#valueEnd);
    for (let i = 0; i < from.count; i++) this.owners[i] = from.owners[i]!;
    for (let i = 0; i < from.#textEnd; i++) this.texts[i] = from.texts[i]!;
  }

  /** A fingerprint of all entities; for finding faults. */
  hash(schema: Schema): Hash {
    const h = new Hasher();
    for (let i = 0; i < this.count; i++) {
      const k = schema.kinds[this.kinds[i]!]!;
      h.begin(this.ids[i]!, this.kinds[i]!);
      h.text(this.owners[i]!);
      const value = this.valueAt[i]!;
      for (let j = 0; j < k.values; j++) h.word(this.values[value + j]!);
      const text = this.textAt[i]!;
      for (let j = 0; j < k.texts; j++) h.text(this.texts[text + j]!);
      h.end();
    }
    return h.sum();
  }
}

/** A number, an integer, or a bool as 0 or 1, of the i-th entity; 0 if there is none. */
export function numberOf(view: View, i: number, k: Kind, field: number): number {
  const s = k.slots[field];
  if (s === undefined || s.text) return 0;
  const v = view.values[view.valueAt[i]! + s.index]!;
  return s.bool ? v : Math.min(s.min + v * s.step, s.max);
}

/** A string of the i-th entity; "" if there is none. */
export function stringOf(view: View, i: number, k: Kind, field: number): string {
  const s = k.slots[field];
  if (s === undefined || !s.text) return "";
  return textOf(view.texts[view.textAt[i]! + s.index]!);
}

/** Makes fingerprints of entities; see wire/hash.go. @internal */
export class Hasher {
  upper = 0;
  lower = 0;
  #upper = 0;
  #lower = 0;

  /** Begins an entity. */
  begin(id: number, kind: number): void {
    this.upper = 0x9747b28c | 0;
    this.lower = 0x3c6ef372 | 0;
    this.word(id);
    this.word(kind);
  }

  /** Adds the entity. */
  end(): void {
    this.#upper = (this.#upper + finish(this.upper)) | 0;
    this.#lower = (this.#lower + finish(this.lower)) | 0;
  }

  sum(): Hash {
    return { upper: this.#upper >>> 0, lower: this.#lower >>> 0 };
  }

  word(w: number): void {
    this.upper = Math.imul(this.upper ^ w, 0x9e3779b1);
    this.upper ^= this.upper >>> 15;
    this.lower = Math.imul(this.lower ^ w, 0x85ebca77);
    this.lower ^= this.lower >>> 15;
  }

  /** s is a string of bytes. */
  text(s: string): void {
    this.word(s.length);
    for (let i = 0; i < s.length; i += 4) {
      let w = 0;
      for (let j = 0; j < 4 && i + j < s.length; j++) w |= s.charCodeAt(i + j) << (8 * j);
      this.word(w);
    }
  }
}

/** Spreads a lane once more (the last steps of MurmurHash3). */
function finish(h: number): number {
  let s = h ^ (h >>> 16);
  s = Math.imul(s, 0x85ebca6b);
  s ^= s >>> 13;
  s = Math.imul(s, 0xc2b2ae35);
  return s ^ (s >>> 16);
}

function grow<T extends Uint32Array | Uint8Array>(a: T, atLeast: number): T {
  const b = new (a.constructor as new (n: number) => T)(Math.max(atLeast, 2 * a.length));
  b.set(a);
  return b;
}

function copied<T extends Uint32Array | Uint8Array>(into: T, from: T, n: number): T {
  const out = into.length < n ? grow(into, n) : into;
  out.set(from.subarray(0, n) as T);
  return out;
}
