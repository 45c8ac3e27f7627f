import { BitReader } from "./bits.ts";
import { invalid, MAX_PAYLOAD, Message, messageOf } from "./message.ts";
import type { Hash } from "./view.ts";

/** One payload of a world at a tick; see wire/snapshot.go. @internal */
export interface Snapshot {
  tick: number;
  /** From 0. */
  part: number;
  parts: number;
  /** The view that the body changes; 0: the empty one. */
  base: number;
  /** For predicting where things went since base; 0: nothing moves. */
  older: number;
  about: About;
  /** Part of the payload. */
  body: Uint8Array;
}

/** What part 0 says beside its entities. @internal */
export interface About {
  /** Low bits of the newest input that the server has applied. */
  input: number;
  /** Entities up to this ID are in the view; 0: all. */
  through: number;
  /** The client's clock in its newest input, and milliseconds since it came. */
  echo: { sent: number; hold: number } | undefined;
  hash: Hash | undefined;
}

/** Reads the message. @internal */
export function parseSnapshot(payload: Uint8Array): Snapshot {
  if (messageOf(payload) !== Message.Snapshot || payload.length > MAX_PAYLOAD) {
    throw invalid(`not a snapshot of ${payload.length} bytes`);
  }
  const r = new BitReader(payload.subarray(1));
  const tick = r.bits(32);
  let part = 0;
  let parts = 1;
  if (r.flag()) {
    part = r.bits(4);
    parts = r.bits(4) + 1;
  }
  const base = r.bits(5);
  const older = r.bits(5);
  const about = part === 0 ? parseAbout(r) : { input: 0, through: 0, echo: undefined, hash: undefined };
  if (r.short || tick === 0 || part >= parts || base >= tick || older >= tick) {
    throw invalid(`a snapshot of ${payload.length} bytes has a bad header`);
  }
  if (older !== 0 && (base === 0 || older <= base)) {
    throw invalid(`a snapshot's older tick is ${older} back, its baseline ${base}`);
  }
  return {
    tick, part, parts, about,
    base: base === 0 ? 0 : tick - base,
    older: older === 0 ? 0 : tick - older,
    body: r.rest(),
  };
}

function parseAbout(r: BitReader): About {
  const input = r.bits(16);
  const through = r.flag() ? r.bits(32) : 0;
  const echo = r.flag() ? { sent: r.bits(16), hold: r.bits(8) } : undefined;
  let hash: Hash | undefined;
  if (r.flag()) {
    const lower = r.bits(32);
    hash = { upper: r.bits(32), lower };
  }
  return { input, through, echo, hash };
}
