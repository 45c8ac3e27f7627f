// Latencies, measured at real HTTP servers that answer as beacons do, or not at all.
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { latencyOf } from "../src/beacon.ts";
import { Door, matchmake } from "../src/index.ts";

const servers: { close(): void; closeAllConnections(): void }[] = [];
after(() => {
  for (const s of servers) {
    s.closeAllConnections();
    s.close();
  }
});

async function serverOf(answer: (req: IncomingMessage, res: ServerResponse, body: string) => void): Promise<{ url: string; calls: string[] }> {
  const calls: string[] = [];
  const server = createServer((req, res) => {
    let body = "";
    req.on("data", (d: Buffer) => (body += d.toString()));
    req.on("end", () => {
      calls.push(`${req.method} ${req.url} ${body}`.trim());
      answer(req, res, body);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return { url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`, calls };
}

const beacon = async () => await serverOf((_, res) => res.writeHead(204).end());
const silent = async () => await serverOf(() => {});
const seats = {
  ticket: "tkt_1", session: "ses_local_1", place: "arena", version: 1, region: "local", expires_at: "2026-01-01T00:00:00Z", party: ["ada"],
  join_token: "AQID", server: { ip: "127.0.0.1", port: 7 },
};
const wish = { place: "arena", party: ["ada"], ticket: "tkt_1" };

/** A door with these regions; undefined: it does not list them. */
async function doorOf(regions: Record<string, readonly string[] | undefined> | undefined): Promise<{ door: Door; calls: string[] }> {
  const { url, calls } = await serverOf((req, res) => {
    if (req.url !== "/v1/regions") res.end(JSON.stringify(seats));
    else if (regions !== undefined) res.end(JSON.stringify({ regions: Object.entries(regions).map(([id, beacon_urls]) => ({ id, name: id, state: "open", beacon_urls })) }));
    else res.writeHead(403).end();
  });
  return { door: new Door({ url, token: "secret" }), calls };
}

/** What the door's last call brought. */
function brought(calls: readonly string[]): Record<string, number> | undefined {
  const last = calls.at(-1)!;
  assert.ok(last.startsWith("POST /v1/matchmake "), last);
  return (JSON.parse(last.slice("POST /v1/matchmake ".length)) as { latencies?: Record<string, number> }).latencies;
}

test("a ticket brings how far the regions are, measured once", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] }); // however slow this machine is, time is not up
  const [near, far, wrong] = [await beacon(), await beacon(), await serverOf((_, res) => res.end("ok"))];
  const { door, calls } = await doorOf({ eu: ["udp://127.0.0.1:1", `${near.url}/beacon`], us: [`${far.url}/beacon`, `${wrong.url}/beacon`], old: undefined, none: [] });
  await Promise.all([matchmake(door, wish), matchmake(door.as("another"), wish)]);
  const got = brought(calls);
  assert.deepEqual(Object.keys(got ?? {}).sort(), ["eu", "us"]);
  assert.ok(Object.values(got ?? {}).every((ms) => ms > 0));
  assert.equal(calls.filter((c) => c === "GET /v1/regions").length, 1);
  assert.deepEqual([near.calls.length, far.calls.length, wrong.calls.length], [6, 6, 1]);
  const known = await door.latencies();
  assert.equal(known["eu"]?.answered, 5);
  await matchmake(door, wish);
  assert.deepEqual(brought(calls), got);
  assert.equal(near.calls.length, 6);
});

test("a beacon that never answers holds no ticket, nor does a door that lists no regions", async () => {
  const [good, bad] = [await beacon(), await silent()];
  const { door, calls } = await doorOf({ eu: [`${good.url}/beacon`], us: [`${bad.url}/beacon`] });
  await matchmake(door, wish); // it would wait for ever
  assert.ok(!("us" in (brought(calls) ?? {})));
  await matchmake(door, wish);
  assert.ok(bad.calls.length <= 1); // that nothing came is remembered, too

  const shut = await doorOf(undefined);
  await matchmake(shut.door, wish);
  assert.equal(brought(shut.calls), undefined);
  await assert.rejects(shut.door.latencies(), { code: "denied" });

  const slow = await silent();
  const hung = new Door({ url: slow.url });
  await assert.rejects(hung.latencies(AbortSignal.timeout(50)), { name: "TimeoutError" });
  await assert.rejects(hung.latencies(), { code: "unavailable" });
});

test("what the caller says himself stays, and a session that is named needs nothing", async () => {
  const { door, calls } = await doorOf({});
  await matchmake(door, { ...wish, latencies: { eu: 7 } });
  assert.deepEqual(brought(calls), { eu: 7 });
  await matchmake(door, { ...wish, mode: "session", session: "ses_local_1" });
  await matchmake(door, { ...wish, mode: "friend", friend: "bo" });
  await matchmake(door, { ...wish, mode: "private", code: "x" });
  assert.equal(brought(calls), undefined);
  assert.ok(!calls.includes("GET /v1/regions"));
});

test("round trips have a median and a jitter", () => {
  assert.equal(latencyOf([]), undefined);
  assert.deepEqual(latencyOf([7]), { median: 7, jitter: 0, answered: 1 });
  assert.deepEqual(latencyOf([30, 20, 90, 21, 19]), { median: 21, jitter: 20.25, answered: 5 });
});
