// State, events and the last word over packets, see wire/channel in Go. A client's
// end only: its state, the inputs, goes out always.
import { invalid, WireError } from "./message.ts";
import { Endpoint, FRAGMENT_HEADER, later, MAX_HEADER, WINDOW, type Header } from "./reliable.ts";

const MAX_DATAGRAM = 1150;
const MAX_SLICE = 1024;
const SLICE_HEADER = 4;
const MAX_SLICES = 255; // of one packet
const AHEAD = 128; // slices on their way
const MAX_WHOLE = MAX_DATAGRAM - MAX_HEADER;
const FRAGMENT_SIZE = MAX_DATAGRAM - MAX_HEADER - FRAGMENT_HEADER;
const MAX_PACKET = 16 * FRAGMENT_SIZE;
const FRAME_HEAD = 2;
const WHOLE_STATE = MAX_WHOLE - FRAME_HEAD;
/** Bytes of one message. @internal */
export const MAX_MESSAGE = 16 << 10;
const MAX_QUEUE = 64 << 10; // bytes that wait to be acked
const MAX_EARLY = 64 << 10; // bytes that came before their turn
const REORDERED = 3;
const BURST = 3;
const MOST_HOLD = 255; // ms
const HOLD_EVERY = 100; // ms
const PATIENCE = 10_000; // ms that a message may remain without an ack

const EVENTS = 1;
const STATE = 2;
const LAST = 4;
const HOLD = 8;

interface Slice {
  number: number;
  more: boolean;
  data: Uint8Array;
}

interface Piece extends Slice {
  flying: boolean;
  acked: boolean;
  sent: boolean;
  packet: number;
}

/** A packet that was sent. */
interface Flight {
  sequence: number;
  at: number;
  acked: boolean;
  lost: boolean;
  tag: number;
  slices: number[];
}

/** Is told of what came. Bytes are part of the datagram. @internal */
export interface ChannelSink {
  /** Takes a state; false: it was of no use, and is not acked. */
  state(state: Uint8Array): boolean;
  /** Takes the next message. */
  message(message: Uint8Array): void;
  /** Takes the other side's last word. */
  last(word: Uint8Array): void;
  /** The state that was sent with a tag other than 0 was taken. */
  acked(tag: number): void;
}

/** One end of a connection; times are milliseconds of any clock that only goes on. @internal */
export class Channel {
  /** Why it cannot go on. */
  error: WireError | undefined;
  /** Round trip in ms without the other side's time, smoothed; NaN: not measured. */
  trip = NaN;

  readonly #sink: ChannelSink;
  readonly #end = new Endpoint({ maxPacket: MAX_PACKET, fragmentAbove: MAX_WHOLE, fragmentSize: FRAGMENT_SIZE, assemblies: 4 });

  // What goes out.
  #first = 0; // number of pieces[0]
  #pieces: Piece[] = [];
  #waiting = 0; // bytes of them
  readonly #flights: (Flight | undefined)[] = Array.from({ length: WINDOW }, () => undefined);
  #oldest = 0; // sequence before which all is decided
  #newest = -1; // newest that was acked
  #spread = 0;
  #backoff = 0;
  #flushed = NaN;
  #stalled = 0; // ms of flushes since the first piece is the first
  #front = 0;

  // What comes in.
  #next = 0; // number of the slice that is waited for
  readonly #early = new Map<number, Slice>();
  #earlyBytes = 0;
  #parts: Uint8Array[] = [];
  #partBytes = 0;
  #came = -1; // newest sequence
  #cameAt = 0;
  #untold = false;
  #toldAt = -HOLD_EVERY;
  #owed = false;
  #now = 0;
  #sample: { ack: number; hold: number } | undefined; // of the packet at hand

  constructor(sink: ChannelSink) {
    this.#sink = sink;
  }

  /** Takes a message for the other side; flush sends it. Throws when too much waits, and is over then. */
  queue(message: Uint8Array): void {
    if (this.error !== undefined) throw this.error;
    if (message.length < 1 || message.length > MAX_MESSAGE) throw invalid(`a message of ${message.length} bytes`);
    const count = Math.ceil(message.length / MAX_SLICE);
    if (this.#waiting + message.length + count * SLICE_HEADER > MAX_QUEUE) {
      this.error = invalid(`${this.#waiting} bytes of messages wait for the server to take them`);
      throw this.error;
    }
    for (let i = 0; i < count; i++) {
      const data = message.slice(i * MAX_SLICE, (i + 1) * MAX_SLICE);
      this.#pieces.push({
        number: (this.#first + this.#pieces.length) & 0xffff, more: i < count - 1, data,
        flying: false, acked: false, sent: false, packet: 0,
      });
      this.#waiting += data.length + SLICE_HEADER;
    }
  }

  /** Gives transmit what is to be sent: the state, and messages that are new or lost. */
  flush(now: number, state: Uint8Array | undefined, tag: number, transmit: (datagram: Uint8Array) => void): void {
    this.#expire(now);
    this.#stall(now);
    if (this.error !== undefined) return;
    // What does not fit beside the state goes before it: a state may need it.
    const room = Math.max(0, WHOLE_STATE - 1 - (state?.length ?? 0));
    for (let i = 0; i < BURST && this.#waits(room); i++) this.#send(now, this.#due(WHOLE_STATE - 1), undefined, 0, transmit);
    if (state !== undefined) this.#send(now, this.#due(room), state, tag, transmit);
    if (this.#owed || (state === undefined && this.#waits(0))) this.#send(now, this.#due(WHOLE_STATE - 1), undefined, 0, transmit);
  }

  /** Takes a datagram. Throws when it makes no sense. */
  receive(now: number, datagram: Uint8Array): void {
    if (this.error !== undefined) throw this.error;
    this.#now = now;
    this.#end.receive(datagram, { packet: (h, c) => this.#packet(h, c), acked: (s) => this.#acked(s) });
    if (this.error !== undefined) throw this.error as WireError;
  }

  #send(now: number, slices: Slice[], state: Uint8Array | undefined, tag: number, transmit: (d: Uint8Array) => void): void {
    let hold = -1;
    if (this.#untold && now - this.#toldAt >= HOLD_EVERY && this.#end.acks().ack === this.#came) {
      const held = Math.floor(now - this.#cameAt);
      if (held >= 0 && held <= MOST_HOLD) {
        hold = held;
        this.#toldAt = now;
      }
      this.#untold = false;
    }
    const content = frame(slices, hold, state);
    const n = this.#end.sequence;
    const before = this.#flights[n % WINDOW];
    if (before !== undefined && !before.acked && !before.lost) this.#lose(before);
    this.#flights[n % WINDOW] = { sequence: n, at: now, acked: false, lost: false, tag, slices: slices.map((s) => s.number) };
    this.#owed = false;
    this.#end.send(content, transmit);
    if (((this.#end.sequence - this.#oldest) & 0xffff) > WINDOW) this.#oldest = (this.#end.sequence - WINDOW) & 0xffff;
  }

  /** Slices that are to be sent now and fit, marked as being in the next packet. */
  #due(room: number): Slice[] {
    const out: Slice[] = [];
    for (const p of this.#pieces.slice(0, AHEAD)) {
      if (out.length === MAX_SLICES || room < SLICE_HEADER) break;
      if (p.flying || p.acked) continue;
      if (p.data.length + SLICE_HEADER > room) break;
      room -= p.data.length + SLICE_HEADER;
      p.flying = true;
      p.sent = true;
      p.packet = this.#end.sequence;
      out.push(p);
    }
    return out;
  }

  /** Whether more is to be sent now than fits into room bytes. */
  #waits(room: number): boolean {
    let left = room;
    return this.#pieces.slice(0, AHEAD).some((p) => !p.flying && !p.acked && (left -= p.data.length + SLICE_HEADER) < 0);
  }

  #stall(now: number): void {
    const slept = now - this.#flushed;
    this.#flushed = now;
    if (this.#pieces[0]?.sent !== true || this.#first !== this.#front) {
      this.#front = this.#first;
      this.#stalled = 0;
      return;
    }
    this.#stalled += Math.max(0, Math.min(slept, MOST_HOLD));
    if (this.#stalled > PATIENCE) this.error ??= invalid(`the server has acknowledged no message for ${PATIENCE / 1000} s`);
  }

  #timeout(): number {
    const out = Number.isNaN(this.trip) ? 500 : Math.max(100, this.trip + 4 * this.#spread + 100);
    return Math.min(out * 2 ** this.#backoff, 4000);
  }

  /** Decides what happened to packets that were not acked. */
  #expire(now: number): void {
    const timeout = this.#timeout();
    let late = false;
    for (let n = this.#oldest; n !== this.#end.sequence; n = (n + 1) & 0xffff) {
      const f = this.#flights[n % WINDOW];
      if (f === undefined || f.acked || f.lost) {
        if (n === this.#oldest) this.#oldest = (n + 1) & 0xffff;
        continue;
      }
      const overtaken = this.#newest >= 0 && ((this.#newest - n) << 16) >> 16 >= REORDERED;
      if (!overtaken && now - f.at < timeout) continue;
      late ||= !overtaken;
      this.#lose(f);
    }
    if (late) this.#backoff = Math.min(this.#backoff + 1, 3);
  }

  #lose(f: Flight): void {
    f.lost = true;
    for (const n of f.slices) {
      const p = this.#pieces[(n - this.#first) & 0xffff];
      if (p !== undefined && p.flying && p.packet === f.sequence) p.flying = false;
    }
  }

  #acked(sequence: number): void {
    const f = this.#flights[sequence % WINDOW];
    if (f === undefined || f.acked || f.sequence !== sequence) return;
    f.acked = true;
    this.#backoff = 0;
    if (this.#sample?.ack === sequence) this.#measure(Math.max(1, this.#now - f.at - this.#sample.hold));
    for (const n of f.slices) {
      const p = this.#pieces[(n - this.#first) & 0xffff];
      if (p !== undefined) p.acked = true;
    }
    while (this.#pieces[0]?.acked === true) {
      this.#waiting -= this.#pieces.shift()!.data.length + SLICE_HEADER;
      this.#first = (this.#first + 1) & 0xffff;
    }
    if (this.#newest < 0 || later(sequence, this.#newest)) this.#newest = sequence;
    if (f.tag !== 0) this.#sink.acked(f.tag);
  }

  #measure(sample: number): void {
    if (Number.isNaN(this.trip)) {
      this.trip = sample;
      this.#spread = sample / 2;
      return;
    }
    this.#spread += (Math.abs(this.trip - sample) - this.#spread) / 4;
    this.trip += (sample - this.trip) / 8;
  }

  #packet(h: Header, content: Uint8Array): boolean {
    const f = parseFrame(content);
    for (const s of f.slices) if (!this.#take(s)) return false;
    if (f.state !== undefined && !this.#sink.state(f.state)) return false;
    if (f.last !== undefined) this.#sink.last(f.last);
    if (this.#came < 0 || later(h.sequence, this.#came)) {
      this.#came = h.sequence;
      this.#cameAt = this.#now;
      this.#untold = true;
    }
    this.#owed ||= f.slices.length > 0;
    this.#sample = f.hold < 0 ? undefined : { ack: h.ack, hold: f.hold };
    return true;
  }

  /** Takes a slice; false: there is no room for it now. */
  #take(s: Slice): boolean {
    const ahead = (s.number - this.#next) & 0xffff;
    if (ahead >= 1 << 15) return true; // taken before
    if (ahead >= AHEAD) throw (this.error = invalid(`slice ${s.number} came while ${this.#next} is waited for`));
    if (ahead > 0) {
      if (this.#early.has(s.number)) return true;
      if (this.#earlyBytes + s.data.length > MAX_EARLY) return false;
      this.#early.set(s.number, { ...s, data: s.data.slice() });
      this.#earlyBytes += s.data.length;
      return true;
    }
    for (let turn: Slice | undefined = s; turn !== undefined; ) {
      this.#add(turn);
      turn = this.#early.get(this.#next);
      if (turn === undefined) break;
      this.#early.delete(this.#next);
      this.#earlyBytes -= turn.data.length;
    }
    return true;
  }

  #add(s: Slice): void {
    this.#next = (this.#next + 1) & 0xffff;
    this.#partBytes += s.data.length;
    if (this.#partBytes > MAX_MESSAGE) throw (this.error = invalid(`a message of more than ${MAX_MESSAGE} bytes`));
    this.#parts.push(s.more ? s.data.slice() : s.data);
    if (s.more) return;
    const message = this.#parts.length === 1 ? this.#parts[0]! : join(this.#parts, this.#partBytes);
    this.#parts = [];
    this.#partBytes = 0;
    this.#sink.message(message);
  }
}

function join(parts: readonly Uint8Array[], size: number): Uint8Array {
  const out = new Uint8Array(size);
  let at = 0;
  for (const p of parts) {
    out.set(p, at);
    at += p.length;
  }
  return out;
}

/** Writes the content of a packet; hold below 0: none. */
function frame(slices: readonly Slice[], hold: number, state: Uint8Array | undefined): Uint8Array {
  const out = new Uint8Array(FRAME_HEAD + 1 + slices.reduce((n, s) => n + SLICE_HEADER + s.data.length, 0) + (state?.length ?? 0));
  let at = 1;
  if (hold >= 0) {
    out[0]! |= HOLD;
    out[at++] = hold;
  }
  if (slices.length > 0) {
    out[0]! |= EVENTS;
    out[at++] = slices.length;
    for (const s of slices) {
      out[at++] = s.number & 0xff;
      out[at++] = s.number >> 8;
      let size = (s.data.length << 1) | (s.more ? 1 : 0);
      if (size >= 0x80) {
        out[at++] = (size & 0x7f) | 0x80;
        size >>= 7;
      }
      out[at++] = size;
      out.set(s.data, at);
      at += s.data.length;
    }
  }
  if (state !== undefined) {
    out[0]! |= STATE;
    out.set(state, at);
    at += state.length;
  }
  return out.subarray(0, at);
}

/** The content of a packet; hold below 0: none. @internal */
export interface Frame {
  slices: Slice[];
  hold: number;
  state: Uint8Array | undefined;
  last: Uint8Array | undefined;
}

/** Reads it. @internal */
export function parseFrame(b: Uint8Array): Frame {
  const short = (): WireError => invalid("a packet's content ends too early");
  if (b.length < 1) throw short();
  const flags = b[0]!;
  if (flags >= HOLD << 1 || (flags & (STATE | LAST)) === (STATE | LAST)) throw invalid(`a packet's content begins with ${flags}`);
  const f: Frame = { slices: [], hold: -1, state: undefined, last: undefined };
  let at = 1;
  if ((flags & HOLD) !== 0) {
    if (at >= b.length) throw short();
    f.hold = b[at++]!;
  }
  if ((flags & EVENTS) !== 0) {
    const count = b[at++] ?? 0;
    if (count === 0) throw short();
    for (let i = 0; i < count; i++) {
      if (b.length < at + 3) throw short();
      const number = b[at]! | (b[at + 1]! << 8);
      let size = b[at + 2]!;
      at += 3;
      if (size >= 0x80) {
        const more = b[at++] ?? 0;
        if (more === 0 || more >= 0x80) throw short();
        size = (size & 0x7f) | (more << 7);
      }
      const more = (size & 1) !== 0;
      size >>= 1;
      if (size > MAX_SLICE || at + size > b.length) throw invalid(`a slice of ${size} bytes`);
      f.slices.push({ number, more, data: b.subarray(at, at + size) });
      at += size;
    }
  }
  if ((flags & STATE) !== 0) f.state = b.subarray(at);
  else if ((flags & LAST) !== 0) f.last = b.subarray(at);
  else if (at < b.length) throw invalid(`${b.length - at} bytes follow a packet's content`);
  return f;
}
