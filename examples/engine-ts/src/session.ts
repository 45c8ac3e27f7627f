// One session: who sits in it, what the registry is told, and its world.

import { Door, Problem, sleep } from "./door.js";
import { type Claims, openToken } from "./token.js";

export interface TicketKey { caller: string; ticket: string }

/** Gives a session to this server; see Handover in api/openapi.yaml. */
export interface Handover {
  id: number; session: string; place: string; version: number; package: string; capacity: number;
  private?: boolean; code_hash?: string; key: string; token: string; now: string; opened_at: string; incarnation: string;
}

export interface Order { id: number; kind: string; player?: string; epoch?: number; reason?: string; until?: string }

interface Change { revision: number; kind: "joined" | "left"; player: string; epoch: number; ticket: TicketKey }
interface Answer { now: string; next_ms: number; acked: number; orders?: Order[]; want_report?: boolean; ended?: boolean; reason?: string }
interface Handed { session?: string; seats?: { player: string; join_token: string }[] }

/** A player's connection, as the session needs it. */
export interface Conn { send(message: Buffer): void; close(code: number, reason: string): void }

interface Seat {
  player: string; epoch: number; ticket: TicketKey; conn: Conn;
  confirmed: boolean; inside: boolean; offered: boolean; x: number; y: number; moveX: number; moveY: number;
}

/** How the server is reached, and who it is. */
export interface Self { server: string; incarnation: string; address: string; websocket: string }

const TICK = 100; // ms
const PIECE = 900; // characters of a token in one message
const CONFIRM_WAIT = 1_000; // ms that a player waits for the registry before he plays
const LEASE = 15_000; // ms
const STOPPED = 5_000; // ms without a tick: this process was stopped

export class Session {
  private readonly seats = new Map<string, Seat>();
  private readonly floors = new Map<string, number>(); // epochs that never come (again)
  private readonly kept = new Map<string, { left: number; until: number }>(); // seats for parties
  private revision = 0;
  private unacked: Change[] = [];
  private ordersDone = 0;
  private draining = false;
  private until = Infinity; // by the registry's clock
  private moves = 0;
  private moving = false;
  private nextMove = 0;
  private bound = false;
  private wantReport = false;
  private over: { reason: string; told: boolean } | undefined;
  private ahead: number; // of the registry's clock over ours, ms
  private lastTick = performance.now();
  private suspended = false;
  private kick: () => void = () => {};
  private readonly key: Buffer;

  constructor(
    private readonly hand: Handover,
    private readonly self: Self,
    private readonly door: Door,
    private readonly log: (words: string) => void,
    private readonly emptyAfter = 60_000,
  ) {
    this.key = Buffer.from(hand.key, "base64");
    this.ahead = Date.parse(hand.now) - Date.now();
  }

  get id(): string { return this.hand.session; }
  private now(): number { return Date.now() + this.ahead; }
  private path(call: string): string { return `/v1/sessions/${this.hand.session}/${call}`; }

  /** Hosts the session until it is over, and says why. */
  async run(): Promise<string> {
    const opened = performance.now();
    let emptySince = opened, asked = 0;
    const beats = this.beats();
    while (!this.over) {
      await sleep(TICK);
      this.tick();
      const at = performance.now();
      if (this.seats.size > 0) emptySince = at;
      if (!this.bound && at - opened > LEASE) this.finish("no registry took this session within one lease");
      else if (this.now() >= this.until) this.finish("drained: its time is over");
      else if (this.draining && this.seats.size === 0) this.finish("drained");
      else if (at - emptySince > this.emptyAfter && at - asked > 5_000) {
        asked = at;
        this.retire(() => (emptySince = performance.now()));
      }
      if (this.draining && !this.moving && at > this.nextMove) void this.moveOut();
    }
    for (const seat of [...this.seats.values()]) seat.conn.close(1000, this.over.reason);
    this.kick();
    await beats;
    if (!this.over.told) await this.sayEnd(this.over.reason);
    return this.over.reason;
  }

  finish(reason: string, told = false): void { this.over ??= { reason, told }; }

  /** Takes no more players, moves those who are here, and ends within so long. */
  leave(reason: string, within: number): void {
    this.drain(this.now() + within);
    void (async () => {
      while (!this.over) {
        try {
          await this.door.call("POST", this.path("drain"), { reason, within: Math.max((this.until - this.now()) / 1000, 0.001) });
          return;
        } catch (err) {
          this.log(`the registry has not heard that the session drains: ${String(err)}`);
          await sleep(1_000);
        }
      }
    })();
  }

  private drain(until: number): void {
    this.draining = true;
    this.until = Math.min(this.until, until);
  }

  // --- players

  /** Lets in who brings a token, or throws words for him. */
  arrive(token: Buffer, conn: Conn): string {
    if (this.suspended) throw new Error("this server was stopped and waits for the registry");
    const c = openToken(token, this.key);
    const seat = this.seats.get(c.player);
    this.admit(c, seat);
    if (seat) {
      this.remove(seat, "a newer join of this player took the seat", 4001);
      this.floors.set(c.player, seat.epoch);
    }
    const mine: Seat = {
      player: c.player, epoch: c.epoch, ticket: c.ticket, conn, confirmed: false, inside: false, offered: false,
      x: Math.random() * 100, y: Math.random() * 100, moveX: 0, moveY: 0,
    };
    this.seats.set(c.player, mine);
    void this.confirm(mine, this.note("joined", mine));
    return c.player;
  }

  /** The server is the last authority on its seats. */
  private admit(c: Claims, seat: Seat | undefined): void {
    if (c.session !== this.hand.session) throw new Error("the join token is for another session");
    if (this.now() >= c.expires) throw new Error("the join token has expired: ask for a new one");
    if (c.epoch <= (this.floors.get(c.player) ?? 0) || (seat && c.epoch <= seat.epoch)) throw new Error("a newer join of this player is known");
    if (this.draining) throw new Error("the session takes no more players");
    const party = `${c.ticket.caller}\0${c.ticket.ticket}`;
    const mine = this.kept.get(party);
    let taken = this.seats.size - (seat ? 1 : 0);
    for (const [other, k] of this.kept) {
      if (k.until < this.now() || k.left <= 0) this.kept.delete(other);
      else if (other !== party) taken += k.left;
    }
    if (taken >= this.hand.capacity) throw new Error("the session is full");
    if (mine) mine.left--;
    else if (c.partySize > 1) this.kept.set(party, { left: c.partySize - 1, until: c.expires });
  }

  /** Repeats until the registry said yes or no. Confirming fences the player's older seat. */
  private async confirm(seat: Seat, change: Change): Promise<void> {
    // Who was handed off plays elsewhere until he is in.
    const late = setTimeout(() => this.enter(seat), seat.ticket.ticket.startsWith("hof:") ? LEASE : CONFIRM_WAIT);
    for (let wait = 200; this.seats.get(seat.player) === seat && !this.over; wait = Math.min(2 * wait, 2_000)) {
      try {
        await this.door.call("POST", this.path("confirm"), { heartbeat: this.heartbeat(false), change });
        seat.confirmed = true;
        this.enter(seat);
        break;
      } catch (err) {
        const code = err instanceof Problem ? err.code : "";
        if (["denied", "full", "invalid", "conflict"].includes(code)) {
          this.remove(seat, (err as Error).message, 4003);
          break;
        }
        await sleep(wait);
      }
    }
    clearTimeout(late);
  }

  private enter(seat: Seat): void {
    if (seat.inside || this.seats.get(seat.player) !== seat) return;
    seat.inside = true;
    say(seat.conn, { t: "welcome", player: seat.player, session: this.hand.session, place: this.hand.place, capacity: this.hand.capacity });
  }

  /** What a player wants. */
  message(player: string, conn: Conn, data: Buffer): void {
    const seat = this.seats.get(player);
    if (!seat || seat.conn !== conn) return;
    try {
      const said = JSON.parse(data.toString()) as { move?: [number, number] };
      const [x, y] = said.move ?? [NaN, NaN];
      if (Number.isFinite(x) && Number.isFinite(y)) {
        seat.moveX = Math.max(-1, Math.min(1, x));
        seat.moveY = Math.max(-1, Math.min(1, y));
      }
    } catch { /* garbage is dropped */ }
  }

  gone(player: string, conn: Conn): void {
    const seat = this.seats.get(player);
    if (seat && seat.conn === conn) this.remove(seat, "", 1000);
  }

  private remove(seat: Seat, reason: string, code: number): void {
    this.seats.delete(seat.player);
    this.floors.set(seat.player, Math.max(seat.epoch, this.floors.get(seat.player) ?? 0));
    if (this.floors.size > 10_000) this.floors.delete(this.floors.keys().next().value!); // the oldest
    this.note("left", seat);
    seat.conn.close(code, reason);
    this.kick();
  }

  private note(kind: Change["kind"], s: Seat): Change {
    const change = { revision: ++this.revision, kind, player: s.player, epoch: s.epoch, ticket: s.ticket };
    this.unacked.push(change);
    return change;
  }

  // --- world

  private tick(): void {
    const at = performance.now();
    if (at - this.lastTick > STOPPED) {
      this.log("this process was stopped: serving nobody until the registry is heard");
      this.suspended = true;
      this.kick();
    }
    this.lastTick = at;
    if (this.suspended) return;
    const inside = [...this.seats.values()].filter((s) => s.inside);
    for (const s of inside) {
      s.x = Math.max(0, Math.min(100, s.x + s.moveX));
      s.y = Math.max(0, Math.min(100, s.y + s.moveY));
    }
    // As many players as fit a message; a real engine sends what is near.
    const state = inside.slice(0, 24).map((s) => [s.player, Math.round(s.x * 10) / 10, Math.round(s.y * 10) / 10]);
    const message = Buffer.from(JSON.stringify({ t: "state", players: inside.length, near: state }));
    for (const s of inside) s.conn.send(message);
  }

  // --- registry

  private heartbeat(changes = true): object {
    return {
      server: this.self.server, incarnation: this.self.incarnation, address: this.self.address, web: { websocket: this.self.websocket },
      revision: this.revision, orders_done: this.ordersDone, ...(changes ? { changes: this.unacked.slice(0, 4096) } : {}),
    };
  }

  private report(): object {
    return {
      ...this.heartbeat(false), place: this.hand.place, version: this.hand.version, capacity: this.hand.capacity,
      state: this.draining ? "draining" : "open", opened_at: this.hand.opened_at,
      ...(this.hand.private ? { private: true, code_hash: this.hand.code_hash } : {}),
      seats: [...this.seats.values()].map((s) => ({ player: s.player, epoch: s.epoch, ticket: s.ticket })),
    };
  }

  private async beats(): Promise<void> {
    while (!this.over) {
      let wait = 500;
      try {
        const sent = Date.now();
        const full = this.wantReport;
        const answer = await this.door.call<Answer>("PUT", this.path(full ? "report" : "heartbeat"), full ? this.report() : this.heartbeat());
        this.ahead = Date.parse(answer.now) - (sent + Date.now()) / 2;
        if (full) this.wantReport = false;
        this.answered(answer);
        wait = this.wantReport ? 0 : (answer.next_ms || 5_000) * (0.9 + Math.random() * 0.2);
      } catch (err) {
        this.log(`heartbeat failed: ${String(err)}`);
      }
      await this.rest(wait);
    }
  }

  /** Waits, or until a heartbeat is wanted soon. */
  private rest(ms: number): Promise<void> {
    if (this.over) return Promise.resolve();
    return new Promise((done) => {
      const timer = setTimeout(done, ms);
      this.kick = () => { clearTimeout(timer); setTimeout(done, Math.min(ms, 100)); };
    });
  }

  private answered(a: Answer): void {
    this.suspended = false;
    if (a.ended) return this.finish(a.reason ?? "the registry says that the session is over", true);
    this.bound = true;
    this.unacked = this.unacked.filter((c) => c.revision > a.acked);
    for (const o of a.orders ?? []) {
      if (o.id > this.ordersDone) this.carryOut(o);
      this.ordersDone = Math.max(this.ordersDone, o.id);
    }
    if (a.want_report) this.wantReport = true;
  }

  /** An order that came ahead of the next heartbeat; after a gap it does not count as done. */
  order(o: Order): void {
    if (o.id !== 0 && o.id <= this.ordersDone) return;
    this.carryOut(o);
    if (o.id === this.ordersDone + 1) this.ordersDone = o.id;
  }

  private carryOut(o: Order): void {
    switch (o.kind) {
      case "evict": {
        const player = o.player ?? "", epoch = o.epoch ?? 0;
        this.floors.set(player, Math.max(epoch, this.floors.get(player) ?? 0));
        const seat = this.seats.get(player);
        if (seat && seat.epoch <= epoch) this.remove(seat, o.reason ?? "evicted", 4001);
        break;
      }
      case "drain":
        this.log(`draining: ${o.reason ?? ""}`);
        this.drain(o.until ? Date.parse(o.until) : Infinity);
        break;
      case "end":
        this.finish(o.reason ?? "ended", true);
        break;
      case "report":
        this.wantReport = true;
        this.kick();
    }
  }

  /** Asks for the end of a session that nobody is in. */
  private retire(goesOn: () => void): void {
    const reason = `nobody was there for ${this.emptyAfter / 1000} s`;
    this.door.call("POST", this.path("end"), { reason, if_empty: true, heartbeat: this.heartbeat() }).then(
      () => this.finish(reason, true),
      (err) => { if (err instanceof Problem && err.code === "conflict") goesOn(); },
    );
  }

  private async sayEnd(reason: string): Promise<void> {
    for (let i = 0; i < 2; i++) {
      try { return await this.door.call("POST", this.path("end"), { reason, heartbeat: this.heartbeat() }); } catch { /* the lease says it */ }
    }
  }

  // --- moving out

  /** Hands all off who can be, together, or party by party where that is refused. */
  private async moveOut(): Promise<void> {
    const ready = [...this.seats.values()].filter((s) => s.inside && s.confirmed && !s.offered);
    if (ready.length === 0) return;
    this.moving = true;
    if (!(await this.handOff(ready))) {
      const parties = byParty(ready);
      if (parties.size > 1) for (const party of parties.values()) await this.handOff(party);
    }
    this.moving = false;
    this.nextMove = performance.now() + 5_000;
  }

  private async handOff(seats: Seat[]): Promise<boolean> {
    const ask = {
      heartbeat: this.heartbeat(false), id: `${this.self.incarnation}-${++this.moves}`, mode: this.hand.private ? "private" : "drop-in",
      members: seats.map((s) => ({ player: s.player, epoch: s.epoch })),
    };
    for (let i = 0; i < 20 && !this.over; i++) {
      try {
        const to = await this.door.call<Handed>("POST", this.path("handoff"), ask);
        for (const given of to.seats ?? []) {
          const seat = this.seats.get(given.player);
          if (seat && to.session) offer(seat, to.session, given.join_token);
        }
        if (to.seats) return true;
      } catch (err) {
        const code = err instanceof Problem ? err.code : "unavailable";
        if (!["internal", "unavailable", "contention", "rate_limited"].includes(code)) {
          this.log(`players not handed off: ${String(err)}`);
          return false;
        }
      }
      await sleep(500);
    }
    return false;
  }
}

function byParty(seats: Seat[]): Map<string, Seat[]> {
  const out = new Map<string, Seat[]>();
  for (const s of seats) {
    const key = s.ticket.caller + s.ticket.ticket;
    out.set(key, [...(out.get(key) ?? []), s]);
  }
  return out;
}

function say(conn: Conn, what: object): void { conn.send(Buffer.from(JSON.stringify(what))); }

/** Tells a player of his seat elsewhere, in pieces: messages have up to 1200 bytes. */
function offer(seat: Seat, session: string, token: string): void {
  seat.offered = true;
  setTimeout(() => (seat.offered = false), 8_000).unref(); // the token is good for so long
  const of = Math.ceil(token.length / PIECE);
  for (let n = 0; n < of; n++) say(seat.conn, { t: "move", session, n, of, token: token.slice(n * PIECE, (n + 1) * PIECE) });
}
