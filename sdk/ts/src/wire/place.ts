import { ByteReader, utf8Of } from "./bits.ts";
import { invalid, Message, messageOf } from "./message.ts";

const MAX_NAME = 32; // bytes, as all of these
const MAX_FIELDS = 16;
const MAX_TEXT = 512;
const MAX_SIZE = 1000;

const FALSE = 0;
const TRUE = 1;
const NUMBER = 2;
const TEXT = 3;

/** A value of a message. Numbers are finite; a string has at most 512 bytes. */
export type PlaceValue = boolean | number | string;

/** What a place's script and a player's client tell each other, see wire/place.go. */
export interface PlaceMessage {
  /** 1 to 32 bytes. */
  readonly name: string;
  /** At most 16, whose names have 1 to 32 bytes. */
  readonly fields: { readonly [name: string]: PlaceValue };
}

const encoder = new TextEncoder();

/** Writes the message. Throws when it breaks a bound. @internal */
export function encodePlace(name: string, fields: PlaceMessage["fields"]): Uint8Array {
  const out: number[] = [Message.Place];
  word(out, name);
  const list = Object.entries(fields).map(([n, v]) => ({ n, bytes: encoder.encode(n), v }));
  list.sort((a, b) => compare(a.bytes, b.bytes));
  if (list.length > MAX_FIELDS) throw invalid(`a message has ${list.length} fields, at most ${MAX_FIELDS} are allowed`);
  out.push(list.length);
  for (const { n, v } of list) {
    word(out, n);
    if (typeof v === "boolean") {
      out.push(v ? TRUE : FALSE);
    } else if (typeof v === "number") {
      if (!Number.isFinite(v)) throw invalid(`a message's ${n} is no finite number`);
      const b = new Uint8Array(8);
      new DataView(b.buffer).setFloat64(0, v, true);
      out.push(NUMBER, ...b);
    } else {
      const b = encoder.encode(v);
      if (b.length > MAX_TEXT) throw invalid(`a message's ${n} has ${b.length} bytes, at most ${MAX_TEXT} are allowed`);
      out.push(TEXT, b.length & 0xff, b.length >> 8, ...b);
    }
  }
  if (out.length > MAX_SIZE) throw invalid(`a message has ${out.length} bytes, at most ${MAX_SIZE} are allowed`);
  return Uint8Array.from(out);
}

function word(out: number[], s: string): void {
  const b = encoder.encode(s);
  if (b.length < 1 || b.length > MAX_NAME) throw invalid(`a name of a message has ${b.length} bytes, 1 to ${MAX_NAME} are allowed`);
  out.push(b.length, ...b);
}

function compare(a: Uint8Array, b: Uint8Array): number {
  for (let i = 0; i < a.length && i < b.length; i++) if (a[i] !== b[i]) return a[i]! - b[i]!;
  return a.length - b.length;
}

/** Reads the message. @internal */
export function parsePlace(b: Uint8Array): PlaceMessage {
  if (messageOf(b) !== Message.Place || b.length > MAX_SIZE) throw invalid(`not a place's message of ${b.length} bytes`);
  const r = new ByteReader(b);
  r.byte();
  const name = utf8Of(r.word());
  // Without a prototype, so that no name means anything.
  const fields = Object.create(null) as Record<string, PlaceValue>;
  const count = r.byte();
  for (let i = 0; i < count && !r.short; i++) {
    const field = utf8Of(r.word());
    const kind = r.byte();
    if (kind === FALSE || kind === TRUE) fields[field] = kind === TRUE;
    else if (kind === NUMBER) fields[field] = r.double();
    else if (kind === TEXT) fields[field] = utf8Of(r.take(r.uint16()));
    else throw invalid(`a message's ${field} is of kind ${kind}`);
  }
  if (r.short || r.at !== b.length) throw invalid(`a place's message of ${b.length} bytes is cut short, or goes on`);
  return { name, fields };
}
