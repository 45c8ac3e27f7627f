// Bits, the least significant of each value and of each byte first, and whole
// bytes. Readers read zeros past the end and are `short` then, so that callers
// check once.

/** @internal */
export class BitReader {
  short = false;
  #src: Uint8Array;
  #at = 0;
  #acc = 0; // at most 23 bits
  #n = 0;

  constructor(src: Uint8Array) {
    this.#src = src;
  }

  /** Reads n bits, up to 32. */
  bits(n: number): number {
    if (n <= 16) return this.#few(n);
    const low = this.#few(16);
    const high = this.#few(n - 16);
    return this.short ? 0 : ((high << 16) | low) >>> 0;
  }

  #few(n: number): number {
    while (this.#n < n) {
      if (this.#at === this.#src.length) {
        this.short = true;
        this.#acc = 0;
        this.#n = 0;
        return 0;
      }
      this.#acc |= this.#src[this.#at++]! << this.#n;
      this.#n += 8;
    }
    const v = this.#acc & ((1 << n) - 1);
    this.#acc >>>= n;
    this.#n -= n;
    return v;
  }

  flag(): boolean {
    return this.#few(1) === 1;
  }

  /** Reads a number that is usually small. */
  count(): number {
    if (!this.flag()) return this.#few(3);
    if (!this.flag()) return this.#few(6) + bucket1;
    if (!this.flag()) return this.#few(12) + bucket2;
    return this.bits(32);
  }

  /** Reads up to 127 bytes as a string of bytes, see {@link textOf}. */
  text(): string {
    const n = this.#few(7);
    let s = "";
    for (let i = 0; i < n; i++) s += String.fromCharCode(this.#few(8));
    return s;
  }

  /** What follows the last byte that was begun. */
  rest(): Uint8Array {
    return this.#src.subarray(this.#at);
  }
}

const bucket1 = 8;
const bucket2 = bucket1 + 64;
const bucket3 = bucket2 + 4096;

/** @internal */
export class BitWriter {
  #dst: Uint8Array;
  #at: number;
  #acc = 0;
  #n = 0;

  /** Writes into dst, which must be large enough, from a byte on. */
  constructor(dst: Uint8Array, at: number) {
    this.#dst = dst;
    this.#at = at;
  }

  /** Writes the low n bits of v, n up to 32. */
  bits(v: number, n: number): void {
    if (n > 16) {
      this.bits(v & 0xffff, 16);
      this.bits(v >>> 16, n - 16);
      return;
    }
    this.#acc |= (v & ((1 << n) - 1)) << this.#n;
    this.#n += n;
    while (this.#n >= 8) {
      this.#dst[this.#at++] = this.#acc & 0xff;
      this.#acc >>>= 8;
      this.#n -= 8;
    }
  }

  flag(b: boolean): void {
    this.bits(b ? 1 : 0, 1);
  }

  count(v: number): void {
    if (v < bucket1) {
      this.bits(v << 1, 4);
    } else if (v < bucket2) {
      this.bits(((v - bucket1) << 2) | 0b01, 8);
    } else if (v < bucket3) {
      this.bits(((v - bucket2) << 3) | 0b011, 15);
    } else {
      this.bits(0b111, 3);
      this.bits(v, 32);
    }
  }

  /** Pads the last byte with zero bits and returns all of dst that is written. */
  finish(): Uint8Array {
    if (this.#n > 0) this.bits(0, 8 - this.#n);
    return this.#dst.subarray(0, this.#at);
  }
}

/** @internal */
export class ByteReader {
  short = false;
  at = 0;
  #src: Uint8Array;
  #view: DataView;

  constructor(src: Uint8Array) {
    this.#src = src;
    this.#view = new DataView(src.buffer, src.byteOffset, src.byteLength);
  }

  take(n: number): Uint8Array {
    if (n > this.#src.length - this.at) {
      this.short = true;
      this.at = this.#src.length;
      return new Uint8Array(0);
    }
    this.at += n;
    return this.#src.subarray(this.at - n, this.at);
  }

  byte(): number {
    return this.take(1)[0] ?? 0;
  }

  uint16(): number {
    return this.take(2).length === 2 ? this.#view.getUint16(this.at - 2, true) : 0;
  }

  uint32(): number {
    return this.take(4).length === 4 ? this.#view.getUint32(this.at - 4, true) : 0;
  }

  /** Exact below 2^53. */
  uint64(): number {
    const low = this.uint32();
    return low + this.uint32() * 2 ** 32;
  }

  double(): number {
    return this.take(8).length === 8 ? this.#view.getFloat64(this.at - 8, true) : 0;
  }

  /** A length in one byte, then so many bytes. */
  word(): Uint8Array {
    return this.take(this.byte());
  }
}

const utf8 = new TextDecoder();

/** The characters of UTF-8; bytes that make no sense become U+FFFD. @internal */
export function utf8Of(bytes: Uint8Array): string {
  return utf8.decode(bytes);
}

/**
 * The characters of a string of bytes: one whose every char code is one byte of
 * UTF-8. Texts are kept so because both sides hash their bytes. @internal
 */
export function textOf(bytes: string): string {
  for (let i = 0; i < bytes.length; i++) {
    if (bytes.charCodeAt(i) > 0x7f) {
      return utf8.decode(Uint8Array.from(bytes, (c) => c.charCodeAt(0)));
    }
  }
  return bytes;
}
