import type { Transport } from "./transport.ts";
import { Channel } from "./wire/channel.ts";
import { WireError } from "./wire/message.ts";
import { World, type Update } from "./world.ts";

const MESSAGES_PER_SECOND = 30; // the server's rule, which does not hear what is too many
const MESSAGES_AT_ONCE = 60;

/** One transport's way, with what goes over it in order, and the world that came. @internal */
export class Link {
  readonly world = new World();
  readonly #channel: Channel;
  readonly #told: (u: Update, now: number) => void;
  readonly #broken: (err: WireError) => void;
  #now = 0; // of the datagram at hand
  #credit = MESSAGES_AT_ONCE;
  #creditAt = 0;

  /** told is called for each payload; broken when the server speaks another protocol, or there is no going on. */
  constructor(told: (u: Update, now: number) => void, broken: (err: WireError) => void) {
    this.#told = told;
    this.#broken = broken;
    this.#channel = new Channel({
      // What was sent before the welcome, or no longer makes sense, is not acked.
      state: (payload) => this.#take(payload),
      message: (payload) => this.#take(payload),
      last: (payload) => this.#take(payload),
      acked: () => undefined,
    });
  }

  /** Takes a datagram. */
  receive(datagram: Uint8Array, now: number): void {
    this.#now = now;
    try {
      this.#channel.receive(now, datagram);
    } catch (err) {
      if (!(err instanceof WireError)) throw err;
    }
    this.#check();
  }

  /** Sends a move, and what else is to be sent. */
  input(x: number, y: number, buttons: number, now: number, transport: Transport): void {
    this.#channel.flush(now, this.world.input(x, y, buttons, now), 0, (d) => transport.send(d));
    this.#check();
  }

  /** Sends a message with the next input; false: too many were sent in the last second. */
  send(message: Uint8Array, now: number): boolean {
    this.#credit = Math.min(MESSAGES_AT_ONCE, this.#credit + ((now - this.#creditAt) / 1000) * MESSAGES_PER_SECOND);
    this.#creditAt = now;
    if (this.#credit < 1) return false;
    this.#credit--;
    this.#channel.queue(message);
    return true;
  }

  #take(payload: Uint8Array): boolean {
    try {
      this.#told(this.world.receive(payload, this.#now), this.#now);
      return true;
    } catch (err) {
      if (!(err instanceof WireError)) throw err;
      if (err.code === "unsupported") this.#broken(err);
      return false;
    }
  }

  #check(): void {
    if (this.#channel.error !== undefined) this.#broken(this.#channel.error);
  }
}
