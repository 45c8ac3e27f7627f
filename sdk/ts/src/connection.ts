import { Rate } from "./counters.ts";
import { Link } from "./link.ts";
import { Scene } from "./scene/scene.ts";
import type { SmoothEntity } from "./scene/smooth.ts";
import type { Step } from "./scene/walk.ts";
import { connect, type Target, type Transport, type TransportKind, type TransportOptions } from "./transport.ts";
import type { Bye } from "./wire/bye.ts";
import type { Handoff } from "./wire/handoff.ts";
import type { WireError } from "./wire/message.ts";
import { encodePlace, type PlaceMessage } from "./wire/place.ts";
import { reconnectToken } from "./wire/reconnect.ts";
import type { Welcome } from "./wire/welcome.ts";
import type { Update, World } from "./world.ts";

const SEAT_TIME = 30_000; // ms that a game server keeps a lost player's seat
const MOST_TOKENS = 3; // an older one has expired, or will soon
const SILENCE = 3000; // ms after which a connection counts as lost
const FIRST_SILENCE = 5000; // until the welcome
const FIRST_TRY = 100;
const LAST_TRY = 2000;
const DEFAULT_RATE = 30; // Hz, before the welcome
const MOST_HISTORY = 32;
const MOVE_TIME = 12_000; // ms for the way to another session, whose seat is held for 10 s
const MOVE_PAUSE = 300;
const MOVE_INPUT = 50; // ms between inputs to it

/**
 * How a connection is. `moving` is playing in one session while the way to
 * another is made, to which the server hands the player off. `ended` is the last.
 */
export type ConnectionState = "connecting" | "playing" | "moving" | "reconnecting" | "ended";

/** Why a connection ended. */
export type EndReason =
  /** The server said why. */
  | Bye["reason"]
  /** It could not be made at all. */
  | "unreachable"
  /** It was lost and did not come back while the seat was kept. */
  | "lost"
  /** The server speaks another protocol: the page is older or newer. */
  | "outdated"
  /** By close. */
  | "closed";

/** The end of a connection. */
export interface End {
  readonly reason: EndReason;
  /** For people and logs; may be empty. Never treat it as markup. */
  readonly text: string;
}

/** What a connection measures. */
export interface Stats {
  readonly transport: TransportKind | undefined;
  /** Newest tick. */
  readonly tick: number;
  /** Milliseconds, smoothed, without the server's own time; NaN: not measured yet. */
  readonly roundTrip: number;
  readonly snapshotsPerSecond: number;
  /** Payload bytes that came, times 8, a second. */
  readonly bitsPerSecond: number;
  /** Since the beginning. */
  readonly snapshots: number;
  readonly bytes: number;
  /** Snapshots that the server's hash confirmed. */
  readonly verified: number;
  /** Times that the server's hash differed. */
  readonly mismatches: number;
  /** Times that a lost connection came back. */
  readonly reconnects: number;
  /** Times that the player went along to another session. */
  readonly handoffs: number;
  /** Ticks that the world is shown behind the newest, all but the player's own entity where that is predicted. */
  readonly delay: number;
  /** How far the newest snapshots moved that from where it was shown, in units of x and y: the largest of the last thirty. */
  readonly correction: number;
  /** At which tick the server is now, with its fraction; NaN: not known yet. */
  readonly serverTick: number;
}

/** How to connect. */
export interface ConnectionOptions extends Omit<TransportOptions, "signal"> {
  /** Called at each change; end is given with `ended`. */
  readonly onState?: ((state: ConnectionState, end?: End) => void) | undefined;
  /** Called once the world's kinds are known; again after a reconnect. */
  readonly onWelcome?: ((w: Welcome) => void) | undefined;
  /** Called when the player is in another session, to which he was handed off; onWelcome follows. */
  readonly onMoved?: ((h: Handoff) => void) | undefined;
  /**
   * How the player's own entity of a kind moves, by the kind's name, in place of what the kind says of itself
   * (see {@link Gait}): it is shown by that before the server has the inputs.
   */
  readonly steps?: Readonly<Record<string, Step>> | undefined;
  /** Called for each new snapshot, which is connection.world.view. */
  readonly onSnapshot?: ((tick: number) => void) | undefined;
}

/** The way to another session, until the player is there. */
interface Move {
  readonly handoff: Handoff;
  readonly target: Target;
  readonly link: Link;
  readonly abort: AbortController;
  transport?: Transport;
  timer?: ReturnType<typeof setInterval>;
  /** How the connection to the session before ended meanwhile. */
  before?: { readonly bye: Bye } | { readonly lost: string };
  /** Of its transport, once it is the connection's. */
  life: number;
}

/**
 * A player's connection to a session: it sends input every tick, decodes the
 * world, shows it smoothly, and comes back into the same seat when it is lost. It
 * goes along when the server hands the player off to another session.
 */
export class Connection {
  state: ConnectionState = "connecting";
  /** What became of it, the newest last, for people who look for a fault. Old lines are dropped. */
  readonly history: string[] = [];

  readonly #options: ConnectionOptions;
  #target: Target;
  #scene: Scene | undefined;
  #transport: Transport | undefined;
  #link: Link;
  #tried: Uint8Array | undefined; // the token of the transport now
  #life = 0; // counts transports, so that an old one's news are not heard
  #abort = new AbortController();
  #timer: ReturnType<typeof setInterval> | undefined;
  #heard = 0; // when the last payload came
  #sentAt = 0;
  #lostAt = 0;
  #pause = FIRST_TRY;
  #held = { x: 0, y: 0, buttons: 0 };
  #pressed = 0; // since the last input: short presses count too
  // To come back with, the newest first. Each is good until the server refuses it: of a
  // try whose answer was lost nobody knows whether the server took it.
  #tokens: Uint8Array[] = [];

  #snapshotRate = new Rate();
  #byteRate = new Rate();
  #roundTrip = NaN;
  #snapshots = 0;
  #bytes = 0;
  #verified = 0;
  #mismatches = 0;
  #reconnects = 0;
  #moving: Move | undefined;
  #handoffs = 0;
  readonly #on = new Map<string, Set<(fields: PlaceMessage["fields"]) => void>>();

  /** Begins to connect; see onState for what comes of it. */
  constructor(target: Target, options: ConnectionOptions = {}) {
    this.#target = target;
    this.#options = options;
    this.#link = this.#newLink(0);
    this.#note("connecting");
    this.#begin(target.token).then(
      () => undefined,
      (err: unknown) => this.#end("unreachable", err instanceof Error ? err.message : String(err)),
    );
  }

  /** Of the connection now; a reconnect begins a new one. */
  get world(): World {
    return this.#link.world;
  }

  /** What the server said first; undefined before it came. */
  get welcome(): Welcome | undefined {
    return this.world.welcome;
  }

  /** What the player wants from now on: directions -1 to 1, buttons as bits. It is sent every tick. */
  input(x: number, y: number, buttons = 0): void {
    this.#held = { x, y, buttons };
    this.#pressed |= buttons;
  }

  /**
   * Tells the place's script something: it comes in order with what was sent before, once, unless the connection
   * is lost meanwhile. False: it was not sent, because the player is not in the session now, or more than 30
   * messages a second were, and 60 at once. Throws a {@link WireError} when it breaks a bound of PlaceMessage.
   */
  send(name: string, fields: PlaceMessage["fields"] = {}): boolean {
    const message = encodePlace(name, fields);
    if (this.#transport === undefined || this.world.welcome === undefined) return false;
    return this.#link.send(message, performance.now());
  }

  /** Has f told of messages with a name that the place's script sends this player. What is returned ends that. */
  on(name: string, f: (fields: PlaceMessage["fields"]) => void): () => void {
    const list = this.#on.get(name) ?? new Set();
    this.#on.set(name, list.add(f));
    return () => list.delete(f);
  }

  /**
   * The world as it is to be shown now: the player's own entity where it will be once the server has his inputs, if its kind
   * or an option says how it moves, and all others evenly. The entities are good until the next call.
   */
  entities(now = performance.now()): readonly SmoothEntity[] {
    return this.#scene?.at(now) ?? [];
  }

  /** The numbers now. */
  stats(now = performance.now()): Stats {
    return {
      transport: this.#transport?.kind,
      tick: this.world.view?.tick ?? 0,
      roundTrip: this.#roundTrip,
      snapshotsPerSecond: this.#snapshotRate.perSecond(now),
      bitsPerSecond: this.#byteRate.perSecond(now) * 8,
      snapshots: this.#snapshots,
      bytes: this.#bytes,
      verified: this.#verified,
      mismatches: this.#mismatches,
      reconnects: this.#reconnects,
      handoffs: this.#handoffs,
      delay: this.#scene?.delay ?? 0,
      correction: this.#scene?.correction ?? 0,
      serverTick: this.#scene?.tick(now) ?? NaN,
    };
  }

  /** Ends it and gives up the seat. */
  close(): void {
    this.#end("closed", "");
  }

  /** Where and how a page that is loaded again comes back into the seat; undefined: it cannot, yet or any more. */
  comeback(): Target | undefined {
    const token = this.#tokens[0];
    return this.state === "ended" || token === undefined ? undefined : { ...this.#target, token };
  }

  /** Ends it as a network that is lost would: the seat is kept for a while, and what is returned comes back into it. */
  suspend(): Target | undefined {
    const target = this.comeback();
    this.#drop("lost");
    this.#end("closed", "");
    return target;
  }

  /** Drops the transport as if the network had; for tests of what comes next. */
  drop(): void {
    this.#lost("dropped");
  }

  async #begin(token: Uint8Array): Promise<void> {
    const life = ++this.#life;
    this.#tried = token;
    const target = { ...this.#target, token };
    const { only, patience } = this.#options;
    const link = this.#newLink(life);
    const transport = await connect(target, {
      onPayload: (p) => {
        if (life === this.#life) this.#payload(link, p);
      },
      onClose: (reason) => {
        if (life === this.#life) this.#lost(reason);
      },
    }, { only, patience, signal: this.#abort.signal });
    if (life !== this.#life || this.state === "ended") {
      transport.close("left");
      return;
    }
    this.#transport = transport;
    this.#heard = performance.now();
    this.#note(`connected by ${transport.kind}`);
    this.#link = link;
    this.#beat(this.#rate());
  }

  #newLink(life: number): Link {
    return new Link(
      (u, now) => { if (life === this.#life) this.#update(u, now); },
      (err) => { if (life === this.#life) this.#broken(err); },
    );
  }

  #rate(): number {
    return this.world.welcome?.tickRate || DEFAULT_RATE;
  }

  /** Sends input so many times a second. */
  #beat(rate: number): void {
    clearInterval(this.#timer);
    this.#timer = setInterval(() => this.#tick(), 1000 / rate);
    this.#send(performance.now());
  }

  #tick(): void {
    const now = performance.now();
    const patience = this.world.welcome === undefined ? FIRST_SILENCE : SILENCE;
    if (now - this.#heard > patience) {
      this.#lost(`nothing came for ${patience / 1000} s`);
      return;
    }
    this.#send(now);
  }

  #send(now: number): void {
    if (this.#transport === undefined) return;
    const { x, y, buttons } = this.#held;
    this.#sentAt = now;
    const buttonsNow = buttons | this.#pressed;
    this.#pressed = 0;
    this.#link.input(x, y, buttonsNow, now, this.#transport);
    const { sequence, move } = this.world.newest;
    this.#scene?.input(sequence, move, now);
  }

  #payload(link: Link, payload: Uint8Array): void {
    const now = performance.now();
    this.#heard = now;
    this.#bytes += payload.length;
    this.#byteRate.add(payload.length, now);
    link.receive(payload, now);
    // Timers of hidden pages run once a second, payloads come all the same.
    if (now - this.#sentAt > 2000 / this.#rate()) this.#send(now);
  }

  /** The server speaks another protocol, or there is no going on over this way. */
  #broken(err: WireError): void {
    if (err.code === "unsupported") this.#end("outdated", err.message);
    else this.#lost(err.message);
  }

  #update(u: Update, now: number): void {
    if (u.reconnect !== undefined) {
      this.#tokens = [reconnectToken(u.reconnect, this.#target.token), ...this.#tokens].slice(0, MOST_TOKENS);
    }
    if (u.message !== undefined) for (const f of [...(this.#on.get(u.message.name) ?? [])]) f(u.message.fields);
    if (u.bye !== undefined) {
      if (this.#moving !== undefined) {
        // The other session has the player already, or will refuse him.
        this.#moving.before ??= { bye: u.bye };
        this.#drop("lost");
      } else {
        this.#end(u.bye.reason, u.bye.text);
      }
      return;
    }
    if (u.handoff !== undefined && this.state === "playing") void this.#move(u.handoff);
    if (u.welcomed) this.#welcomed();
    if (u.mismatch) this.#mismatches++;
    this.#verified += u.verified ?? 0;
    if (u.roundTrip !== undefined) {
      this.#roundTrip = Number.isNaN(this.#roundTrip) ? u.roundTrip : this.#roundTrip + (u.roundTrip - this.#roundTrip) / 8;
    }
    if (u.tick !== undefined && this.world.view !== undefined) {
      this.#snapshots++;
      this.#snapshotRate.add(1, now);
      this.#scene?.snapshot(this.world.view, this.world.applied, u.roundTrip, now);
      this.#options.onSnapshot?.(u.tick);
    }
  }

  #welcomed(): void {
    const w = this.world.welcome!;
    this.#scene = new Scene(w, new Map(Object.entries(this.#options.steps ?? {})));
    this.#beat(this.#rate());
    if (this.state === "reconnecting") this.#reconnects++;
    this.#lostAt = 0;
    this.#pause = FIRST_TRY;
    this.#options.onWelcome?.(w);
    this.#become("playing");
  }

  /** The transport is gone: comes back if there is a token for it. */
  #lost(reason: string): void {
    if (this.state === "ended") return;
    this.#note(`lost: ${reason}`);
    this.#drop("lost");
    if (this.#moving !== undefined) {
      this.#moving.before ??= { lost: reason };
      return;
    }
    const refused = /^(denied|full): (.*)$/.exec(reason);
    if (refused !== null && this.state === "connecting") {
      this.#end(refused[1] as EndReason, refused[2]!);
      return;
    }
    if (refused?.[1] === "denied") this.#tokens = this.#tokens.filter((t) => t !== this.#tried);
    const now = performance.now();
    if (this.#lostAt === 0) this.#lostAt = now;
    if (this.#tokens.length === 0) {
      this.#end(this.state === "connecting" ? "unreachable" : "lost", reason);
      return;
    }
    this.#become("reconnecting");
    void this.#comeBack(reason);
  }

  async #comeBack(reason: string): Promise<void> {
    let why = reason;
    const token = this.#tokens[0];
    while (token !== undefined && performance.now() - this.#lostAt < SEAT_TIME) {
      await new Promise((resolve) => setTimeout(resolve, this.#pause * (1 + Math.random() / 2)));
      this.#pause = Math.min(2 * this.#pause, LAST_TRY);
      if (this.state !== "reconnecting") return;
      try {
        await this.#begin(token);
        return; // the welcome says that it worked; silence comes back here
      } catch (err) {
        why = err instanceof Error ? err.message : String(err);
        this.#note(`not back: ${why}`);
      }
    }
    this.#end("lost", why);
  }

  /** Goes to another session. The player stays in this one until he is there. */
  async #move(handoff: Handoff): Promise<void> {
    const { only, patience } = this.#options;
    const door = this.#target.webSocket;
    const webSocket = handoff.socket && door !== undefined ? door.replace(/[^/]+\/socket$/, `${handoff.session}/socket`) : undefined;
    const move: Move = {
      handoff, target: { token: handoff.token, webTransport: handoff.webTransport, webSocket },
      abort: new AbortController(), life: -1,
      link: new Link(
        (u, now) => (move.life === this.#life ? this.#update(u, now) : this.#ahead(move, u)),
        (err) => (move.life === this.#life ? this.#broken(err) : this.#stay(move)),
      ),
    };
    this.#moving = move;
    this.#become("moving");
    const late = setTimeout(() => this.#stay(move), MOVE_TIME);
    move.abort.signal.addEventListener("abort", () => clearTimeout(late), { once: true });
    while (this.#moving === move && move.transport === undefined) {
      try {
        const transport = await connect(move.target, {
          onPayload: (p) => (move.life === this.#life ? this.#payload(move.link, p) : move.link.receive(p, performance.now())),
          onClose: (reason) => (move.life === this.#life ? this.#lost(reason) : this.#stay(move)),
        }, { only, patience, signal: move.abort.signal });
        if (this.#moving !== move) {
          transport.close("left");
          return;
        }
        move.transport = transport;
        move.timer = setInterval(() => move.link.input(0, 0, 0, performance.now(), transport), MOVE_INPUT);
      } catch {
        await new Promise((resolve) => setTimeout(resolve, MOVE_PAUSE));
      }
    }
  }

  /** Takes what changed in the session that the player is on his way to. */
  #ahead(move: Move, u: Update): void {
    if (this.#moving !== move || move.transport === undefined) return;
    if (u.bye !== undefined) this.#stay(move);
    else if (u.welcomed) this.#arrive(move, move.transport);
  }

  #arrive(move: Move, transport: Transport): void {
    this.#stop();
    this.#drop("left");
    move.life = this.#life; // from now on its news are this connection's
    this.#transport = transport;
    this.#target = move.target;
    this.#tried = move.target.token;
    this.#tokens = [];
    this.#heard = performance.now();
    this.#link = move.link;
    this.#handoffs++;
    this.#options.onMoved?.(move.handoff);
    this.#welcomed();
  }

  /** There is no way to the other session: goes on as it can in this one. */
  #stay(move: Move): void {
    if (this.#moving !== move) return;
    this.#stop();
    move.transport?.close("left");
    if (move.before === undefined) {
      this.#become("playing");
    } else if ("bye" in move.before) {
      this.#end(move.before.bye.reason, move.before.bye.text);
    } else {
      this.#lost(move.before.lost);
    }
  }

  /** Forgets that the player is on his way. */
  #stop(): void {
    const move = this.#moving;
    this.#moving = undefined;
    clearInterval(move?.timer);
    move?.abort.abort(new Error("over"));
  }

  #drop(why: "left" | "lost"): void {
    this.#life++;
    clearInterval(this.#timer);
    this.#transport?.close(why);
    this.#transport = undefined;
  }

  #end(reason: EndReason, text: string): void {
    if (this.state === "ended") return;
    const move = this.#moving;
    this.#stop();
    move?.transport?.close("left");
    this.#drop("left");
    this.#abort.abort(new Error("ended"));
    this.#become("ended", { reason, text });
  }

  #become(state: ConnectionState, end?: End): void {
    if (this.state === state) return;
    this.state = state;
    this.#note(end === undefined ? state : `${state}: ${end.reason} ${end.text}`);
    this.#options.onState?.(state, end);
  }

  #note(what: string): void {
    this.history.push(`${(performance.now() / 1000).toFixed(1)} s: ${what}`);
    if (this.history.length > MOST_HISTORY) this.history.shift();
  }
}
