import { ByteReader } from "./bits.ts";
import { invalid, unsupported } from "./message.ts";
import { TABLES_SUM } from "./tables.ts";

const MAX_KINDS = 32;
const MAX_FIELDS = 32; // of one kind
const MAX_NAME = 32; // bytes
const MAX_TEXT = 64; // bytes of a string field
const MAX_ENTITY_BITS = 8000; // so that an entity fits one payload
const MAX_SCHEMA_BYTES = 8192;
// Bits of a field's type that say who sees it.
const FIELD_OWNER = 1 << 6;
const FIELD_WITHIN = 1 << 7;
// Bits of a kind's number of fields that say how it moves.
const KIND_SOLID = 1 << 6;
const KIND_WALKS = 1 << 7;

/** Entities of one world at most. */
export const MAX_ENTITIES = 4096;

/** The type of a replicated field. */
export type FieldKind = "number" | "integer" | "bool" | "string";

const fieldKinds: readonly (FieldKind | undefined)[] = [undefined, "number", "integer", "bool", "string"];

/** One replicated field of an entity kind. */
export interface Field {
  readonly name: string;
  readonly kind: FieldKind;
  readonly min: number;
  /** Of a string: bytes, 0 meaning 64. */
  readonly max: number;
  /** Of numbers: the size of a step. */
  readonly precision: number;
  /** Only the entity's owner sees it. */
  readonly owner: boolean;
  /** Who is this near sees it; 0: whoever sees the entity. Others see min, false or "". */
  readonly within: number;
}

/** Who sees the fields of an entity: how many of the kind's distances he is within, and whether it is his. */
const VARIANT_OWNER = 4;
/** @internal */
export const VARIANT_BITS = 3;
const MAX_DISTANCES = 3;

/** Whether a player sees a field. @internal */
export function seenBy(s: Slot, variant: number): boolean {
  return (variant & VARIANT_OWNER) !== 0 || (!s.owner && variant >= s.near);
}

/** Where and how a field is kept. @internal */
export interface Slot {
  readonly text: boolean;
  readonly number: boolean;
  readonly bool: boolean;
  /** Among the kind's values, or its texts. */
  readonly index: number;
  /** Bits of a value. */
  readonly width: number;
  /** Highest value; of a text: most bytes. */
  readonly top: number;
  readonly min: number;
  readonly max: number;
  readonly step: number;
  /** Seen by who is within so many distances. */
  readonly near: number;
  readonly owner: boolean;
}

/** How entities of a kind move and stand in the way, as far as the place says it. */
export interface Gait {
  /** How far an entity goes in a second at full input, along x and y; 0: the place does not say how it moves. */
  readonly speed: number;
  /** Of the circle that runs against solid entities; 0: it runs against none. */
  readonly radius: number;
  /** The field angle is where it goes. */
  readonly turns: boolean;
  /** It is in the way: a circle by x, y and radius, or a box around x, y by width and height. */
  readonly solid: boolean;
}

const STILL: Gait = { speed: 0, radius: 0, turns: false, solid: false };
const MAX_SPEED = 1e6;

/** A kind of entities, as the place defined it. */
export class Kind {
  readonly name: string;
  readonly fields: readonly Field[];
  readonly gait: Gait;
  /** @internal */
  readonly slots: readonly Slot[];
  /** Fields that are integers on the wire. @internal */
  readonly values: number;
  /** Fields that are strings. @internal */
  readonly texts: number;
  #index: Map<string, number>;

  /** @internal */
  constructor(name: string, fields: readonly Field[], gait: Gait = STILL) {
    this.name = name;
    this.gait = gait;
    this.fields = fields;
    this.#index = new Map();
    const slots: Slot[] = [];
    let values = 0;
    let texts = 0;
    let bits = 0;
    const distances = [...new Set(fields.map((f) => f.within).filter((d) => d > 0))].sort((a, b) => b - a);
    if (distances.length > MAX_DISTANCES) throw invalid(`kind ${name} has fields with ${distances.length} distances`);
    for (const [i, f] of fields.entries()) {
      if (this.#index.has(f.name)) throw invalid(`field ${name}.${f.name} is defined twice`);
      this.#index.set(f.name, i);
      const top = topOf(f, `field ${name}.${f.name}`);
      const text = f.kind === "string";
      const width = text ? 0 : 32 - Math.clz32(top);
      bits += text ? 7 + 8 * top : width;
      slots.push({
        text, width, top,
        number: f.kind === "number", bool: f.kind === "bool",
        index: text ? texts++ : values++,
        min: f.min, max: f.max, step: stepOf(f),
        near: distances.indexOf(f.within) + 1, owner: f.owner,
      });
    }
    if (bits > MAX_ENTITY_BITS) throw invalid(`kind ${name} takes up to ${bits} bits`);
    this.slots = slots;
    this.values = values;
    this.texts = texts;
    this.#check(gait);
  }

  /** Throws unless the kind has what its gait goes by. */
  #check(g: Gait): void {
    const walks = g.speed !== 0 || g.radius !== 0 || g.turns;
    if (walks && !(g.speed > 0 && g.speed <= MAX_SPEED && g.radius >= 0 && g.radius <= MAX_SPEED)) {
      throw invalid(`kind ${this.name} has speed ${g.speed} and radius ${g.radius}`);
    }
    const numeric = (name: string): boolean => ["number", "integer"].includes(this.fields[this.field(name)]?.kind ?? "");
    const needs = [
      ...(walks || g.solid ? ["x", "y"] : []), ...(g.turns ? ["angle"] : []), ...(g.solid && !numeric("radius") ? ["width", "height"] : []),
    ];
    for (const name of needs) if (!numeric(name)) throw invalid(`kind ${this.name} has no number ${name}, by which it moves or is in the way`);
  }

  /** The index of the field called name, -1 if there is none. */
  field(name: string): number {
    return this.#index.get(name) ?? -1;
  }
}

/** The kinds of entities of one session. */
export class Schema {
  readonly kinds: readonly Kind[];

  /** @internal */
  constructor(kinds: readonly Kind[]) {
    this.kinds = kinds;
  }

  /** The kind called name. */
  kind(name: string): Kind | undefined {
    return this.kinds.find((k) => k.name === name);
  }
}

function stepOf(f: Field): number {
  return f.kind === "number" ? f.precision : 1;
}

function topOf(f: Field, where: string): number {
  switch (f.kind) {
    case "number":
      if (!(f.precision > 0) || f.precision === Infinity) throw invalid(`${where} has precision ${f.precision}`);
      return steps(f, where);
    case "integer":
      if (Math.trunc(f.min) !== f.min || Math.trunc(f.max) !== f.max) throw invalid(`${where} goes from ${f.min} to ${f.max}`);
      return steps(f, where);
    case "bool":
      return 1;
    case "string":
      if (f.max === 0) return MAX_TEXT;
      if (f.max > MAX_TEXT) throw invalid(`${where} has at most ${f.max} bytes`);
      return f.max;
  }
}

function steps(f: Field, where: string): number {
  const largest = 2 ** 53;
  if (!(f.min >= -largest && f.max <= largest && f.min < f.max)) throw invalid(`${where} goes from ${f.min} to ${f.max}`);
  // A billionth forgives what division of decimal fractions adds.
  const n = Math.ceil((f.max - f.min) / stepOf(f) - 1e-9);
  if (n > 0xffffffff) throw invalid(`${where} has ${n} steps`);
  return Math.max(n, 1);
}

/** Reads a schema, and nothing more. @internal */
export function parseSchema(b: Uint8Array): Schema {
  if (b.length > 5 + MAX_SCHEMA_BYTES) throw invalid(`a schema has ${b.length} bytes`);
  const r = new ByteReader(b);
  const kinds: Kind[] = [];
  const sum = r.uint32();
  if (!r.short && sum !== TABLES_SUM) throw unsupported("the server's tables are not this client's");
  const count = r.byte();
  if (count > MAX_KINDS) throw invalid(`a schema has ${count} kinds`);
  for (let i = 0; i < count && !r.short; i++) {
    const name = word(r, "kind");
    const fields: Field[] = [];
    const rule = r.byte();
    const n = rule & ~(KIND_SOLID | KIND_WALKS);
    if (n > MAX_FIELDS) throw invalid(`kind ${name} has ${n} fields`);
    for (let j = 0; j < n && !r.short; j++) fields.push(parseField(r, name));
    if (r.short) break;
    if (kinds.some((k) => k.name === name)) throw invalid(`kind ${name} is defined twice`);
    kinds.push(new Kind(name, fields, parseGait(r, name, rule)));
  }
  if (r.short || r.at !== b.length) throw invalid(`a schema of ${b.length} bytes ends at the wrong place`);
  return new Schema(kinds);
}

function parseGait(r: ByteReader, of: string, rule: number): Gait {
  const solid = (rule & KIND_SOLID) !== 0;
  if ((rule & KIND_WALKS) === 0) return { ...STILL, solid };
  const gait = { speed: r.double(), radius: r.double(), turns: (r.byte() & 1) !== 0, solid };
  if (gait.speed === 0 && !r.short) throw invalid(`kind ${of} walks without a speed`);
  return r.short ? STILL : gait;
}

/** What a field goes round in: a number that spans 2π or 360 is an angle. 0: it is none. */
export function turnOf(f: Field): number {
  if (f.kind !== "number") return 0;
  return [2 * Math.PI, 360].find((turn) => Math.abs(f.max - f.min - turn) <= f.precision) ?? 0;
}

function parseField(r: ByteReader, of: string): Field {
  const name = word(r, `field of ${of}`);
  const type = r.byte();
  const kind = fieldKinds[type & ~(FIELD_OWNER | FIELD_WITHIN)];
  let min = 0;
  let max = 0;
  let precision = 0;
  switch (kind) {
    case "number":
      [min, max, precision] = [r.double(), r.double(), r.double()];
      break;
    case "integer":
      [min, max] = [r.double(), r.double()];
      break;
    case "string":
      max = r.byte();
      break;
    case "bool":
      break;
    case undefined:
      throw invalid(`field ${of}.${name} has the unknown type ${type}`);
  }
  const within = (type & FIELD_WITHIN) !== 0 ? r.double() : 0;
  if (!(within >= 0) || within === Infinity) throw invalid(`field ${of}.${name} is seen within ${within}`);
  return { name, kind, min, max, precision, owner: (type & FIELD_OWNER) !== 0, within };
}

const strict = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function word(r: ByteReader, what: string): string {
  const b = r.word();
  if (r.short) throw invalid("a schema is cut short");
  if (b.length === 0 || b.length > MAX_NAME) throw invalid(`the name of a ${what} has ${b.length} bytes`);
  try {
    return strict.decode(b);
  } catch {
    throw invalid(`the name of a ${what} is not UTF-8`);
  }
}
