import type { Kind, Schema } from "../wire/schema.ts";
import { numberOf, stringOf, View } from "../wire/view.ts";
import { bounded, median, push } from "./clock.ts";
import { Look } from "./look.ts";

const FRAMES = 32; // kept to draw between
const WINDOW = 64; // snapshots that say how late they come
const LEAST_GAPS = 2.2; // between snapshots that the world is shown behind, and what nine of ten need on top
const MOST_DELAY = 8; // ticks, or
const MOST_GAPS = 3;
const SLEW = 0.05; // how much faster or slower than real time the world may run
const JUMP = 12; // ticks off at which it jumps instead
// An entity whose last two samples are further apart than that was at rest until a gap
// before the later one.
const MOST_SPAN = 6;
// How many ticks an entity goes on as between its last two samples when the next one is
// late.
const AHEAD = 3;

/**
 * Shows a world that comes in steps, late and with gaps, as one that moves evenly: some
 * ticks behind the newest snapshot, each entity between the two samples that surround
 * that time. The delay is two to three gaps between snapshots, and more while they come
 * unevenly or get lost. Times are milliseconds of one clock of the caller's.
 */
export class Smoother {
  /** Milliseconds of a tick. */
  readonly tickTime: number;
  /** Ticks behind the newest that the world is aimed to be shown. */
  delay = LEAST_GAPS + 0.3;

  readonly #looks: readonly Look[];
  #frames: View[] = []; // by tick
  #lags: number[] = []; // of the last snapshots: arrival minus tick times tickTime
  #gaps: number[] = []; // ticks between them
  #gap = 1; // median of gaps
  #shown = NaN; // tick, with its fraction
  #asked = 0; // when it was shown
  #scene: SmoothEntity[] = [];

  constructor(schema: Schema, tickRate: number) {
    this.#looks = schema.kinds.map((k) => new Look(k));
    this.tickTime = 1000 / Math.max(1, tickRate);
  }

  /** Takes a complete snapshot, of which it keeps a copy, when it arrived. False: it is no newer one. */
  add(view: View, now: number): boolean {
    const last = this.newest;
    if (last !== undefined) {
      if (view.tick <= last.tick) return false;
      push(this.#gaps, view.tick - last.tick, WINDOW);
      this.#gap = median(this.#gaps);
    }
    const copy = this.#frames.length === FRAMES ? this.#frames.shift()! : new View();
    copy.copy(view);
    this.#frames.push(copy);
    push(this.#lags, now - view.tick * this.tickTime, WINDOW);
    this.#adjust();
    return true;
  }

  /** The newest snapshot, as the copy that is kept for a while. */
  get newest(): View | undefined {
    return this.#frames[this.#frames.length - 1];
  }

  /** Sets the delay: up at once, down slowly, for a stutter is worse than a few milliseconds. */
  #adjust(): void {
    const sorted = [...this.#lags].sort((a, b) => a - b);
    const late = sorted[Math.floor(((sorted.length - 1) * 9) / 10)]! - sorted[0]!;
    const want = Math.min(LEAST_GAPS * this.#gap + late / this.tickTime, Math.max(MOST_DELAY, MOST_GAPS * this.#gap));
    this.delay = want > this.delay ? want : this.delay + (want - this.delay) * 0.02;
  }

  /** The tick that is to be shown now, with its fraction. */
  #advance(now: number): number {
    const want = (now - Math.min(...this.#lags)) / this.tickTime - this.delay;
    if (Number.isNaN(this.#shown) || Math.abs(want - this.#shown) > JUMP) {
      this.#shown = want;
    } else {
      const passed = Math.max(0, (now - this.#asked) / this.tickTime);
      this.#shown += passed + bounded(want - (this.#shown + passed), SLEW * passed);
    }
    this.#asked = now;
    return this.#shown;
  }

  /**
   * The world as it is to be shown now. The entities are good until the next
   * call; fields of the type number move evenly, all others change at their tick.
   */
  at(now: number): readonly SmoothEntity[] {
    const frames = this.#frames;
    if (frames.length === 0) return [];
    const tick = this.#advance(now);
    let f = frames.length - 1;
    while (f > 0 && frames[f]!.tick > tick) f--;
    const scene = this.#scene;
    scene.length = frames[f]!.count;
    for (let i = 0; i < scene.length; i++) this.#between((scene[i] ??= new SmoothEntity()), f, i, tick);
    return scene;
  }

  /** Sets an entity to the i-th of a frame, the newest one up to tick, between the samples around it. */
  #between(e: SmoothEntity, f: number, i: number, tick: number): void {
    const frame = this.#frames[f]!;
    const id = frame.ids[i]!;
    const kind = frame.kinds[i]!;
    const look = this.#looks[kind]!;
    const a = frame.tick - frame.ages[i]!;
    e.set(look, frame, i);
    for (let n = f + 1; n < this.#frames.length; n++) {
      const v = this.#frames[n]!;
      const j = v.find(id);
      if (j < 0 || v.kinds[j] !== kind) return;
      const b = v.tick - v.ages[j]!;
      if (b <= a) continue;
      const begin = b - a > MOST_SPAN ? b - this.#gap : a;
      if (!look.leaps(frame, i, v, j)) e.move(frame, i, v, j, Math.max(0, Math.min(1, (tick - begin) / (b - begin))));
      return;
    }
    if (f < this.#frames.length - 1 || frame.ages[i]! > 0 || tick <= a) return;
    for (let n = f - 1; n >= 0; n--) {
      const v = this.#frames[n]!;
      const j = v.find(id);
      const b = j < 0 ? 0 : v.tick - v.ages[j]!;
      if (j < 0 || v.kinds[j] !== kind || a - b > MOST_SPAN) return;
      if (b >= a) continue;
      if (!look.leaps(v, j, frame, i)) e.move(v, j, frame, i, 1 + Math.min(tick - a, AHEAD) / (a - b));
      return;
    }
  }

  /** An entity of the newest snapshot with other numbers, by field; undefined: it is not there. @internal */
  own(id: number, numbers: ArrayLike<number>): SmoothEntity | undefined {
    const v = this.newest;
    const i = v?.find(id) ?? -1;
    if (v === undefined || i < 0) return undefined;
    const e = new SmoothEntity();
    e.set(this.#looks[v.kinds[i]!]!, v, i, numbers);
    return e;
  }
}

/** One thing in the world as it is shown. It is good until the next time that the world is. */
export class SmoothEntity {
  #look!: Look;
  #is!: View;
  #at = 0;
  #from: View | undefined;
  #i = 0;
  #to!: View;
  #j = 0;
  #part = 0;
  #own: ArrayLike<number> | undefined;

  /** Sets it to the i-th entity of a view. @internal */
  set(look: Look, is: View, i: number, own?: ArrayLike<number>): void {
    this.#look = look;
    this.#is = is;
    this.#at = i;
    this.#from = undefined;
    this.#own = own;
  }

  /** Sets between which samples it is. @internal */
  move(from: View, i: number, to: View, j: number, part: number): void {
    this.#from = from;
    this.#i = i;
    this.#to = to;
    this.#j = j;
    this.#part = part;
  }

  /** Counts from 1 and is never used again in a session. */
  get id(): number {
    return this.#is.ids[this.#at]!;
  }

  /** The player whose entity it is; "": nobody's. */
  get owner(): string {
    return this.#is.owners[this.#at]!;
  }

  /** What the place calls it, and its fields. */
  get kind(): Kind {
    return this.#look.kind;
  }

  /** Whether it is the player's own, shown as it will be once the server has his inputs. */
  get predicted(): boolean {
    return this.#own !== undefined;
  }

  /** A number, an integer, or a bool as 0 or 1, by the field's index (see {@link Kind.field}); 0 if there is none. */
  number(field: number): number {
    if (this.#own !== undefined) return this.#own[field] ?? 0;
    const kind = this.#look.kind;
    if (this.#from === undefined || kind.fields[field]?.kind !== "number") return numberOf(this.#is, this.#at, kind, field);
    return this.#look.mix(field, numberOf(this.#from, this.#i, kind, field), numberOf(this.#to, this.#j, kind, field), this.#part);
  }

  /** A string, by the field's index; "" if there is none. It is what a player or a script wrote: never treat it as markup. */
  text(field: number): string {
    return stringOf(this.#is, this.#at, this.#look.kind, field);
  }
}
