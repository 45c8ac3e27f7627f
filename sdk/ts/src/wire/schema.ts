import { ByteReader } from "./bits.ts";
import { invalid } from "./message.ts";

const MAX_KINDS = 32;
const MAX_FIELDS = 32; // of one kind
const MAX_NAME = 32; // bytes
const MAX_TEXT = 64; // bytes of a string field
const MAX_ENTITY_BITS = 8000; // so that an entity fits one payload
const MAX_SCHEMA_BYTES = 8192;

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
}

/** A kind of entities, as the place defined it. */
export class Kind {
  readonly name: string;
  readonly fields: readonly Field[];
  /** @internal */
  readonly slots: readonly Slot[];
  /** Fields that are integers on the wire. @internal */
  readonly values: number;
  /** Fields that are strings. @internal */
  readonly texts: number;
  #index: Map<string, number>;

  /** @internal */
  constructor(name: string, fields: readonly Field[]) {
    this.name = name;
    this.fields = fields;
    this.#index = new Map();
    const slots: Slot[] = [];
    let values = 0;
    let texts = 0;
    let bits = 0;
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
      });
    }
    if (bits > MAX_ENTITY_BITS) throw invalid(`kind ${name} takes up to ${bits} bits`);
    this.slots = slots;
    this.values = values;
    this.texts = texts;
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
  if (b.length > 1 + MAX_SCHEMA_BYTES) throw invalid(`a schema has ${b.length} bytes`);
  const r = new ByteReader(b);
  const kinds: Kind[] = [];
  const count = r.byte();
  if (count > MAX_KINDS) throw invalid(`a schema has ${count} kinds`);
  for (let i = 0; i < count && !r.short; i++) {
    const name = word(r, "kind");
    const fields: Field[] = [];
    const n = r.byte();
    if (n > MAX_FIELDS) throw invalid(`kind ${name} has ${n} fields`);
    for (let j = 0; j < n && !r.short; j++) fields.push(parseField(r, name));
    if (r.short) break;
    if (kinds.some((k) => k.name === name)) throw invalid(`kind ${name} is defined twice`);
    kinds.push(new Kind(name, fields));
  }
  if (r.short || r.at !== b.length) throw invalid(`a schema of ${b.length} bytes ends at the wrong place`);
  return new Schema(kinds);
}

function parseField(r: ByteReader, of: string): Field {
  const name = word(r, `field of ${of}`);
  const type = r.byte();
  const kind = fieldKinds[type];
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
  return { name, kind, min, max, precision };
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
