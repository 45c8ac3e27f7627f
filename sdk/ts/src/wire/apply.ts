import { BitReader } from "./bits.ts";
import { invalid } from "./message.ts";
import { MAX_ENTITIES, type Schema, type Slot } from "./schema.ts";
import type { Snapshot } from "./snapshot.ts";
import { View } from "./view.ts";

// The buckets of a value's difference; see wire/delta.go.
const NEAR_BITS = 2;
const MID_BITS = 5;
const FAR_BITS = 9;
const NEAR_END = 1 << NEAR_BITS;
const MID_END = NEAR_END + (1 << MID_BITS);

/** Reads the bodies of snapshots; see wire/apply.go. It keeps its memory. @internal */
export class Decoder {
  readonly #schema: Schema;
  readonly #empty = new View();

  // Of one apply.
  #r = new BitReader(new Uint8Array(0));
  #dst: View = this.#empty;
  #base: View = this.#empty;
  #older: View | undefined;
  #olderAt = 0;
  #ahead = 0; // ticks from base to now
  #behind = 0; // ticks from older to base; 0: nothing is expected to move
  #through = 0;
  #next = 0; // entity of base after the last one that was looked at
  #last = 0;
  #adding = false; // base is done

  constructor(schema: Schema) {
    this.#schema = schema;
  }

  /**
   * Makes dst the view at s.tick: base with what the bodies, in order, change. s
   * is the snapshot's part 0. base and older are undefined where s names none;
   * dst must be neither. Throws when the bodies were not made for these views.
   */
  apply(dst: View, s: Snapshot, base: View | undefined, older: View | undefined, bodies: readonly Uint8Array[]): void {
    dst.reset(s.tick);
    this.#dst = dst;
    this.#base = base ?? this.#empty;
    this.#older = older;
    this.#olderAt = 0;
    const trend = base !== undefined && older !== undefined;
    this.#ahead = trend ? s.tick - base.tick : 0;
    this.#behind = trend ? base.tick - older.tick : 0;
    this.#through = s.about.through === 0 ? 0xffffffff : s.about.through;
    this.#next = 0;
    this.#adding = false;
    for (const [i, b] of bodies.entries()) {
      if (!this.#body(b)) throw invalid(`part ${i} of the snapshot of tick ${s.tick} makes no sense`);
    }
    if (!this.#adding) this.#keep(this.#base.count);
    if (!dst.sort()) throw invalid(`the snapshot of tick ${s.tick} has an entity twice`);
  }

  #body(b: Uint8Array): boolean {
    const r = (this.#r = new BitReader(b));
    let at = 0;
    for (;;) {
      let gap = 0;
      if (!r.flag()) {
        gap = r.count();
        if (gap === 0) break;
      }
      const i = at + gap;
      if (i < this.#next || i >= this.#base.count) return false;
      this.#keep(i);
      if (!this.#change(i)) return false;
      at = i + 1;
    }
    for (let first = true; r.flag(); first = false) {
      if (!this.#adding) {
        this.#keep(this.#base.count);
        this.#adding = true;
      }
      if (!this.#add(first)) return false;
    }
    return !r.short;
  }

  /** Takes over the entities of base before the i-th as they are expected. */
  #keep(i: number): void {
    for (; this.#next < i; this.#next++) this.#expect(this.#next);
  }

  /** Adds the i-th entity of base as it is expected; -1: it is not seen any more. */
  #expect(i: number): number {
    const base = this.#base;
    const dst = this.#dst;
    const id = base.ids[i]!;
    if (id > this.#through) return -1;
    const kind = base.kinds[i]!;
    const k = this.#schema.kinds[kind]!;
    const at = dst.add(k, kind, id, base.owners[i]!);
    const from = base.valueAt[i]!;
    const to = dst.valueAt[at]!;
    for (let j = 0; j < k.values; j++) dst.values[to + j] = base.values[from + j]!;
    const older = this.#olderValues(id, kind);
    if (this.#behind !== 0 && older >= 0) {
      const past = this.#older!.values;
      for (const s of k.slots) {
        if (s.number) dst.values[to + s.index] = this.#trend(base.values[from + s.index]!, past[older + s.index]!, s.top);
      }
    }
    const text = base.textAt[i]!;
    const into = dst.textAt[at]!;
    for (let j = 0; j < k.texts; j++) dst.texts[into + j] = base.texts[text + j]!;
    return at;
  }

  /** base + (base-older) * ahead/behind, rounded half up, within 0 to top. */
  #trend(base: number, older: number, top: number): number {
    if (base === older) return base;
    const moved = (base - older) * this.#ahead; // below 2^38: all of this is exact
    const p = base + Math.floor((2 * moved + this.#behind) / (2 * this.#behind));
    return Math.max(0, Math.min(p, top));
  }

  /** Where the values of an entity begin in older, by IDs that go up; -1: it is not there. */
  #olderValues(id: number, kind: number): number {
    const v = this.#older;
    if (v === undefined) return -1;
    while (this.#olderAt < v.count && v.ids[this.#olderAt]! < id) this.#olderAt++;
    if (this.#olderAt === v.count) return -1;
    return v.ids[this.#olderAt] === id && v.kinds[this.#olderAt] === kind ? v.valueAt[this.#olderAt]! : -1;
  }

  /** Reads a change of the i-th entity of base, the next one. */
  #change(i: number): boolean {
    const at = this.#expect(i);
    if (at < 0) return false;
    this.#next = i + 1;
    const dst = this.#dst;
    let removed = true;
    for (const s of this.#schema.kinds[dst.kinds[at]!]!.slots) {
      if (!this.#r.flag()) continue;
      removed = false;
      if (!this.#field(s, at)) return false;
    }
    if (removed) dst.drop();
    return !this.#r.short;
  }

  /** Reads a field that is not as it was expected, which it still is in dst. */
  #field(s: Slot, at: number): boolean {
    const dst = this.#dst;
    if (s.text) return this.#text(s, at);
    const j = dst.valueAt[at]! + s.index;
    const v = this.#value(s, dst.values[j]!);
    if (v < 0 || v > s.top) return false;
    dst.values[j] = v;
    return true;
  }

  #text(s: Slot, at: number): boolean {
    const text = this.#r.text();
    this.#dst.texts[this.#dst.textAt[at]! + s.index] = text;
    return text.length <= s.top;
  }

  /** Reads a value that was expected to be was; out of range: it makes no sense. */
  #value(s: Slot, was: number): number {
    const r = this.#r;
    if (s.width === 1) return was ^ 1;
    if (s.width <= 4) return r.bits(s.width);
    let diff: number;
    if (!r.flag()) diff = r.bits(NEAR_BITS);
    else if (!r.flag()) diff = r.bits(MID_BITS) + NEAR_END;
    else if (s.width > FAR_BITS && !r.flag()) diff = r.bits(FAR_BITS) + MID_END;
    else return r.bits(s.width);
    const step = (diff >> 1) + 1;
    return diff % 2 === 1 ? was - step : was + step;
  }

  #add(first: boolean): boolean {
    const r = this.#r;
    const id = first ? r.bits(32) : this.#last + 1 + r.count();
    const kind = r.bits(5);
    const k = this.#schema.kinds[kind];
    if (id > this.#through || k === undefined || this.#dst.count >= MAX_ENTITIES) return false;
    this.#last = id;
    const at = this.#dst.add(k, kind, id, r.flag() ? r.text() : "");
    const value = this.#dst.valueAt[at]!;
    for (const s of k.slots) {
      if (s.text) {
        if (!this.#text(s, at)) return false;
        continue;
      }
      const v = r.bits(s.width);
      if (v > s.top) return false;
      this.#dst.values[value + s.index] = v;
    }
    return !r.short;
  }
}
