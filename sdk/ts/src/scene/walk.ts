import type { Field, Kind, Schema } from "../wire/schema.ts";
import { numberOf, type View } from "../wire/view.ts";
import { isShape, slide, type Shape } from "./space.ts";

/** What a player wants for one step: directions of -1 to 1, as the server sees them. */
export interface StepMove {
  readonly x: number;
  readonly y: number;
  readonly buttons: number;
}

/**
 * Moves a player's own entity by dt seconds, as the place's script does. state has all
 * of the kind's fields, by index, texts as 0; what the step sets is shown.
 */
export type Step = (state: Float64Array, move: StepMove, dt: number) => void;

/** The step of kinds that say how they move; see Gait. @internal */
export class Walk {
  #solid: Shape[] = [];

  /** Learns what is in the way of an entity of the player's. */
  look(schema: Schema, view: View, own: number, radius: number): void {
    this.#solid = [];
    if (radius === 0) return;
    for (let i = 0; i < view.count; i++) {
      const k = schema.kinds[view.kinds[i]!]!;
      if (!k.gait.solid || view.ids[i] === own) continue;
      const s = shapeOf(k, view, i);
      if (isShape(s)) this.#solid.push(s);
    }
  }

  step(kind: Kind, state: Float64Array, move: StepMove, dt: number): void {
    const { speed, radius, turns } = kind.gait;
    let { x: mx, y: my } = move;
    const long = mx * mx + my * my;
    if (long > 1) [mx, my] = [mx / Math.sqrt(long), my / Math.sqrt(long)];
    const [fx, fy] = [kind.field("x"), kind.field("y")];
    const [dx, dy] = [mx * speed * dt, my * speed * dt];
    const [x, y] = [state[fx]!, state[fy]!];
    const to = radius > 0 ? slide(this.#solid, x, y, radius, dx, dy) : { x: x + dx, y: y + dy };
    state[fx] = within(to.x, kind.fields[fx]!, radius);
    state[fy] = within(to.y, kind.fields[fy]!, radius);
    if (turns && (mx !== 0 || my !== 0)) state[kind.field("angle")] = Math.atan2(my, mx);
  }
}

function shapeOf(k: Kind, view: View, i: number): Shape {
  const number = (name: string): number => numberOf(view, i, k, k.field(name));
  const round = k.field("radius") >= 0;
  return {
    x: number("x"), y: number("y"),
    hx: round ? 0 : number("width") / 2, hy: round ? 0 : number("height") / 2, r: round ? number("radius") : 0,
  };
}

/** Keeps a circle inside of a field's range. */
function within(v: number, f: Field, radius: number): number {
  const r = f.max - f.min <= 2 * radius ? 0 : radius;
  return Math.max(f.min + r, Math.min(v, f.max - r));
}
