import { measure, type Latencies } from "./beacon.ts";
import type { components, paths } from "./door.gen.ts";
import { DoorError, problemOf } from "./error.ts";

type Schemas = components["schemas"];

/** What a door says of a place. */
export type Place = Schemas["Place"];
/** A session as players see it. */
export type Session = Schemas["Session"];
/** Where a player is. */
export type Presence = Schemas["Presence"];
/** Players who move together. */
export type Party = Schemas["Party"];
/** Who may see where a player is, and follow: everyone, mutual friends, or nobody. */
export type Privacy = "everyone" | "friends" | "nobody";
/** A geography with a stack of its own. */
export type Region = Schemas["Region"];
/** Seats in a session. */
export type Assignment = Schemas["Assignment"];
/** A ticket without a seat yet. */
export type Waiting = Schemas["Waiting"];

const CALL_TIME = 10_000; // ms
const MEASURE_TIME = 1500; // ms, that latencies may take
const MEASURED_FOR = 600_000; // ms, for which they are remembered where each region answered
const SOON_AGAIN = 60_000; // otherwise

/** How often the machine was offline: then it may have come back in another network. */
let network = 0;
globalThis.addEventListener?.("offline", () => network++);

/** Which part of a list. */
export interface Page {
  /** The page before's next. */
  readonly after?: string | undefined;
  /** At most so many, up to 200; 50. */
  readonly limit?: number | undefined;
}

/** Which door to speak to, and as whom. */
export interface DoorConfig {
  /**
   * Like `https://eu.example.com`; the page's own origin when not given. Several
   * doors of one region: calls go to the first until it is not reached, and are
   * repeated at the next.
   */
  readonly url?: string | readonly string[] | undefined;
  /** Access token. Without one only devToken can be called. */
  readonly token?: string | undefined;
  /** Makes the calls; the global fetch when not given. */
  readonly fetch?: typeof fetch | undefined;
}

type Method = "get" | "put" | "post" | "delete";
type Operation<P extends keyof paths, M extends Method> = paths[P][M];
type BodyOf<O> = O extends { requestBody: { content: { "application/json": infer B } } } ? B : undefined;
type QueryOf<O> = O extends { parameters: { query?: infer Q } } ? Exclude<Q, undefined> : never;
type JSONOf<R> = R extends { content: { "application/json": infer J } } ? J : undefined;
type AnswerOf<O> = O extends { responses: infer R } ? JSONOf<R[Extract<keyof R, 200 | 201 | 202 | 204>]> : never;

/** What a call brings beside its method and path. @internal */
export interface CallOptions<O> {
  path?: Readonly<Record<string, string>>;
  /** Parameters that are undefined are not sent. */
  query?: { [K in keyof QueryOf<O>]: QueryOf<O>[K] | undefined } | undefined;
  body?: BodyOf<O>;
  signal?: AbortSignal | undefined;
  /** Milliseconds; 10,000. */
  time?: number;
}

/**
 * Speaks to a region's door for one account. All calls can be repeated; they
 * throw a {@link DoorError}, or what an AbortSignal says.
 */
export class Door {
  readonly #config: DoorConfig;
  /** Shared with those that as() makes. */
  readonly #doors: { readonly urls: readonly string[]; at: number; measured?: Measured };

  constructor(config: DoorConfig = {}, doors?: Door) {
    this.#config = config;
    const urls = config.url ?? globalThis.location?.origin ?? "";
    this.#doors = doors !== undefined ? doors.#doors : { urls: (typeof urls === "string" ? [urls] : urls).map((u) => u.replace(/\/$/, "")), at: 0 };
    if (this.#doors.urls.length === 0) throw new DoorError("invalid", "there is no URL of a door");
  }

  /** The door that calls go to now, without a slash at its end. */
  get url(): string {
    return this.#doors.urls[this.#doors.at] ?? "";
  }

  /** The same door with another access token. */
  as(token: string): Door {
    return new Door({ ...this.#config, token }, this);
  }

  /** Makes the door after this one the one to call, unless that happened already. */
  #leave(url: string): void {
    if (this.url === url) this.#doors.at = (this.#doors.at + 1) % this.#doors.urls.length;
  }

  /** Asks `throng dev` for an access token of any player. `not_found` elsewhere. */
  async devToken(player: string, signal?: AbortSignal): Promise<Schemas["AccessToken"]> {
    return await this.call("post", "/v1/dev/token", { body: { player }, signal });
  }

  /** A page of what is live. Counts are up to a second old. */
  async places(page: Page = {}, signal?: AbortSignal): Promise<Schemas["PlaceList"]> {
    return await this.call("get", "/v1/places", { query: { ...page }, signal });
  }

  /** A page of a place's sessions that have not ended. */
  async sessions(place: string, q: Page & { state?: string; free?: number } = {}, signal?: AbortSignal): Promise<Schemas["SessionList"]> {
    return await this.call("get", "/v1/places/{id}/sessions", { path: { id: place }, query: { ...q }, signal });
  }

  /** Where a player is. */
  async presence(player: string, signal?: AbortSignal): Promise<Presence> {
    return await this.call("get", "/v1/players/{id}/presence", { path: { id: player }, signal });
  }

  /**
   * How far the regions are, measured by their beacons; those that did not answer
   * within 1.5 s are missing. It is remembered for ten minutes, until the machine is
   * offline, or for one minute where a region did not answer; doors made by as share it.
   */
  async latencies(signal?: AbortSignal): Promise<Latencies> {
    signal?.throwIfAborted();
    const known = this.#doors.measured;
    if (known !== undefined && known.network === network && performance.now() < known.until) return await ended(known.far, signal);
    const made: Measured = { far: this.#measure((until) => (made.until = until)), until: Infinity, network };
    this.#doors.measured = made;
    return await ended(made.far, signal);
  }

  /** Measures, and says until when it is good. */
  async #measure(good: (until: number) => void): Promise<Latencies> {
    const time = new AbortController();
    const timer = setTimeout(() => time.abort(), MEASURE_TIME);
    try {
      const { far, all } = await measure(await this.regions(time.signal), this.#config.fetch ?? fetch, time.signal);
      good(performance.now() + (all ? MEASURED_FOR : SOON_AGAIN));
      return far;
    } catch (err) {
      good(0);
      throw time.signal.aborted ? new DoorError("unavailable", "the door does not list its regions in time") : err;
    } finally {
      clearTimeout(timer);
    }
  }

  /** All regions of the deployment. */
  async regions(signal?: AbortSignal): Promise<readonly Region[]> {
    return (await this.call("get", "/v1/regions", { signal })).regions;
  }

  /** Makes a party that the player leads. Who is in another one leaves it. */
  async makeParty(signal?: AbortSignal): Promise<Party> {
    return await this.call("post", "/v1/parties", { signal });
  }

  /** A party that the player is in; with a revision it waits up to 20 s for a newer one. `not_found`: the player is not in it. */
  async party(id: string, revision?: number, signal?: AbortSignal): Promise<Party> {
    const query = revision === undefined ? {} : { revision, wait: 20 };
    return await this.call("get", "/v1/parties/{id}", { path: { id }, query, signal, time: 30_000 });
  }

  /** Joins a party by its invite. Who is in another one leaves it. */
  async joinParty(id: string, invite: string, signal?: AbortSignal): Promise<Party> {
    return await this.call("post", "/v1/parties/{id}/join", { path: { id }, body: { invite }, signal });
  }

  /** Leaves a party. The oldest member leads when the leader leaves. */
  async leaveParty(id: string, signal?: AbortSignal): Promise<void> {
    await this.call("post", "/v1/parties/{id}/leave", { path: { id }, signal });
  }

  /** Makes a new invite; the one before is void. For the leader. */
  async inviteToParty(id: string, signal?: AbortSignal): Promise<Party> {
    return await this.call("post", "/v1/parties/{id}/invite", { path: { id }, signal });
  }

  /** Takes a member out. For the leader. */
  async removeMember(id: string, player: string, signal?: AbortSignal): Promise<void> {
    await this.call("delete", "/v1/parties/{id}/members/{player}", { path: { id, player }, signal });
  }

  /** A player's own list of friends. A friendship counts when it is mutual. */
  async friends(player: string, signal?: AbortSignal): Promise<readonly string[]> {
    return (await this.call("get", "/v1/players/{id}/friends", { path: { id: player }, signal })).friends;
  }

  /** Replaces a player's own list of friends, at most 1000. */
  async setFriends(player: string, friends: readonly string[], signal?: AbortSignal): Promise<void> {
    await this.call("put", "/v1/players/{id}/friends", { path: { id: player }, body: { friends: [...friends] }, signal });
  }

  /** Sets who may see where a player is, and follow. */
  async setPrivacy(player: string, presence: Privacy, signal?: AbortSignal): Promise<void> {
    await this.call("put", "/v1/players/{id}/privacy", { path: { id: player }, body: { presence }, signal });
  }

  /** Makes one call of the document; {@link matchmake} and the others are made of it. */
  async call<P extends keyof paths, M extends Method>(
    method: M, path: P, o: CallOptions<Operation<P, M>> = {},
  ): Promise<AnswerOf<Operation<P, M>>> {
    let rest = path.replace(/\{(\w+)\}/g, (_, name: string) => encodeURIComponent(o.path?.[name] ?? ""));
    const query = new URLSearchParams();
    for (const [name, v] of Object.entries((o.query ?? {}) as Record<string, unknown>)) {
      if (v !== undefined) query.set(name, String(v));
    }
    if (query.size > 0) rest += `?${query}`;
    const timeout = AbortSignal.timeout(o.time ?? CALL_TIME);
    const headers: Record<string, string> = {};
    if (this.#config.token !== undefined) headers["Authorization"] = `Bearer ${this.#config.token}`;
    if (o.body !== undefined) headers["Content-Type"] = "application/json";
    for (let tries = this.#doors.urls.length; ; tries--) {
      const door = this.url;
      try {
        const resp = await (this.#config.fetch ?? fetch)(door + rest, {
          method: method.toUpperCase(),
          headers,
          cache: "no-store",
          signal: o.signal === undefined ? timeout : any(o.signal, timeout),
          ...(o.body !== undefined && { body: JSON.stringify(o.body) }),
        });
        if (resp.status === 503) this.#leave(door); // it may be stopping; the repeat goes elsewhere
        if (!resp.ok) throw await problemOf(resp);
        if (resp.status === 204) return undefined as AnswerOf<Operation<P, M>>;
        return (await resp.json()) as AnswerOf<Operation<P, M>>;
      } catch (err) {
        o.signal?.throwIfAborted();
        if (err instanceof DoorError) throw err;
        // Not reached, or it broke off: the call can be repeated.
        this.#leave(door);
        if (tries > 1 && !timeout.aborted) continue;
        throw new DoorError("unavailable", `the door does not answer: ${err instanceof Error ? err.message : String(err)}`);
      }
    }
  }
}

/** Latencies, or the measurement under way. */
interface Measured {
  readonly far: Promise<Latencies>;
  until: number;
  readonly network: number;
}

/** What comes first: the promise, which goes on, or the signal, which throws. */
async function ended<T>(what: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return await what;
  return await new Promise<T>((resolve, reject) => {
    const stop = (): void => reject(signal.reason as Error);
    if (signal.aborted) stop();
    signal.addEventListener("abort", stop, { once: true });
    what.then(resolve, reject).finally(() => signal.removeEventListener("abort", stop));
  });
}

/** AbortSignal.any, which older browsers lack. @internal */
export function any(a: AbortSignal, b: AbortSignal): AbortSignal {
  if (typeof AbortSignal.any === "function") return AbortSignal.any([a, b]);
  const c = new AbortController();
  for (const s of [a, b]) {
    if (s.aborted) c.abort(s.reason);
    s.addEventListener("abort", () => c.abort(s.reason), { once: true });
  }
  return c.signal;
}
