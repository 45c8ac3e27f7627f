import type { components } from "./door.gen.ts";
import { any, type Assignment, type Door, type Waiting } from "./door.ts";
import { DoorError } from "./error.ts";
import type { Target } from "./transport.ts";

const JOIN_TIME = 120_000; // ms, for a ticket, beyond the wait that the door states
const MOST_TIME = 1_800_000; // ms, for a ticket, all in all
const POLL_TIME = 20; // s
const CALL_TIME = 10_000;
const FIRST_TRY = 100;
const NOT_YET_TIME = 3000; // ms, in which a ticket may be unknown that a party shows
const LAST_TRY = 2000;
const MOST_PAUSE = 10_000;

/** A wish to play. The ticket is made when it is not given. */
export type Wish = Omit<components["schemas"]["MatchmakeRequest"], "ticket" | "line"> & { readonly ticket?: string | undefined };

/** How a wish is pursued. */
export interface JoinOptions {
  readonly signal?: AbortSignal | undefined;
  /** Called with the place in line each time that the door says it. */
  readonly onWaiting?: ((w: Waiting) => void) | undefined;
  /** Called when the call will be repeated after an error that passes. */
  readonly onRetry?: ((err: DoorError) => void) | undefined;
  /** Milliseconds, all in all. When it is not given: two minutes, and as long as the door says that the line takes. */
  readonly time?: number | undefined;
}

/** Makes a ticket's name. */
export function makeTicket(): string {
  const b = crypto.getRandomValues(new Uint8Array(12));
  return `tkt_${Array.from(b, (v) => v.toString(16).padStart(2, "0")).join("")}`;
}

/**
 * Takes a wish to its seats. It repeats the call when a reply is lost and when
 * the door asks to come again, for up to two minutes and as long as the door says
 * that it will take; then it throws the last of these errors. Repeating is safe:
 * the ticket makes it one join, and it keeps its place in line. The join token
 * in the answer is good for seconds: connect at once.
 *
 * A wish without latencies for which the region chooses the session is sent with
 * those of {@link Door.latencies}, which take 1.5 s at most the first time.
 */
export async function matchmake(door: Door, wish: Wish, options: JoinOptions = {}): Promise<Assignment> {
  const ticket = wish.ticket ?? makeTicket();
  let latencies = wish.latencies;
  return await pursue(door, ticket, undefined, options, async (signal, line) => {
    latencies ??= await measured(door, wish, signal, options.time);
    const body = { ...wish, ticket, ...(Object.keys(latencies).length > 0 && { latencies }), ...(line !== undefined && { line }) };
    return await door.call("post", "/v1/matchmake", { body, signal, time: POLL_TIME * 1000 + CALL_TIME });
  });
}

/** The latencies that a wish brings, in at most half of the time that it has. Without them it is as good. */
async function measured(door: Door, wish: Wish, signal: AbortSignal, time: number | undefined): Promise<Record<string, number>> {
  if (wish.session !== undefined || wish.friend !== undefined || wish.code !== undefined) return {};
  try {
    const far = await door.latencies(time === undefined ? signal : any(signal, AbortSignal.timeout(Math.ceil(time / 2))));
    return Object.fromEntries(Object.entries(far).map(([id, l]) => [id, l.median]));
  } catch {
    signal.throwIfAborted();
    return {};
  }
}

/**
 * Waits for somebody else's ticket whose party the player is in. A party shows
 * its leader's ticket a moment before it can be looked up, so `not_found`, there
 * is no such ticket, is the answer only after three seconds.
 */
export async function awaitTicket(door: Door, ticket: string, caller: string, options: JoinOptions = {}): Promise<Assignment> {
  const begun = performance.now();
  return await pursue(door, ticket, caller, options, async (signal, line) =>
    poll(door, ticket, caller, signal, line).catch((err: unknown) => {
      if (err instanceof DoorError && err.code === "not_found" && performance.now() - begun < NOT_YET_TIME) {
        throw new DoorError("unavailable", `the ticket is not known yet: ${err.detail}`);
      }
      throw err;
    }),
  );
}

/** Gives back the player's seat, held or occupied. Without a caller it is the player's own ticket. */
export async function leave(door: Door, ticket: string, caller?: string): Promise<void> {
  await door.call("delete", "/v1/matchmake/{ticket}", { path: { ticket }, query: caller === undefined ? {} : { caller } });
}

/** Where to connect, from seats that a door gave. */
export function targetOf(door: Door, a: Assignment): Target {
  const { webtransport, websocket } = a.server;
  return {
    token: bytes(a.join_token),
    webTransport: webtransport && { url: webtransport.url, certificates: webtransport.certificate_sha256.map(bytes) },
    webSocket: websocket === undefined ? undefined : new URL(websocket, `${door.url}/`).href.replace(/^http/, "ws"),
  };
}

type Answer = Assignment | Waiting;

async function poll(door: Door, ticket: string, caller: string | undefined, signal: AbortSignal, line: string | undefined): Promise<Answer> {
  const query = { wait: POLL_TIME, ...(caller !== undefined && { caller }), ...(line !== undefined && { line }) };
  return await door.call("get", "/v1/matchmake/{ticket}", { path: { ticket }, query, signal, time: POLL_TIME * 1000 + CALL_TIME });
}

/** Begins with ask, polls while it is told to wait, and begins again after errors that pass. */
async function pursue(
  door: Door, ticket: string, caller: string | undefined, o: JoinOptions,
  ask: (signal: AbortSignal, line: string | undefined) => Promise<Answer>,
): Promise<Assignment> {
  const given = new AbortController();
  const stop = (): void => given.abort(o.signal?.reason);
  o.signal?.throwIfAborted();
  o.signal?.addEventListener("abort", stop, { once: true });
  const begun = performance.now();
  let until = begun + (o.time ?? JOIN_TIME);
  let pause = FIRST_TRY;
  let line: string | undefined;
  try {
    for (;;) {
      try {
        let asked = performance.now();
        let answer = await ask(given.signal, line);
        while (!("session" in answer)) {
          o.onWaiting?.(answer);
          line = answer.line ?? line;
          if (o.time === undefined && answer.wait !== undefined) {
            until = Math.max(until, Math.min(performance.now() + answer.wait * 1000 + JOIN_TIME, begun + MOST_TIME));
          }
          // A door with room for those who wait answers late; another says when. In
          // line they come one after the other anyway, and a late one loses the seat.
          if (performance.now() - asked < 1000) await sleep(Math.min(answer.retry_after * 1000, MOST_PAUSE), until, given.signal, 0.1);
          if (performance.now() > until) throw new DoorError("unavailable", `ticket ${ticket} still waits`);
          asked = performance.now();
          answer = await poll(door, ticket, caller, given.signal, line).catch((err: unknown) => {
            if (err instanceof DoorError && err.code === "not_found") {
              throw new DoorError("unavailable", `the region forgot the ticket: ${err.detail}`);
            }
            throw err;
          });
        }
        return answer;
      } catch (err) {
        if (!(err instanceof DoorError) || !err.passes || performance.now() > until) throw err;
        o.onRetry?.(err);
        await sleep(Math.max(pause, Math.min(err.retryAfter * 1000, MOST_PAUSE)), until, given.signal);
        if (performance.now() > until) throw err;
        pause = Math.min(2 * pause, LAST_TRY);
      }
    }
  } finally {
    o.signal?.removeEventListener("abort", stop);
  }
}

/** Waits for up to a part longer than it is told, so that callers who were refused together do not come back together. */
async function sleep(ms: number, until: number, signal: AbortSignal, part = 0.5): Promise<void> {
  const pause = Math.max(ms, FIRST_TRY) * (1 + Math.random() * part);
  await new Promise<void>((resolve, reject) => {
    const timer = setTimeout(resolve, Math.min(pause, until - performance.now() + 1));
    signal.addEventListener("abort", () => {
      clearTimeout(timer);
      reject(signal.reason as Error);
    }, { once: true });
  });
}

function bytes(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), (c) => c.charCodeAt(0));
}
