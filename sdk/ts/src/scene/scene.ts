import type { View } from "../wire/view.ts";
import type { Welcome } from "../wire/welcome.ts";
import { Clock } from "./clock.ts";
import { Predictor } from "./predict.ts";
import { Smoother, type SmoothEntity } from "./smooth.ts";
import type { Move } from "../wire/input.ts";
import type { Step } from "./walk.ts";

/**
 * One connection's world as it is to be shown: the player's own entity at once, all
 * others evenly. A new connection begins with a new one. Times are milliseconds of one
 * clock of the caller's.
 */
export class Scene {
  readonly #clock: Clock;
  readonly #smoother: Smoother;
  readonly #predictor: Predictor;

  /** steps move the player's own entity of a kind, in place of what the kind says of itself (see {@link Gait}). */
  constructor(w: Pick<Welcome, "schema" | "player" | "tickRate">, steps: ReadonlyMap<string, Step> = new Map()) {
    this.#clock = new Clock(w.tickRate);
    this.#smoother = new Smoother(w.schema, w.tickRate);
    this.#predictor = new Predictor(w.schema, w.player, w.tickRate, steps);
  }

  /**
   * Takes a copy of a complete snapshot that came now, in which the input called applied is
   * the newest (see {@link World.applied}), and the round trip that it ended. An older one
   * than before changes nothing.
   */
  snapshot(view: View, applied: number, roundTrip: number | undefined, now: number): void {
    if (!this.#smoother.add(view, now)) return;
    if (roundTrip !== undefined) this.#clock.add(view.tick, roundTrip, now);
    this.#predictor.snapshot(this.#smoother.newest!, applied, now);
  }

  /** Takes a move that is sent now (see {@link World.newest}); sequence counts the connection's inputs from 1. */
  input(sequence: number, move: Move, now: number): void {
    this.#predictor.input(sequence, { x: move.x / 127, y: move.y / 127, buttons: move.buttons }, now);
  }

  /**
   * At which tick the server is now, with its fraction; NaN: no round trip is known. It
   * never goes back but when the server stood still for half a second.
   */
  tick(now: number): number {
    return this.#clock.tick(now);
  }

  /**
   * All entities as they are to be shown now, in the order of their IDs, but the player's own
   * may be the last. They are good until the next call.
   */
  at(now: number): readonly SmoothEntity[] {
    const all = this.#smoother.at(now);
    const own = this.#predictor.shown(now);
    const e = own && this.#smoother.own(own.id, own.numbers);
    if (e === undefined) return all;
    return all.some((o) => o.id === e.id) ? all.map((o) => (o.id === e.id ? e : o)) : [...all, e];
  }

  /** Ticks behind the newest snapshot that what is not predicted is shown. */
  get delay(): number {
    return this.#smoother.delay;
  }

  /** How far the newest snapshots moved the player's own entity from where it was shown: the largest of the last thirty. */
  get correction(): number {
    return this.#predictor.correction;
  }
}
