import type { Schema } from "../wire/schema.ts";
import { numberOf, type View } from "../wire/view.ts";
import { bounded, median, push } from "./clock.ts";
import { Look } from "./look.ts";
import { Walk, type Step, type StepMove } from "./walk.ts";

const MOVES = 256; // that were sent and are kept
const WINDOW = 31; // snapshots that say when inputs are applied
const SLEW = 0.02; // how much faster or slower than real time the prediction may run
const JUMP = 250; // ms off at which it jumps instead
const MOST_AHEAD = 1000; // ms that are predicted at most
const FADE = 40; // ms after which a third of a correction is left to show
const SNAP = 1 / 16;
const CORRECTIONS = 30; // snapshots over which the largest one is told

const STAND: StepMove = { x: 0, y: 0, buttons: 0 };

/**
 * Shows a player's own entity as it will be once the server has his inputs.
 *
 * The server applies inputs at its ticks, and says with a tick's snapshot which was the
 * newest. So it is known how long after an input was made it counts, in the middle of
 * the last snapshots: tick t has the inputs up to t*tickTime + lead by the caller's
 * clock. From the newest snapshot's state on, ticks
 * are stepped with the inputs that they will have, up to the one that is due now. What a
 * new snapshot changes about that fades away, unless it is large. Times are milliseconds.
 */
export class Predictor {
  readonly #schema: Schema;
  readonly #player: string;
  readonly #tickTime: number;
  readonly #steps: ReadonlyMap<string, Step>;
  readonly #walk = new Walk();

  #moves: { sequence: number; at: number; move: StepMove }[] = []; // by sequence modulo MOVES
  #last = 0; // sequence of the newest

  #leads: number[] = [];
  #target = 0; // median of leads
  #lead = 0; // what is used, on its way to target
  #leadAt = 0;

  #own = 0; // ID of the entity; 0: there is none to predict
  #look!: Look;
  #applied = 0; // of the newest snapshot
  #before: Float64Array | undefined;
  #states: Float64Array[] = []; // of base and the ticks after it
  #base = 0; // tick of the first state
  #stale = false; // the states after it are not of all moves

  #offset: number[] = []; // of look.places: what is left of corrections
  #offsetAt = 0;
  #sizes: number[] = []; // of the last corrections

  /** steps are the caller's own, by kind, in place of what a kind says of itself. */
  constructor(schema: Schema, player: string, tickRate: number, steps: ReadonlyMap<string, Step> = new Map()) {
    this.#schema = schema;
    this.#player = player;
    this.#tickTime = 1000 / Math.max(1, tickRate);
    this.#steps = steps;
  }

  /** Takes a move that was sent now, as the server sees it; sequence counts the connection's inputs from 1. */
  input(sequence: number, move: StepMove, now: number): void {
    this.#moves[sequence % MOVES] = { sequence, at: now, move };
    this.#last = sequence;
    this.#stale = true;
  }

  /** Takes the newest view, in which the input called applied is the newest. */
  snapshot(view: View, applied: number, now: number): void {
    this.#learn(view, applied, now);
    const i = this.#find(view);
    if (i < 0 || this.#leads.length === 0) {
      this.#own = 0;
      return;
    }
    const kind = this.#schema.kinds[view.kinds[i]!]!;
    const again = view.ids[i] === this.#own;
    let was: Float64Array | undefined;
    if (again) {
      this.#refresh(now);
      was = this.#predicted(now);
      this.#before = this.#state(view.tick - 1);
    } else {
      this.#own = view.ids[i]!;
      this.#look = new Look(kind);
      this.#offset = this.#look.places.map(() => 0);
      this.#sizes = [];
      this.#before = undefined;
    }
    this.#walk.look(this.#schema, view, this.#own, kind.gait.radius);
    const state = Float64Array.from(kind.fields, (_, f) => numberOf(view, i, kind, f));
    this.#before ??= state;
    this.#states = [state];
    this.#base = view.tick;
    this.#applied = applied;
    this.#stale = false;
    if (was !== undefined) this.#correct(was, this.#predicted(now), now);
  }

  /** The index of the player's first entity that can be predicted; -1: there is none. */
  #find(view: View): number {
    for (let i = 0; i < view.count; i++) {
      if (view.owners[i] !== this.#player || this.#player === "") continue;
      const k = this.#schema.kinds[view.kinds[i]!]!;
      if (k.gait.speed > 0 || this.#steps.has(k.name)) return i;
    }
    return -1;
  }

  /** Learns when the newest applied input was made. */
  #learn(view: View, applied: number, now: number): void {
    const m = this.#moves[applied % MOVES];
    if (applied === 0 || m?.sequence !== applied) return;
    this.#advance(now);
    push(this.#leads, m.at - view.tick * this.#tickTime, WINDOW);
    this.#target = median(this.#leads);
    if (this.#leads.length === 1 || Math.abs(this.#target - this.#lead) > JUMP) this.#lead = this.#target;
  }

  #advance(now: number): void {
    const passed = Math.max(0, now - this.#leadAt);
    this.#leadAt = Math.max(this.#leadAt, now);
    this.#lead += bounded(this.#target - this.#lead, SLEW * passed);
  }

  /** Shows on what was predicted until now, and lets the difference fade. */
  #correct(was: Float64Array, is: Float64Array, now: number): void {
    this.#decay(now);
    let size = 0;
    let far = false;
    for (const [i, f] of this.#look.places.entries()) {
      const d = was[f]! - is[f]!;
      size += d * d;
      this.#offset[i]! += d;
      const { min, max } = this.#look.kind.fields[f]!;
      far ||= Math.abs(this.#offset[i]!) > SNAP * (max - min);
    }
    push(this.#sizes, Math.sqrt(size), CORRECTIONS);
    if (far) this.#offset.fill(0);
  }

  #decay(now: number): void {
    const part = Math.exp(-Math.max(0, now - this.#offsetAt) / FADE);
    this.#offsetAt = Math.max(this.#offsetAt, now);
    for (let i = 0; i < this.#offset.length; i++) this.#offset[i]! *= part;
  }

  /** The entity that is predicted, and its fields as they are to be shown now. */
  shown(now: number): { readonly id: number; readonly numbers: Float64Array } | undefined {
    if (this.#own === 0) return undefined;
    this.#refresh(now);
    this.#decay(now);
    const numbers = this.#predicted(now);
    for (const [i, f] of this.#look.places.entries()) {
      const { min, max } = this.#look.kind.fields[f]!;
      numbers[f] = Math.max(min, Math.min(numbers[f]! + this.#offset[i]!, max));
    }
    return { id: this.#own, numbers };
  }

  /**
   * Steps anew when an input came since. Where a tick has it that is shown already, the
   * difference fades, as if it were a correction.
   */
  #refresh(now: number): void {
    if (!this.#stale) return;
    this.#stale = false;
    const was = this.#predicted(now);
    this.#states.length = 1;
    const is = this.#predicted(now);
    this.#decay(now);
    for (const [i, f] of this.#look.places.entries()) this.#offset[i]! += was[f]! - is[f]!;
  }

  /** The state between the ticks that are due now, without what is left of corrections. */
  #predicted(now: number): Float64Array {
    this.#advance(now);
    const due = Math.max(this.#base, Math.min((now - this.#lead) / this.#tickTime, this.#base + MOST_AHEAD / this.#tickTime));
    const tick = Math.floor(due);
    const a = this.#state(tick - 1);
    const b = this.#state(tick);
    const { places, turns } = this.#look;
    const values = Float64Array.from(b);
    for (const f of places) values[f] = this.#look.mix(f, a[f]!, b[f]!, due - tick);
    for (const [f, turn] of turns.entries()) if (turn !== 0) values[f] = this.#look.mix(f, a[f]!, b[f]!, due - tick);
    return values;
  }

  /** The predicted state at the end of a tick, from the one before base on. */
  #state(tick: number): Float64Array {
    if (tick < this.#base) return this.#before!;
    while (this.#states.length <= tick - this.#base) {
      const next = Float64Array.from(this.#states[this.#states.length - 1]!);
      this.#step(next, this.#moveAt(this.#base + this.#states.length));
      this.#states.push(next);
    }
    return this.#states[tick - this.#base]!;
  }

  #step(state: Float64Array, move: StepMove): void {
    const dt = this.#tickTime / 1000;
    const own = this.#steps.get(this.#look.kind.name);
    if (own !== undefined) own(state, move, dt);
    else this.#walk.step(this.#look.kind, state, move, dt);
  }

  /**
   * The move that a tick after base will have: half a tick later than it is certain of,
   * so that it does not change with every unevenness.
   */
  #moveAt(tick: number): StepMove {
    const by = (tick + 0.5) * this.#tickTime + this.#lead;
    for (let n = this.#last; n > this.#applied && this.#last - n < MOVES; n--) {
      const m = this.#moves[n % MOVES];
      if (m?.sequence === n && m.at <= by) return m.move;
    }
    const m = this.#moves[this.#applied % MOVES];
    return m?.sequence === this.#applied ? m.move : STAND;
  }

  /** The largest correction of the last thirty snapshots, in units of x and y. */
  get correction(): number {
    return Math.max(0, ...this.#sizes);
  }
}
