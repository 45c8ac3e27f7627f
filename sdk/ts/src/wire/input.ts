import { BitWriter } from "./bits.ts";
import { Message } from "./message.ts";

/** Moves that one input carries: the newest and those before it that the server may not have. @internal */
export const MAX_MOVES = 8;

const MAX_INPUT = 84; // bytes, with room to spare

/** What a player wants for one step; x and y are -127 to 127. */
export interface Move {
  x: number;
  y: number;
  buttons: number;
}

/** Quantises: directions are clamped to [-1,1], NaN is 0. @internal */
export function makeMove(x: number, y: number, buttons: number): Move {
  return { x: axis(x), y: axis(y), buttons: buttons >>> 0 };
}

function axis(v: number): number {
  if (Number.isNaN(v)) return 0;
  const c = Math.max(-1, Math.min(1, v)) * 127;
  return c < 0 ? 0 - Math.round(-c) : Math.round(c); // halves away from zero
}

/** @internal */
export interface Input {
  /** Of the newest move, from 1. */
  sequence: number;
  /** Newest snapshot that was decoded; 0: all is to be sent anew. */
  ack: number;
  /** Which before it were: bit i is the tick i+1 before ack. */
  came: number;
  /** The client's clock, milliseconds modulo 65,536. */
  sent: number;
  /** 1 to MAX_MOVES, the newest last. */
  moves: readonly Move[];
}

/** Writes the message. @internal */
export function encodeInput(i: Input): Uint8Array {
  const out = new Uint8Array(MAX_INPUT);
  out[0] = Message.Input;
  const w = new BitWriter(out, 1);
  w.bits(i.sequence, 32);
  w.bits(i.ack, 32);
  w.bits(i.came, 31);
  w.bits(i.sent, 16);
  w.bits(i.moves.length - 1, 3);
  let before: Move = { x: 0, y: 0, buttons: 0 };
  for (const m of i.moves) {
    const differs = m.x !== before.x || m.y !== before.y || m.buttons !== before.buttons;
    w.flag(differs);
    if (differs) {
      w.bits(m.x & 0xff, 8);
      w.bits(m.y & 0xff, 8);
      w.count(m.buttons);
    }
    before = m;
  }
  return w.finish();
}
