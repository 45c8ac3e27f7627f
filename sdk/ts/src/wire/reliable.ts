// The wire format of mas-bandwidth/reliable 1.0, see wire/reliable in Go.
import { invalid } from "./message.ts";

/** Bytes of a header at most. @internal */
export const MAX_HEADER = 9;
/** @internal */
export const FRAGMENT_HEADER = 5;
/** Packets back that both sides remember. @internal */
export const WINDOW = 256;

const ACK_BITS = 32;

/** Whether sequence a comes after b, modulo 65,536. @internal */
export function later(a: number, b: number): boolean {
  return ((a - b) << 16) >> 16 > 0;
}

/** Begins a packet. Bit n of bits says that packet ack-n came. @internal */
export interface Header {
  sequence: number;
  ack: number;
  bits: number;
}

/** Writes a header and returns where it ends. @internal */
export function writeHeader(out: Uint8Array, at: number, h: Header): number {
  let prefix = 0;
  let to = at + 3;
  out[at + 1] = h.sequence & 0xff;
  out[at + 2] = h.sequence >> 8;
  const behind = (h.sequence - h.ack) & 0xffff;
  if (behind <= 0xff) {
    prefix |= 32;
    out[to++] = behind;
  } else {
    out[to++] = h.ack & 0xff;
    out[to++] = h.ack >> 8;
  }
  for (let i = 0; i < 4; i++) {
    const b = (h.bits >>> (8 * i)) & 0xff;
    if (b === 0xff) continue;
    prefix |= 2 << i;
    out[to++] = b;
  }
  out[at] = prefix;
  return to;
}

/** Reads a header, which must be in its only form, and says where it ends. @internal */
export function readHeader(b: Uint8Array, at: number): { header: Header; end: number } {
  const short = (): Error => invalid(`a packet of ${b.length} bytes ends in its header`);
  if (b.length < at + 4) throw short();
  const prefix = b[at]!;
  if ((prefix & 0xc1) !== 0) throw invalid(`a packet begins with ${prefix}`);
  const sequence = b[at + 1]! | (b[at + 2]! << 8);
  let end = at + 4;
  let ack: number;
  if ((prefix & 32) !== 0) {
    ack = (sequence - b[at + 3]!) & 0xffff;
  } else {
    if (b.length < at + 5) throw short();
    ack = b[at + 3]! | (b[at + 4]! << 8);
    end++;
    if (((sequence - ack) & 0xffff) <= 0xff) throw invalid("a packet's ack could be shorter");
  }
  let bits = 0;
  for (let i = 0; i < 4; i++) {
    let byte = 0xff;
    if ((prefix & (2 << i)) !== 0) {
      if (end === b.length) throw short();
      byte = b[end++]!;
      if (byte === 0xff) throw invalid("a packet's ack bits could be shorter");
    }
    bits |= byte << (8 * i);
  }
  return { header: { sequence, ack, bits: bits >>> 0 }, end };
}

/** Which of the newest WINDOW packets are marked. */
class Marks {
  next = 0;
  #marked = new Uint8Array(WINDOW);

  behind(sequence: number): boolean {
    return later(this.next - WINDOW, sequence);
  }

  has(sequence: number): boolean {
    return !this.behind(sequence) && later(this.next, sequence) && this.#marked[sequence % WINDOW] === 1;
  }

  reach(sequence: number): void {
    const next = (sequence + 1) & 0xffff;
    if (!later(next, this.next)) return;
    if (((next - this.next) & 0xffff) >= WINDOW) this.#marked.fill(0);
    else for (let n = this.next; n !== next; n = (n + 1) & 0xffff) this.#marked[n % WINDOW] = 0;
    this.next = next;
  }

  mark(sequence: number): void {
    this.reach(sequence);
    this.#marked[sequence % WINDOW] = 1;
  }

  clear(sequence: number): void {
    this.#marked[sequence % WINDOW] = 0;
  }
}

/** Sizes that both ends agree on. @internal */
export interface Sizes {
  readonly maxPacket: number;
  readonly fragmentAbove: number;
  readonly fragmentSize: number;
  /** Packets that may be incomplete at once. */
  readonly assemblies: number;
}

/** A packet of which some fragments are here. */
interface Assembly {
  sequence: number;
  header: Header | undefined;
  left: number;
  here: (Uint8Array | undefined)[];
}

/** Is told of what came. @internal */
export interface Packets {
  /** Takes a packet's content. False: it is not acked. */
  packet(h: Header, content: Uint8Array): boolean;
  /** A packet has arrived at the other side, once each. */
  acked(sequence: number): void;
}

/** One end of a connection. @internal */
export class Endpoint {
  /** Of the next packet. */
  sequence = 0;
  readonly #sizes: Sizes;
  readonly #unacked = new Marks();
  readonly #received = new Marks();
  #open: Assembly[] = [];
  readonly #out: Uint8Array;

  constructor(sizes: Sizes) {
    this.#sizes = sizes;
    this.#out = new Uint8Array(MAX_HEADER + FRAGMENT_HEADER + Math.max(sizes.fragmentAbove, sizes.fragmentSize));
  }

  /** What the next packet will say of those that came. */
  acks(): { ack: number; bits: number } {
    const ack = (this.#received.next - 1) & 0xffff;
    let bits = 0;
    for (let i = 0; i < ACK_BITS; i++) if (this.#received.has((ack - i) & 0xffff)) bits |= 1 << i;
    return { ack, bits: bits >>> 0 };
  }

  /** Gives transmit the datagrams of a packet; they are good until it returns. */
  send(content: Uint8Array, transmit: (datagram: Uint8Array) => void): void {
    const { maxPacket, fragmentAbove, fragmentSize } = this.#sizes;
    if (content.length < 1 || content.length > maxPacket) throw invalid(`a packet of ${content.length} bytes`);
    const header = { sequence: this.sequence, ...this.acks() };
    this.sequence = (this.sequence + 1) & 0xffff;
    this.#unacked.mark(header.sequence);
    const out = this.#out;
    if (content.length <= fragmentAbove) {
      const at = writeHeader(out, 0, header);
      out.set(content, at);
      transmit(out.subarray(0, at + content.length));
      return;
    }
    const count = Math.ceil(content.length / fragmentSize);
    for (let i = 0; i < count; i++) {
      out.set([1, header.sequence & 0xff, header.sequence >> 8, i, count - 1]);
      const at = i === 0 ? writeHeader(out, FRAGMENT_HEADER, header) : FRAGMENT_HEADER;
      const data = content.subarray(i * fragmentSize, (i + 1) * fragmentSize);
      out.set(data, at);
      transmit(out.subarray(0, at + data.length));
    }
  }

  /** Takes a datagram. Throws when it makes no sense; what is late or double is ignored. */
  receive(datagram: Uint8Array, to: Packets): void {
    if (datagram[0] === 1) {
      this.#fragment(datagram, to);
      return;
    }
    const { header, end } = readHeader(datagram, 0);
    const content = datagram.subarray(end);
    if (content.length < 1 || content.length > this.#sizes.maxPacket) throw invalid(`a packet of ${content.length} bytes`);
    this.#packet(header, content, to);
  }

  #packet(h: Header, content: Uint8Array, to: Packets): void {
    if (this.#received.behind(h.sequence) || this.#received.has(h.sequence)) return;
    if (!to.packet(h, content)) return;
    this.#received.mark(h.sequence);
    this.#open = this.#open.filter((a) => !this.#received.behind(a.sequence));
    for (let i = 0; i < ACK_BITS; i++) {
      if (((h.bits >>> i) & 1) === 0) continue;
      const sequence = (h.ack - i) & 0xffff;
      if (later(sequence, (this.#unacked.next - 1) & 0xffff) || !this.#unacked.has(sequence)) continue;
      this.#unacked.clear(sequence);
      to.acked(sequence);
    }
  }

  #fragment(b: Uint8Array, to: Packets): void {
    if (b.length < FRAGMENT_HEADER || b[3]! > b[4]!) throw invalid(`not a fragment of ${b.length} bytes`);
    const { maxPacket, fragmentSize, assemblies } = this.#sizes;
    const sequence = b[1]! | (b[2]! << 8);
    const number = b[3]!;
    const count = b[4]! + 1;
    let header: Header | undefined;
    let end = FRAGMENT_HEADER;
    if (number === 0) {
      ({ header, end } = readHeader(b, FRAGMENT_HEADER));
      if (header.sequence !== sequence) throw invalid(`a fragment of packet ${sequence} carries the header of ${header.sequence}`);
    }
    const data = b.subarray(end);
    if (
      (count - 1) * fragmentSize >= maxPacket || data.length < 1 || data.length > fragmentSize ||
      (data.length < fragmentSize && number !== count - 1) || number * fragmentSize + data.length > maxPacket
    ) {
      throw invalid(`fragment ${number} of ${count} has ${data.length} bytes`);
    }
    if (this.#received.has(sequence) || this.#received.behind(sequence)) return;
    let a = this.#open.find((o) => o.sequence === sequence);
    if (a === undefined) {
      if (this.#open.length >= assemblies) {
        const oldest = this.#open.reduce((x, y) => (later(x.sequence, y.sequence) ? y : x));
        if (later(oldest.sequence, sequence)) return;
        this.#open.splice(this.#open.indexOf(oldest), 1);
      }
      this.#received.reach(sequence);
      a = { sequence, header: undefined, left: count, here: Array.from({ length: count }, () => undefined) };
      this.#open.push(a);
    }
    if (a.here.length !== count) throw invalid(`packet ${sequence} has ${a.here.length} fragments and ${count}`);
    if (a.here[number] !== undefined) return;
    a.here[number] = data.slice();
    a.header ??= header;
    if (--a.left > 0) return;
    this.#open.splice(this.#open.indexOf(a), 1);
    const content = new Uint8Array(a.here.reduce((n, d) => n + d!.length, 0));
    a.here.reduce((at, d) => (content.set(d!, at), at + d!.length), 0);
    this.#packet(a.header!, content, to);
  }
}
