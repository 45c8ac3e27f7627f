import { Decoder } from "./wire/apply.ts";
import { parseBye, type Bye } from "./wire/bye.ts";
import { encodeInput, makeMove, MAX_MOVES, type Move } from "./wire/input.ts";
import { parseHandoff, type Handoff } from "./wire/handoff.ts";
import { parseReconnect, type Reconnect } from "./wire/reconnect.ts";
import { Message, messageOf } from "./wire/message.ts";
import { parsePlace, type PlaceMessage } from "./wire/place.ts";
import { parseSnapshot } from "./wire/snapshot.ts";
import { View } from "./wire/view.ts";
import { parseWelcome, type Welcome } from "./wire/welcome.ts";

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
  /** What the place's script told the player. */
  readonly message?: PlaceMessage;
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
  /** The newest of each entity as integers. It changes with the next receive. */
  view: View | undefined;
  /** The newest input that is in the world of view. */
  applied = 0;

  #decoder: Decoder | undefined;
  #pending = 0; // decoded since the last hash that matched
  #moves: Move[] = Array.from({ length: MAX_MOVES }, () => makeMove(0, 0, 0));
  #made = 0;

  /**
   * Takes one payload: a state or a message of wire/channel, or its last word. now is milliseconds of the same clock as input's.
   * Messages that are not known, or late, are ignored. Throws a
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
        return { reconnect: parseReconnect(payload) };
      case Message.Handoff:
        return { handoff: parseHandoff(payload) };
      case Message.Place:
        return { message: parsePlace(payload) };
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
      sequence: made, ack: this.#decoder?.tick ?? 0, came: this.#decoder?.came ?? 0, sent: clock(now), moves,
    });
  }

  /** The last input's number, 0 before the first, and its move as the server sees it. */
  get newest(): { readonly sequence: number; readonly move: Move } {
    return { sequence: this.#made, move: this.#moves[this.#made % MAX_MOVES]! };
  }

  #welcome(payload: Uint8Array): Update {
    if (this.welcome !== undefined) return nothing;
    this.welcome = parseWelcome(payload);
    this.#decoder = new Decoder(this.welcome.schema);
    return { welcomed: true };
  }

  #snapshot(payload: Uint8Array, now: number): Update {
    const decoder = this.#decoder;
    if (decoder === undefined) return nothing;
    const newest = this.view?.tick ?? 0;
    const s = parseSnapshot(payload, newest);
    if (s.tick <= newest) return nothing;
    const empty = decoder.tick === 0;
    try {
      decoder.apply(s);
    } catch (err) {
      this.#pending = 0;
      if (empty) return nothing; // expected until the server knows that all is lost
      throw err;
    }
    this.#pending++;
    let verified: number | undefined;
    if (s.hash !== undefined) {
      if (decoder.hash() !== s.hash) {
        decoder.forget();
        this.#pending = 0;
        return { mismatch: true };
      }
      verified = this.#pending;
      this.#pending = 0;
    }
    decoder.fill((this.view ??= new View()));
    const behind = (this.#made - s.input) & 0xff;
    if (behind <= this.#made) this.applied = Math.max(this.applied, this.#made - behind);
    return {
      tick: s.tick,
      ...(verified !== undefined && { verified }),
      // Modulo 65,536; what both clocks cut off can make it -1.
      ...(s.echo !== undefined && { roundTrip: Math.max(1, ((clock(now) - s.echo.sent - s.echo.hold) << 16) >> 16) }),
    };
  }
}

/** A time in milliseconds, modulo 65,536. */
function clock(now: number): number {
  return Math.floor(now) % 65536;
}
