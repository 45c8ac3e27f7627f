import { turnOf, type Kind } from "../wire/schema.ts";
import { numberOf, type View } from "../wire/view.ts";

/** The part of a field's range by which x, y or z change at once: a teleport, which is no way. */
const LEAP = 1 / 8;

/** What a kind's fields mean to whoever shows them. @internal */
export class Look {
  readonly kind: Kind;
  /** The numbers x, y and z, as far as there are such. */
  readonly places: readonly number[];
  /** By field: see turnOf. */
  readonly turns: readonly number[];

  constructor(kind: Kind) {
    this.kind = kind;
    this.places = ["x", "y", "z"].map((name) => kind.field(name)).filter((i) => kind.fields[i]?.kind === "number");
    this.turns = kind.fields.map(turnOf);
  }

  /** Whether there is no way from one sample to another. */
  leaps(a: View, i: number, b: View, j: number): boolean {
    return this.places.some((f) => {
      const { min, max } = this.kind.fields[f]!;
      return Math.abs(numberOf(b, j, this.kind, f) - numberOf(a, i, this.kind, f)) > LEAP * (max - min);
    });
  }

  /**
   * A field's value at a part of the way from one to another: angles take the shorter
   * way round, and parts above 1 stay within the range.
   */
  mix(field: number, a: number, b: number, part: number): number {
    const { min, max } = this.kind.fields[field]!;
    const turn = this.turns[field]!;
    if (turn !== 0) {
      const d = b - a;
      const v = a + (d - turn * round(d / turn)) * part;
      return v - turn * Math.floor((v - min) / turn);
    }
    const v = a + (b - a) * part;
    return part > 1 ? Math.max(min, Math.min(v, max)) : v;
  }
}

/** As Go's: halves away from zero. */
function round(v: number): number {
  return Math.sign(v) * Math.round(Math.abs(v));
}
