import {
  Connection, DoorError, leave, Rate, targetOf,
  type Assignment, type ConnectionState, type End, type JoinOptions, type Target,
} from "@throng-gg/client";
import type { Account } from "./account.ts";
import { Controls } from "./controls.ts";
import { action, announce, copy, count, h } from "./dom.ts";
import { Painter } from "./draw.ts";
import { linkTo } from "./link.ts";
import { doorWords, endWords } from "./words.ts";

const SEAT = "throng.seat";
const SEAT_TIME = 25_000; // ms; the server keeps a lost seat for 30 s
const LEADERS = 5;

/** How a game begins. */
export interface Plan {
  /** For people, like Arena. */
  readonly title: string;
  /** Asks the door for seats; again when the player wants to play again. */
  readonly seats: (o: JoinOptions) => Promise<Assignment>;
  /** Of somebody else's ticket. */
  readonly caller?: string | undefined;
}

interface Overlay {
  readonly title: string;
  readonly text: string;
  readonly busy?: boolean;
  readonly again?: (() => void) | undefined;
}

/** One game, from the wish to play to its end. */
export class Game {
  readonly element: HTMLElement;
  readonly #account: Account;
  readonly #plan: Plan;
  readonly #back: () => void;
  readonly #canvas = h("canvas", { class: "world", tabindex: "0", role: "img", "aria-label": "The world" });
  readonly #hud = h("dl", { class: "hud", "aria-label": "Connection" });
  readonly #leaders = h("ol", { class: "leaders", "aria-label": "Most points" });
  readonly #overlay = h("div", { class: "overlay" });
  readonly #share = h("div", { class: "share" });
  readonly #note = h("p", { class: "note", role: "status" }, "Moving you to another session…");
  readonly #painter: Painter;
  readonly #controls: Controls;
  #connection: Connection | undefined;
  #seats: Assignment | undefined;
  #caller: string | undefined; // of the seats' ticket, when it is somebody else's
  #abort = new AbortController();
  #frames = new Rate();
  #shownAt = 0;
  #closed = false;

  constructor(account: Account, plan: Plan, back: () => void) {
    this.#account = account;
    this.#plan = plan;
    this.#caller = plan.caller;
    this.#note.hidden = true;
    this.#leaders.hidden = true;
    this.#back = back;
    this.#painter = new Painter(this.#canvas);
    this.#controls = new Controls(() => this.#connection);
    this.element = h("main", { class: "game", "data-state": "finding" },
      this.#canvas,
      h("div", { class: "corner" },
        h("div", { class: "row" },
          action("Leave", { class: "plain" }, () => this.leave()),
          h("h1", {}, plan.title),
        ),
        this.#hud, this.#share,
      ),
      this.#leaders, this.#note, this.#controls.element, this.#overlay,
    );
    addEventListener("pagehide", () => this.#keepSeat(), { signal: this.#abort.signal });
    this.#loop();
  }

  /** Asks for a seat and plays. */
  async start(): Promise<void> {
    const before = this.#connection;
    this.#connection = undefined;
    before?.close();
    delete this.element.dataset["end"];
    this.element.dataset["state"] = "finding";
    this.#caller = this.#plan.caller;
    this.#show({ title: "Finding a seat…", text: this.#plan.title, busy: true });
    try {
      this.#seats = await this.#plan.seats({
        signal: this.#abort.signal,
        onWaiting: (w) => {
          const soon = w.wait === undefined ? "" : ` It will take about ${w.wait < 90 ? `${Math.ceil(w.wait)} seconds` : `${Math.round(w.wait / 60)} minutes`}.`;
          const text = w.position > 1 ? `You are number ${w.position} in line.${soon}` : "A game server is getting ready for you.";
          this.#show({ title: "Waiting for a seat…", text, busy: true });
        },
        onRetry: (err) => this.#show({ title: "Still trying…", text: doorWords(err), busy: true }),
      });
    } catch (err) {
      if (this.#closed) return;
      const full = err instanceof DoorError && err.code === "full";
      this.#show({ title: full ? "No room" : "That did not work", text: doorWords(err), again: () => void this.start() });
      return;
    }
    if (!this.#closed) this.#connect(targetOf(this.#account.door, this.#seats));
  }

  /** Comes back into the seat that the page had before it was loaded again. */
  resume(seat: Seat): void {
    this.#seats = seat.seats;
    this.#connect(seat.target);
  }

  /** Gives the seat back and goes to the list of places. */
  async leave(): Promise<void> {
    this.close();
    const seats = this.#seats;
    this.#back();
    // The server frees it anyway after a while: nobody needs to hear of a failure.
    if (seats !== undefined) await leave(this.#account.door, seats.ticket, this.#caller).catch(() => undefined);
  }

  /** Ends the connection, not the seat. */
  close(): void {
    this.#closed = true;
    this.#abort.abort(new Error("left"));
    this.#connection?.close();
    this.#controls.close();
  }

  #connect(target: Target): void {
    this.#show({ title: "Connecting…", text: this.#plan.title, busy: true });
    this.#shareLinks();
    const connection: Connection = new Connection(target, {
      ...transportOption(),
      onState: (state, end) => {
        if (this.#connection === connection) this.#changed(state, end);
      },
      onMoved: (h) => {
        if (this.#connection !== connection || this.#seats === undefined) return;
        const { session, place, version, ticket, code } = h;
        const { code: _, ...rest } = this.#seats;
        this.#seats = { ...rest, session, place, version, ticket, ...(code !== undefined && { code }) };
        this.#caller = h.caller;
        this.#shareLinks();
      },
      onWelcome: (w) => this.#painter.kinds(w.schema.kinds),
    });
    this.#connection = connection;
    this.element.dataset["state"] = "connecting";
    Object.assign(window, { throng: connection }); // for a look from the console
  }

  #changed(state: ConnectionState, end: End | undefined): void {
    if (this.#closed) return;
    const before = this.element.dataset["state"];
    this.element.dataset["state"] = state;
    this.#note.hidden = state !== "moving";
    switch (state) {
      case "connecting":
        return;
      case "playing":
        this.#overlay.replaceChildren();
        this.#overlay.hidden = true;
        announce(before === "moving" ? "Play goes on." : `You are in ${this.#plan.title}.`);
        this.#canvas.focus({ preventScroll: true });
        return;
      case "moving": // play goes on here until it does there
        announce(this.#note.textContent);
        return;
      case "reconnecting":
        this.#show({
          title: "Reconnecting…", text: "The connection was lost. Your seat is kept for 30 seconds.",
          busy: true, again: () => void this.start(),
        });
        return;
      case "ended": {
        this.element.dataset["end"] = end!.reason;
        const words = endWords(end!);
        const again = end!.reason === "outdated" ? () => location.reload() : () => void this.start();
        this.#show({ ...words, again });
      }
    }
  }

  #show(o: Overlay): void {
    const was = this.#overlay.querySelector("h2")?.textContent;
    this.#overlay.hidden = false;
    const buttons = h("div", { class: "row" });
    if (o.again !== undefined) buttons.append(action(o.busy ? "Play elsewhere" : "Play again", { class: o.busy ? "plain" : "primary" }, o.again));
    buttons.append(action(o.busy && o.again === undefined ? "Cancel" : "Back to places", { class: "plain" }, () => this.leave()));
    this.#overlay.replaceChildren(
      h("div", { class: "card", role: o.busy ? undefined : "alertdialog", "aria-labelledby": "overlay-title" },
        o.busy ? h("div", { class: "spinner", "aria-hidden": "true" }) : undefined,
        h("h2", { id: "overlay-title" }, o.title),
        h("p", {}, o.text),
        buttons,
      ),
    );
    if (was !== o.title) announce(`${o.title} ${o.text}`);
    if (was !== o.title && !o.busy) buttons.querySelector("button")!.focus({ preventScroll: true });
  }

  #shareLinks(): void {
    const s = this.#seats;
    if (s === undefined) return;
    const link = s.code === undefined
      ? linkTo({ kind: "session", place: s.place, session: s.session })
      : linkTo({ kind: "private", place: s.place, code: s.code });
    const button = h("button", { type: "button", class: "plain small" }, "Copy link");
    button.setAttribute("aria-label", "Copy the link to this session");
    button.addEventListener("click", () => void copy(button, link));
    button.dataset["link"] = link;
    this.#share.replaceChildren(button, ...(s.code === undefined ? [] : [h("span", { class: "code" }, "Code ", h("b", {}, s.code))]));
  }

  #loop(): void {
    const frame = (): void => {
      if (this.#closed) return;
      requestAnimationFrame(frame);
      const now = performance.now();
      this.#frames.add(1, now);
      const c = this.#connection;
      if (c?.welcome !== undefined) this.#painter.draw(c.entities(now), c.welcome.player);
      if (now - this.#shownAt > 250) {
        this.#shownAt = now;
        this.#numbers(now);
      }
    };
    requestAnimationFrame(frame);
  }

  #numbers(now: number): void {
    const c = this.#connection;
    if (c === undefined) return;
    const s = c.stats(now);
    const rows: [string, string, string][] = [
      ["ping", "Round trip", Number.isNaN(s.roundTrip) ? "–" : `${Math.round(s.roundTrip)} ms`],
      ["transport", "Transport", s.transport === "webtransport" ? "WebTransport" : s.transport === "websocket" ? "WebSocket" : "–"],
      ["tick", "Tick", s.tick.toLocaleString("en")],
      ["snapshots", "Snapshots", `${s.snapshotsPerSecond.toFixed(0)}/s`],
      ["kbits", "Bandwidth", `${(s.bitsPerSecond / 1000).toFixed(0)} kbit/s`],
      ["frames", "Frames", `${this.#frames.perSecond(now).toFixed(0)}/s`],
      ["delay", "Others behind", `${(s.delay * 1000 / (c.welcome?.tickRate ?? 30)).toFixed(0)} ms`],
      ["correction", "Corrections", s.correction.toFixed(2)],
    ];
    if (this.#hud.childElementCount === 0) {
      this.#hud.append(...rows.map(([key, label]) => h("div", { "data-key": key }, h("dt", {}, label), h("dd", {}, ""))));
    }
    for (const [key, , value] of rows) {
      const row = this.#hud.querySelector<HTMLElement>(`[data-key=${key}]`)!;
      if (row.lastElementChild!.textContent !== value) row.lastElementChild!.textContent = value;
      if (key === "transport") row.classList.toggle("fallback", s.transport === "websocket");
    }
    this.#rank(c, now);
  }

  /** Who has the most points, where the place counts points. */
  #rank(c: Connection, now: number): void {
    const people = c.entities(now).filter((e) => e.owner !== "");
    const rows = people.flatMap((e) => {
      const score = e.kind.field("score");
      return score < 0 ? [] : [{ name: e.text(e.kind.field("name")) || e.owner, score: e.number(score), own: e.owner === c.welcome?.player }];
    });
    rows.sort((a, b) => b.score - a.score || (a.name < b.name ? -1 : 1));
    const shown = rows.map((r, i) => ({ ...r, rank: i + 1 })).filter((r) => r.rank <= LEADERS || r.own);
    this.#leaders.replaceChildren(...shown.map((r) =>
      h("li", { class: r.own ? "own" : "", value: r.rank }, h("span", { class: "name" }, r.name), h("span", { class: "points" }, String(r.score)))));
    this.#leaders.hidden = shown.length === 0;
    const label = `The world, with ${count(people.length, "player")}`;
    if (this.#canvas.getAttribute("aria-label") !== label) this.#canvas.setAttribute("aria-label", label);
  }

  /** Lets the page come back into the seat when it is loaded again. */
  #keepSeat(): void {
    const target = this.#connection?.suspend();
    if (target === undefined || this.#seats === undefined) return;
    const seat: Seat = { title: this.#plan.title, player: this.#account.player, at: Date.now(), target, seats: { ...this.#seats, join_token: "" } };
    sessionStorage.setItem(SEAT, JSON.stringify(seat, (_, v: unknown) => (v instanceof Uint8Array ? { bytes: Array.from(v) } : v)));
  }
}

/** The seat that a page had when it was closed or loaded again. */
export interface Seat {
  readonly title: string;
  readonly player: string;
  readonly at: number;
  readonly target: Target;
  readonly seats: Assignment;
}

/** Takes the seat that this window had, if it is still kept. */
export function takeSeat(player: string): Seat | undefined {
  const text = sessionStorage.getItem(SEAT);
  sessionStorage.removeItem(SEAT);
  if (text === null) return undefined;
  try {
    const seat = JSON.parse(text, (_, v: unknown) =>
      typeof v === "object" && v !== null && "bytes" in v && Array.isArray(v.bytes) ? Uint8Array.from(v.bytes as number[]) : v) as Seat;
    return seat.player === player && Date.now() - seat.at < SEAT_TIME ? seat : undefined;
  } catch {
    return undefined;
  }
}

/** ?transport=websocket, or webtransport, in the page's address skips the other one. */
function transportOption(): { only?: "webtransport" | "websocket" } {
  const t = new URLSearchParams(location.search).get("transport");
  return t === "webtransport" || t === "websocket" ? { only: t } : {};
}
