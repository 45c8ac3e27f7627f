import type { Region } from "./door.ts";

const PROBES = 5; // of each beacon, after one that does not count
const MOST_REGIONS = 16;
const MOST_URLS = 8; // of a region

/** How far a region is, in milliseconds. */
export interface Latency {
  /** The round trip in the middle. */
  readonly median: number;
  /** The mean distance of the others from it. */
  readonly jitter: number;
  /** How many of five probes were answered in time. */
  readonly answered: number;
}

/** Regions with how far they are, by ID. */
export type Latencies = Readonly<Record<string, Latency>>;

/** Sums up round trips; none is no latency. @internal */
export function latencyOf(trips: readonly number[]): Latency | undefined {
  const sorted = [...trips].sort((a, b) => a - b);
  const median = sorted[sorted.length >> 1];
  if (median === undefined) return undefined;
  const sum = sorted.reduce((s, t) => s + Math.abs(t - median), 0);
  return { median, jitter: sum / Math.max(sorted.length - 1, 1), answered: sorted.length };
}

/**
 * Measures all regions at once by their beacons, over HTTP, until signal ends
 * it: what came by then counts. A region is as far as the nearest of its beacons;
 * one that did not answer is left out.
 * @internal
 */
export async function measure(regions: readonly Region[], get: typeof fetch, signal: AbortSignal): Promise<{ far: Latencies; all: boolean }> {
  const far: Record<string, Latency> = {};
  const some = regions.slice(0, MOST_REGIONS)
    // A door of another version may not say them.
    .map((r) => ({ id: r.id, urls: (r.beacon_urls as readonly string[] | undefined ?? []).slice(0, MOST_URLS).filter((u) => /^https?:/.test(u)) }))
    .filter((r) => r.urls.length > 0);
  await Promise.all(some.map(async ({ id, urls }) => {
    const all = await Promise.all(urls.map(async (url) => latencyOf(await trips(url, get, signal))));
    const best = all.filter((l) => l !== undefined).sort((a, b) => a.median - b.median)[0];
    if (best !== undefined) far[id] = best;
  }));
  return { far, all: Object.keys(far).length === some.length };
}

/** The round trips of one beacon. The first, which opens the connection, does not count. */
async function trips(url: string, get: typeof fetch, signal: AbortSignal): Promise<readonly number[]> {
  const out: number[] = [];
  for (let i = 0; i <= PROBES; i++) {
    const begun = performance.now();
    try {
      const resp = await get(url, { cache: "no-store", credentials: "omit", redirect: "error", referrerPolicy: "no-referrer", signal });
      const trip = performance.now() - begun;
      if (resp.status !== 204) {
        await resp.body?.cancel();
        break;
      }
      if (i > 0) out.push(trip);
    } catch {
      break; // it does not answer, or time is up
    }
  }
  return out;
}
