import { ByteReader } from "./bits.ts";
import { invalid, MAX_PAYLOAD, messageOf } from "./message.ts";

const HEADER = 1 + 1 + 4;
const MAX_PART = MAX_PAYLOAD - HEADER;

/** One payload of a message that does not fit into one. @internal */
export interface Part {
  part: number;
  parts: number;
  /** CRC-32 (IEEE) of the whole content: parts with the same one belong together. */
  sum: number;
  data: Uint8Array;
}

/** Reads one. Its data is part of payload. @internal */
export function parsePart(payload: Uint8Array, message: number, most: number): Part {
  if (messageOf(payload) !== message || payload.length < HEADER) {
    throw invalid(`not a message ${message} of ${payload.length} bytes`);
  }
  const r = new ByteReader(payload);
  r.byte();
  const which = r.byte();
  const p = { part: which & 15, parts: (which >> 4) + 1, sum: r.uint32(), data: payload.subarray(HEADER) };
  if (p.parts > most || p.part >= p.parts || p.data.length > MAX_PART) {
    throw invalid(`part ${p.part} of ${p.parts} of message ${message}, ${p.data.length} bytes`);
  }
  return p;
}

/** Puts the content together from all parts' data, in order, and checks it. @internal */
export function joinParts(sum: number, data: readonly Uint8Array[]): Uint8Array {
  const content = new Uint8Array(data.reduce((n, d) => n + d.length, 0));
  let at = 0;
  for (const d of data) {
    content.set(d, at);
    at += d.length;
  }
  if (crc32(content) !== sum) throw invalid("a message's sum is wrong");
  return content;
}

/** Keeps the parts of the newest message of a kind. @internal */
export class Parts {
  #sum = -1;
  #data: (Uint8Array | undefined)[] = [];

  /** Keeps a part, and returns the data of all once they are here. */
  take(p: Part): Uint8Array[] | undefined {
    if (this.#sum !== p.sum || this.#data.length !== p.parts) {
      this.#sum = p.sum;
      this.#data = Array.from({ length: p.parts }, () => undefined);
    }
    this.#data[p.part] ??= p.data.slice();
    const data = this.#data.filter((d) => d !== undefined);
    if (data.length < p.parts) return undefined;
    this.#data = [];
    return data;
  }
}

/** CRC-32 (IEEE); such messages are rare, so bit by bit. */
function crc32(b: Uint8Array): number {
  let crc = -1;
  for (const byte of b) {
    crc ^= byte;
    for (let i = 0; i < 8; i++) crc = (crc >>> 1) ^ (crc & 1 ? 0xedb88320 : 0);
  }
  return ~crc >>> 0;
}
