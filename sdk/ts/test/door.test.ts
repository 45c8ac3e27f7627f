// The door's client against a real HTTP server that answers as a door does.
import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { awaitTicket, Door, DoorError, leave, matchmake, targetOf } from "../src/index.ts";

type Answer = (req: IncomingMessage, body: string, res: ServerResponse) => void;

const servers: { close(): void; closeAllConnections(): void }[] = [];
after(() => {
  for (const s of servers) {
    s.closeAllConnections();
    s.close();
  }
});

/** A door that gives these answers, the last one again and again. */
async function doorOf(...answers: Answer[]): Promise<{ door: Door; calls: string[] }> {
  const calls: string[] = [];
  const server = createServer((req, res) => {
    let body = "";
    req.on("data", (d: Buffer) => (body += d.toString()));
    req.on("end", () => {
      calls.push(`${req.method} ${req.url} ${body}`.trim());
      (answers.length > 1 ? answers.shift()! : answers[0]!)(req, body, res);
    });
  });
  servers.push(server);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  const { port } = server.address() as AddressInfo;
  return { door: new Door({ url: `http://127.0.0.1:${port}/`, token: "secret" }), calls };
}

const json = (status: number, value: object, headers: Record<string, string> = {}): Answer => (_, __, res) => {
  res.writeHead(status, { "Content-Type": "application/json", ...headers });
  res.end(JSON.stringify(value));
};
const problem = (status: number, code: string, more: object = {}): Answer => json(status, { type: "", title: "", status, code, detail: `it is ${code}`, ...more });
const seats = {
  ticket: "tkt_1", session: "ses_local_1", place: "arena", version: 1, region: "local", expires_at: "2026-01-01T00:00:00Z", party: ["ada"],
  join_token: "AQID", server: { ip: "127.0.0.1", port: 7, websocket: "/v1/sessions/ses_local_1/socket", webtransport: { url: "https://127.0.0.1:8/play", certificate_sha256: ["BAUG"] } },
};
const wish = { place: "arena", party: ["ada"], ticket: "tkt_1", latencies: {} }; // measures nothing

test("an error has its code, words, field and pause", async () => {
  const { door } = await doorOf(problem(422, "invalid", { field: "party[2]", detail: "party[2]: is there twice", retry_after: 1.5 }));
  const err = await door.places().catch((e: unknown) => e);
  assert.ok(err instanceof DoorError);
  assert.deepEqual({ ...err, message: err.message }, {
    code: "invalid", detail: "party[2]: is there twice", field: "party[2]", retryAfter: 1.5, message: "party[2]: is there twice", name: "DoorError",
  });
  assert.equal(err.passes, false);
});

test("a call goes to the next door when one is not reached or stops, and stays there", async () => {
  const stopping = await doorOf(problem(503, "unavailable"));
  const { door, calls } = await doorOf(json(200, seats));
  const gone = "http://127.0.0.1:1";
  const several = new Door({ url: [gone, stopping.door.url, door.url], token: "secret" });
  assert.equal((await matchmake(several, wish)).session, "ses_local_1"); // its loop repeats what is unavailable
  assert.equal(several.as("other").url, door.url);
  await several.devToken("ada");
  assert.equal(calls.length, 2);
  assert.equal(stopping.calls.length, 1);
  const none = await new Door({ url: [gone, gone] }).places().catch((e: unknown) => e);
  assert.ok(none instanceof DoorError && none.code === "unavailable");
  assert.throws(() => new Door({ url: [] }));
});

test("an answer that is no door's is told by its status", async () => {
  const { door } = await doorOf((_, __, res) => {
    res.writeHead(503, { "Retry-After": "7" });
    res.end("<html>busy</html>");
  });
  const err = (await door.places().catch((e: unknown) => e)) as DoorError;
  assert.deepEqual([err.code, err.retryAfter, err.passes], ["unavailable", 7, true]);
  const nobody = new Door({ url: "http://127.0.0.1:1" });
  assert.equal(((await nobody.places().catch((e: unknown) => e)) as DoorError).code, "unavailable");
});

test("a call brings the token, its query and a path that is escaped", async () => {
  let authorization: string | undefined;
  const { door, calls } = await doorOf((req, body, res) => {
    authorization = req.headers.authorization;
    json(200, { sessions: [] })(req, body, res);
  });
  await door.sessions("a/b", { limit: 5, after: undefined, free: 0 });
  assert.equal(authorization, "Bearer secret");
  assert.deepEqual(calls, ["GET /v1/places/a%2Fb/sessions?limit=5&free=0"]);
});

test("a ticket is repeated as it was, then polled until it has seats", async () => {
  const { door, calls } = await doorOf(
    problem(503, "unavailable"),
    (_, __, res) => res.destroy(), // a lost reply
    json(202, { ticket: "tkt_1", position: 3, retry_after: 0.01 }),
    json(202, { ticket: "tkt_1", position: 1, retry_after: 0.01 }),
    json(200, seats),
  );
  const positions: number[] = [];
  const retries: string[] = [];
  const got = await matchmake(door, wish, { onWaiting: (w) => positions.push(w.position), onRetry: (e) => retries.push(e.code) });
  assert.equal(got.session, "ses_local_1");
  assert.deepEqual(positions, [3, 1]);
  assert.deepEqual(retries, ["unavailable", "unavailable"]);
  const first = calls[0];
  assert.deepEqual(calls.slice(0, 3), [first, first, first]);
  assert.deepEqual(calls.slice(3), ["GET /v1/matchmake/tkt_1?wait=20", "GET /v1/matchmake/tkt_1?wait=20"]);
});

test("a place in line is sent along, also when the ticket is sent again", async () => {
  const { door, calls } = await doorOf(
    json(202, { ticket: "tkt_1", position: 30, retry_after: 0.01, wait: 300, line: "one" }),
    json(202, { ticket: "tkt_1", position: 20, retry_after: 0.01, line: "two" }),
    problem(404, "not_found"), // another replica, which has not heard of the ticket
    (_, __, res) => res.destroy(),
    json(200, seats),
  );
  await matchmake(door, wish);
  const sent = JSON.stringify({ ...wish, line: "two" });
  assert.deepEqual(calls.slice(1, 3), ["GET /v1/matchmake/tkt_1?wait=20&line=one", "GET /v1/matchmake/tkt_1?wait=20&line=two"]);
  assert.deepEqual(calls.slice(3).filter((c) => c.startsWith("POST")), [`POST /v1/matchmake ${sent}`, `POST /v1/matchmake ${sent}`]);
});

test("an error that does not pass is thrown at once", async () => {
  const { door, calls } = await doorOf(problem(409, "full"));
  await assert.rejects(matchmake(door, wish), { code: "full" });
  assert.equal(calls.length, 1);
});

test("a ticket whose session never started is not repeated", async () => {
  const { door, calls } = await doorOf(problem(503, "no_capacity"));
  await assert.rejects(matchmake(door, wish), { code: "no_capacity" });
  assert.equal(calls.length, 1);
});

test("the last error is thrown when time is up, and a signal ends it before", async () => {
  const { door } = await doorOf(problem(503, "no_capacity", { retry_after: 0.1 }));
  const begun = performance.now();
  await assert.rejects(matchmake(door, wish, { time: 300 }), { code: "no_capacity" });
  assert.ok(performance.now() - begun < 3000);
  await assert.rejects(matchmake(door, wish, { signal: AbortSignal.timeout(150) }), { name: "TimeoutError" });
});

test("a ticket that the region forgot is asked for again", async () => {
  const { door, calls } = await doorOf(json(202, { ticket: "tkt_1", position: 1, retry_after: 0 }), problem(404, "not_found"), json(200, seats));
  await matchmake(door, wish);
  assert.deepEqual(calls.map((c) => c.split(" ")[0]), ["POST", "GET", "POST"]);
});

test("somebody else's ticket is awaited, and given back", async () => {
  const { door, calls } = await doorOf(json(200, seats), (_, __, res) => res.writeHead(204).end());
  await awaitTicket(door, "tkt_1", "bo");
  await leave(door, "tkt_1", "bo");
  assert.deepEqual(calls, ["GET /v1/matchmake/tkt_1?wait=20&caller=bo", "DELETE /v1/matchmake/tkt_1?caller=bo"]);
});

test("seats say where to connect", async () => {
  const { door } = await doorOf(json(200, seats));
  const target = targetOf(door, await matchmake(door, wish));
  assert.deepEqual(target, {
    token: new Uint8Array([1, 2, 3]),
    webTransport: { url: "https://127.0.0.1:8/play", certificates: [new Uint8Array([4, 5, 6])] },
    webSocket: `${door.url.replace("http", "ws")}/v1/sessions/ses_local_1/socket`,
  });
});
