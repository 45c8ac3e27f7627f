import { BitReader } from "./bits.ts";
import { invalid, MAX_PAYLOAD, Message, messageOf } from "./message.ts";

/** What concerns the player of the world at a tick; see wire/snapshot.go. @internal */
export interface Snapshot {
  tick: number;
  /** How many ticks ago what is to be remembered begins; undefined: all that HISTORY has. */
  since: number | undefined;
  /** Low bits of the newest input that the server has applied. */
  input: number;
  /** The client's clock in its newest input, and milliseconds since it came. */
  echo: { sent: number; hold: number } | undefined;
  /** Decoder.hash after it. */
  hash: number | undefined;
  /** Part of the payload. */
  body: Uint8Array;
}

/** Reads the message. near is the newest tick that the client knows of. @internal */
export function parseSnapshot(payload: Uint8Array, near: number): Snapshot {
  if (messageOf(payload) !== Message.Snapshot || payload.length > MAX_PAYLOAD) {
    throw invalid(`not a snapshot of ${payload.length} bytes`);
  }
  const r = new BitReader(payload.subarray(1));
  const low = r.bits(16);
  let since: number | undefined;
  let tick = (near + (((low - near) << 16) >> 16)) >>> 0;
  if (r.flag()) {
    since = r.bits(5);
    tick = (low | (r.bits(16) << 16)) >>> 0;
  }
  const input = r.bits(8);
  const echo = r.flag() ? { sent: r.bits(16), hold: r.bits(8) } : undefined;
  const hash = r.flag() ? r.bits(32) : undefined;
  if (r.short || tick === 0 || (since ?? 0) >= tick) throw invalid(`a snapshot of ${payload.length} bytes has a bad header`);
  return { tick, since, input, echo, hash, body: r.rest() };
}
