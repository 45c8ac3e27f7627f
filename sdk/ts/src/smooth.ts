import type { Kind, Schema } from "./wire/schema.ts";
import { numberOf, stringOf, View } from "./wire/view.ts";

const FRAMES = 16; // kept to draw between
const WINDOW = 64; // snapshots that say how late they come
const LEAST_DELAY = 2; // ticks
const MOST_DELAY = 8;
const SLEW = 0.05; // how much faster or slower than real time the world may run
const JUMP = 12; // ticks off at which it jumps instead

/**
 * Shows a world that comes in steps, late and with gaps, as one that moves
 * evenly: some ticks behind the newest snapshot, between the two that surround
 * that time. The delay is two to three ticks, and more while snapshots come
 * unevenly or get lost. Times are milliseconds of one clock of the caller's.
 */
export class Smoother {
  /** Milliseconds of a tick. */
  readonly tickTime: number;
  /** Ticks behind the newest that the world is aimed to be shown. */
  delay = LEAST_DELAY + 0.5;

  readonly #schema: Schema;
  #frames: View[] = []; // by tick
  #spare: View[] = [];
  #lags: number[] = []; // of the last snapshots: arrival minus tick times tickTime
  #shown = NaN; // tick, with its fraction
  #asked = 0; // when it was shown
  #scene: SmoothEntity[] = [];

  constructor(schema: Schema, tickRate: number) {
    this.#schema = schema;
    this.tickTime = 1000 / Math.max(1, tickRate);
  }

  /** Takes a complete snapshot, of which it keeps a copy, when it arrived. */
  add(view: View, now: number): void {
    const last = this.#frames[this.#frames.length - 1];
    if (last !== undefined && view.tick <= last.tick) return;
    const copy = this.#spare.pop() ?? new View();
    copy.copy(view);
    this.#frames.push(copy);
    if (this.#frames.length > FRAMES) this.#spare.push(this.#frames.shift()!);
    this.#lags.push(now - view.tick * this.tickTime);
    if (this.#lags.length > WINDOW) this.#lags.shift();
    this.#adjust();
  }

  /** Sets the delay: two ticks, and what nine of ten snapshots need on top. */
  #adjust(): void {
    const sorted = [...this.#lags].sort((a, b) => a - b);
    const late = sorted[Math.floor((sorted.length - 1) * 0.9)]! - sorted[0]!;
    const want = Math.min(MOST_DELAY, LEAST_DELAY + 0.2 + late / this.tickTime);
    // Up at once, down slowly: a stutter is worse than a few milliseconds.
    this.delay = want > this.delay ? want : this.delay + (want - this.delay) * 0.02;
  }

  /** The tick that is to be shown now, with its fraction; NaN before the first snapshot. */
  #advance(now: number): number {
    const newest = this.#frames[this.#frames.length - 1];
    if (newest === undefined) return NaN;
    const first = Math.min(...this.#lags);
    const want = (now - first) / this.tickTime - this.delay;
    if (Number.isNaN(this.#shown) || Math.abs(want - this.#shown) > JUMP) {
      this.#shown = want;
    } else {
      const passed = (now - this.#asked) / this.tickTime;
      const off = want - (this.#shown + passed);
      this.#shown += passed + Math.max(-SLEW * passed, Math.min(SLEW * passed, off));
    }
    this.#asked = now;
    return this.#shown;
  }

  /**
   * The world as it is to be shown now. The entities are good until the next
   * call; fields of the type number move evenly, all others change at their tick.
   */
  at(now: number): readonly SmoothEntity[] {
    const tick = this.#advance(now);
    const frames = this.#frames;
    if (frames.length === 0) return [];
    let i = frames.length - 1;
    while (i > 0 && frames[i]!.tick > tick) i--;
    const from = frames[i]!;
    const to = frames[i + 1];
    const part = to === undefined ? 0 : Math.max(0, Math.min(1, (tick - from.tick) / (to.tick - from.tick)));
    const scene = this.#scene;
    scene.length = from.count;
    for (let j = 0, k = 0; j < from.count; j++) {
      const id = from.ids[j]!;
      const e = (scene[j] ??= new SmoothEntity());
      const kind = from.kinds[j]!;
      if (to !== undefined) while (k < to.count && to.ids[k]! < id) k++;
      const still = to !== undefined && k < to.count && to.ids[k] === id && to.kinds[k] === kind;
      e.set(this.#schema.kinds[kind]!, from, j, still ? to : undefined, k, part);
    }
    return scene;
  }
}

/** One thing in the world as it is shown. It is good until the next {@link Smoother.at}. */
export class SmoothEntity {
  #kind!: Kind;
  #from!: View;
  #i = 0;
  #to: View | undefined;
  #j = 0;
  #part = 0;

  /** @internal */
  set(kind: Kind, from: View, i: number, to: View | undefined, j: number, part: number): void {
    this.#kind = kind;
    this.#from = from;
    this.#i = i;
    this.#to = to;
    this.#j = j;
    this.#part = part;
  }

  /** Counts from 1 and is never used again in a session. */
  get id(): number {
    return this.#from.ids[this.#i]!;
  }

  /** The player whose entity it is; "": nobody's. */
  get owner(): string {
    return this.#from.owners[this.#i]!;
  }

  /** What the place calls it, and its fields. */
  get kind(): Kind {
    return this.#kind;
  }

  /** A number, an integer, or a bool as 0 or 1, by the field's index (see {@link Kind.field}); 0 if there is none. */
  number(field: number): number {
    const a = numberOf(this.#from, this.#i, this.#kind, field);
    if (this.#to === undefined || this.#kind.fields[field]?.kind !== "number") return a;
    return a + (numberOf(this.#to, this.#j, this.#kind, field) - a) * this.#part;
  }

  /** A string, by the field's index; "" if there is none. It is what a player or a script wrote: never treat it as markup. */
  text(field: number): string {
    return stringOf(this.#from, this.#i, this.#kind, field);
  }
}
