// A connection that is lost, over WebSockets that the test answers.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test, type TestContext } from "node:test";
import { Connection, type End } from "../src/connection.ts";
import { Channel } from "../src/wire/channel.ts";
import { encodePlace, parsePlace } from "../src/wire/place.ts";
import { unhex, wireFile } from "./data.ts";

const TOKEN_SIZE = 2048;

// What a server sends to a client that is new to it.
const welcome = readFileSync(wireFile("stream.jsonl"), "utf8").trim().split("\n")
  .map((l) => JSON.parse(l) as { In?: string; Welcomed?: true });

class Server {
  readonly sockets: Socket[] = [];
  #waiting: (() => void) | undefined;

  add(s: Socket): void {
    this.sockets.push(s);
    this.#waiting?.();
  }

  /** The n-th connection, once it showed its token. */
  async socket(n: number): Promise<Socket> {
    while (this.sockets.length < n) await new Promise<void>((resolve) => { this.#waiting = resolve; });
    await new Promise((resolve) => setImmediate(resolve)); // no answer comes within the call that sends
    return this.sockets[n - 1]!;
  }
}

/** What the page's WebSocket is in this test; it opens at once. */
class Socket {
  static readonly OPEN = 1;
  static server: Server;
  readyState = 1;
  bufferedAmount = 0;
  token: Uint8Array | undefined;
  onopen: (() => void) | undefined;
  onclose: ((e: { code: number; reason: string }) => void) | undefined;
  onmessage: ((e: { data: ArrayBuffer }) => void) | undefined;

  readonly heard: Uint8Array[] = []; // messages
  // The server's end of what goes over it.
  readonly #channel = new Channel({
    state: () => true,
    message: (m) => { this.heard.push(m.slice()); },
    last: () => undefined,
    acked: () => undefined,
  });

  constructor() {
    queueMicrotask(() => this.onopen?.());
  }

  send(data: ArrayBuffer): void {
    if (this.token !== undefined) {
      this.#channel.receive(performance.now(), new Uint8Array(data));
      return;
    }
    this.token = new Uint8Array(data);
    Socket.server.add(this);
  }

  close(): void {
    this.readyState = 3;
  }

  /** Sends a message. */
  give(payload: Uint8Array): void {
    this.#channel.queue(payload);
    this.#channel.flush(performance.now(), undefined, 0, (d) => this.onmessage?.({ data: d.slice().buffer }));
  }

  /** Sends the world's kinds, so that the client plays. */
  welcome(): void {
    for (const e of welcome) {
      if (e.In !== undefined) this.give(unhex(e.In));
      if (e.Welcomed) return;
    }
    assert.fail("the recorded stream has no welcome");
  }

  /** Sends a reconnect token, whose nonce is n; a higher one is newer. */
  passport(n: number): void {
    const payload = new Uint8Array(1141);
    payload[0] = 5;
    payload[17] = n; // expires
    payload.fill(n, 25, 49);
    this.give(payload);
  }

  lose(reason = ""): void {
    this.onclose?.({ code: 1006, reason });
  }
}

const nonce = (s: Socket): number => s.token![13 + 24]!;

interface Play {
  readonly server: Server;
  readonly connection: Connection;
  readonly ended: Promise<End>;
}

/** A connection that plays and has a reconnect token, 1. */
async function playing(t: TestContext): Promise<Play> {
  const server = new Server();
  const real = globalThis.WebSocket;
  Socket.server = server;
  globalThis.WebSocket = Socket as unknown as typeof WebSocket;
  let end: (e: End) => void;
  const ended = new Promise<End>((resolve) => { end = resolve; });
  const token = new Uint8Array(TOKEN_SIZE);
  token.set(new TextEncoder().encode("NETCODE 1.02\0"));
  token.set([1, 0, 0, 0, 1, 127, 0, 0, 1, 1, 0], 13 + 24 + 24 + 1024 + 4);
  const connection = new Connection({ token, webSocket: "ws://test" }, {
    onState: (_, e) => { if (e !== undefined) end(e); },
  });
  t.after(() => {
    connection.close();
    globalThis.WebSocket = real;
  });
  const first = await server.socket(1);
  first.welcome();
  first.passport(1);
  assert.equal(connection.state, "playing");
  return { server, connection, ended };
}

// Nobody knows whether the server took the token of a try whose answer was lost.
test("a token is good until the server refuses it", async (t) => {
  const { server, connection } = await playing(t);
  (await server.socket(1)).lose();
  for (const [n, reason] of [[2, ""], [3, "unavailable: the connection that this token made is in use"], [4, "full: the server is full"]] as const) {
    const s = await server.socket(n);
    assert.equal(nonce(s), 1, `try ${n - 1}`);
    assert.equal(connection.state, "reconnecting");
    s.lose(reason);
  }
  const back = await server.socket(5);
  back.welcome();
  assert.equal(connection.state, "playing");
  back.lose(); // before a newer token came
  const again = await server.socket(6);
  assert.equal(nonce(again), 1);
  again.welcome();
  assert.equal(connection.stats().reconnects, 2);
  assert.ok(connection.history.some((l) => l.includes("full: the server is full")), connection.history.join("\n"));
});

test("a token that was refused is not tried again, the one before is", async (t) => {
  const { server, ended } = await playing(t);
  const first = await server.socket(1);
  first.passport(2);
  first.lose();
  const tries: number[] = [];
  for (const n of [2, 3]) {
    const s = await server.socket(n);
    tries.push(nonce(s));
    s.lose("denied: the join token expired or is for another session");
  }
  assert.deepEqual(tries, [2, 1]);
  assert.equal((await ended).reason, "lost");
  assert.equal(server.sockets.length, 3);
});

test("places' messages go both ways, in order", async (t) => {
  const { server, connection } = await playing(t);
  const socket = await server.socket(1);
  const told: unknown[] = [];
  const off = connection.on("score", (fields) => told.push({ ...fields }));
  connection.on("other", () => assert.fail("of another name"));
  socket.give(encodePlace("score", { points: 3, won: true }));
  off();
  socket.give(encodePlace("score", { points: 4 }));
  assert.deepEqual(told, [{ points: 3, won: true }]);
  assert.throws(() => connection.send("", {}), { code: "invalid" });
  let sent = 0;
  while (connection.send("hit", { n: sent })) sent++;
  assert.ok(sent >= 60 && sent < 70, `${sent} at once`);
  while (socket.heard.length < sent) await new Promise((resolve) => setTimeout(resolve, 10));
  assert.deepEqual(socket.heard.map((m) => parsePlace(m).fields.n), Array.from({ length: sent }, (_, i) => i));
});
