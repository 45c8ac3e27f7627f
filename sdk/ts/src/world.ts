import { Decoder } from "./wire/apply.ts";
import { parseBye, type Bye } from "./wire/bye.ts";
import { encodeInput, makeMove, MAX_MOVES, type Move } from "./wire/input.ts";
import { joinHandoff, parseHandoffPart, type Handoff } from "./wire/handoff.ts";
import { parseReconnect, type Reconnect } from "./wire/reconnect.ts";
import { HISTORY, invalid, MAX_PARTS, Message, messageOf } from "./wire/message.ts";
import { Parts } from "./wire/part.ts";
import { parseSnapshot, type Snapshot } from "./wire/snapshot.ts";
import { View } from "./wire/view.ts";
import { joinWelcome, parseWelcomePart, type Welcome } from "./wire/welcome.ts";

// Snapshots of which some parts are here. When one more comes, the oldest is
// given up.
const MAX_WAITING = 3;

/** What a payload changed. */
export interface Update {
  /** The welcome is complete. */
  readonly welcomed?: true;
  /** Of a new snapshot that is complete. */
  readonly tick?: number;
  /** Snapshots that count now, because the server's hash of this one matches. */
  readonly verified?: number;
  /** The server's hash does not match: the last snapshots do not count. */
  readonly mismatch?: true;
  /** Round trip without the server's time, whole milliseconds, at least 1. */
  readonly roundTrip?: number;
  /** A token with which the player can come back, see {@link Reconnect}. */
  readonly reconnect?: Reconnect;
  /** There is a seat in another session, to which the server hands the player off. */
  readonly handoff?: Handoff;
  /** The server is about to disconnect. */
  readonly bye?: Bye;
}

const nothing: Update = {};

/**
 * The session's world as one player sees it, decoded from what the server sends.
 * A new connection begins with a new World. {@link Connection} has one; use it
 * by itself only over a transport of your own.
 */
export class World {
  /** What the server said first; undefined before it came. */
  welcome: Welcome | undefined;
  /** The newest snapshot as integers, as the server hashes it. It changes with the next receive. */
  view: View | undefined;
  /** The newest input that is in the world of view. */
  applied = 0;

  #token: Reconnect | undefined;
  #parts = new Parts(); // of the welcome
  #handing = new Parts(); // of a handoff
  #handed = -1; // the newest handoff's sum: it is repeated
  #decoder: Decoder | undefined;
  #past: View[] = Array.from({ length: HISTORY }, () => new View()); // by tick modulo HISTORY
  #scratch = new View();
  #newest = 0; // of past; 0: none, the server is to send all
  #waiting: Incomplete[] = Array.from({ length: MAX_WAITING }, () => new Incomplete());
  #pending = 0; // decoded since the last hash that matched
  #moves: Move[] = Array.from({ length: MAX_MOVES }, () => makeMove(0, 0, 0));
  #made = 0;

  /**
   * Takes one payload. now is milliseconds of the same clock as input's.
   * Messages that are not known, late or double are ignored. Throws a
   * {@link WireError} when the server speaks another protocol, or the payload
   * makes no sense: the world is as it was, or asks for all anew.
   */
  receive(payload: Uint8Array, now: number): Update {
    switch (messageOf(payload)) {
      case Message.Welcome:
        return this.#welcome(payload);
      case Message.Snapshot:
        return this.#snapshot(payload, now);
      case Message.Reconnect:
        return this.#reconnect(payload);
      case Message.Handoff:
        return this.#handoff(payload);
      case Message.Bye:
        return { bye: parseBye(payload) };
      default:
        return nothing;
    }
  }

  /**
   * Makes the next payload for the server, about one a tick: a move, those
   * before it that the server may not have, and what was received. Directions
   * are -1 to 1; buttons are the bits of a 32-bit number.
   */
  input(x: number, y: number, buttons: number, now: number): Uint8Array {
    const made = ++this.#made;
    this.#moves[made % MAX_MOVES] = makeMove(x, y, buttons);
    const count = Math.max(1, Math.min(made - this.applied, MAX_MOVES));
    const moves: Move[] = [];
    for (let i = made - count + 1; i <= made; i++) moves.push(this.#moves[i % MAX_MOVES]!);
    return encodeInput({
      sequence: made, ack: this.#newest, welcomed: this.welcome !== undefined, sent: clock(now), moves,
      reconnect: this.#token?.number ?? 0,
    });
  }

  #reconnect(payload: Uint8Array): Update {
    const r = parseReconnect(payload);
    // Tokens are repeated until the server knows that they came, and may come late.
    if (this.#token !== undefined && r.expire <= this.#token.expire) return nothing;
    this.#token = r;
    return { reconnect: r };
  }

  #handoff(payload: Uint8Array): Update {
    const p = parseHandoffPart(payload);
    if (p.sum === this.#handed) return nothing;
    const data = this.#handing.take(p);
    if (data === undefined) return nothing;
    const handoff = joinHandoff(p.sum, data);
    this.#handed = p.sum;
    return { handoff };
  }

  #welcome(payload: Uint8Array): Update {
    const p = parseWelcomePart(payload);
    if (this.welcome !== undefined) return nothing;
    const data = this.#parts.take(p);
    if (data === undefined) return nothing;
    this.welcome = joinWelcome(p.sum, data);
    this.#decoder = new Decoder(this.welcome.schema);
    return { welcomed: true };
  }

  #snapshot(payload: Uint8Array, now: number): Update {
    const s = parseSnapshot(payload);
    if (this.#decoder === undefined || s.tick <= this.#newest) return nothing;
    if (s.parts === 1) return this.#complete(this.#decoder, s, now, [s.body]);
    let into = this.#waiting[0]!;
    for (const w of this.#waiting) {
      if (w.tick === s.tick) {
        into = w;
        break;
      }
      if (w.tick < into.tick) into = w;
    }
    if (into.tick > s.tick) return nothing; // newer ones have taken all places
    const head = into.take(s);
    if (head === undefined) return nothing;
    into.tick = 0;
    return this.#complete(this.#decoder, head, now, into.bodies.slice(0, head.parts) as Uint8Array[]);
  }

  /** Decodes a snapshot that is newer than all before. */
  #complete(decoder: Decoder, s: Snapshot, now: number, bodies: Uint8Array[]): Update {
    const base = this.#at(s.base);
    const older = this.#at(s.older);
    if ((base === undefined) !== (s.base === 0) || (older === undefined) !== (s.older === 0)) {
      // After a mismatch this is expected until the server knows of it.
      this.#forget();
      return nothing;
    }
    const dst = this.#scratch;
    try {
      decoder.apply(dst, s, base, older, bodies);
    } catch (err) {
      this.#forget();
      throw err;
    }
    this.#pending++;
    const { hash, echo, input } = s.about;
    let verified: number | undefined;
    if (hash !== undefined) {
      const got = dst.hash(this.welcome!.schema);
      if (got.upper !== hash.upper || got.lower !== hash.lower) {
        this.#forget();
        return { mismatch: true };
      }
      verified = this.#pending;
      this.#pending = 0;
    }
    const slot = s.tick % HISTORY;
    this.#scratch = this.#past[slot]!;
    this.#past[slot] = this.view = dst;
    this.#newest = s.tick;
    const behind = (this.#made - input) & 0xffff;
    if (behind <= this.#made) this.applied = Math.max(this.applied, this.#made - behind);
    return {
      tick: s.tick,
      ...(verified !== undefined && { verified }),
      // Modulo 65,536; what both clocks cut off can make it -1.
      ...(echo !== undefined && { roundTrip: Math.max(1, ((clock(now) - echo.sent - echo.hold) << 16) >> 16) }),
    };
  }

  #at(tick: number): View | undefined {
    const v = this.#past[tick % HISTORY]!;
    return tick !== 0 && v.tick === tick ? v : undefined;
  }

  /** Makes the next inputs ask for all anew. */
  #forget(): void {
    for (const v of this.#past) v.tick = 0;
    for (const w of this.#waiting) w.tick = 0;
    this.#newest = 0;
    this.#pending = 0;
  }
}

/** A snapshot of which some parts are here. */
class Incomplete {
  tick = 0; // 0: unused
  bodies: (Uint8Array | undefined)[] = [];
  #head: Snapshot | undefined;
  #parts = 0;
  #left = 0;

  /** Keeps a part, and returns part 0 once all are here. */
  take(s: Snapshot): Snapshot | undefined {
    if (this.tick !== s.tick) {
      this.tick = s.tick;
      this.#parts = this.#left = s.parts;
      this.#head = undefined;
      this.bodies = Array.from({ length: MAX_PARTS }, () => undefined);
    }
    if (this.#parts !== s.parts) throw invalid(`the snapshot of tick ${s.tick} has ${this.#parts} parts and ${s.parts}`);
    if (this.bodies[s.part] === undefined) {
      this.#left--;
      this.bodies[s.part] = s.body.slice();
      if (s.part === 0) this.#head = s;
    }
    return this.#left === 0 ? this.#head : undefined;
  }
}

/** A time in milliseconds, modulo 65,536. */
function clock(now: number): number {
  return Math.floor(now) % 65536;
}
