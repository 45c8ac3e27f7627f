// A game server with an engine of its own. It needs nothing of Throng but the
// server API, and nothing of Agones but its sidecar; without Agones it is a child
// of `throng dev --server-command` or of a node.

import { randomBytes } from "node:crypto";
import * as http from "node:http";
import { control } from "./control.js";
import { Door } from "./door.js";
import { type Conn, type Handover, type Self, Session } from "./session.js";
import { Sidecar } from "./sidecar.js";
import { accept, type Socket } from "./websocket.js";

const env = process.env;
const log = (words: string): void => console.error(`${new Date().toISOString()} ${words}`);
const MESSAGES = 200; // of a player, a second; the rest is dropped
const TOKEN_TIME = 3_000; // ms for a join token to come

class Server {
  private session: Session | undefined;
  private readonly ends = new AbortController();
  private leaving = false;
  private taken: (h: Handover | undefined) => void = () => {};

  /** Runs one life: ready, claimed, idle, one session, over. */
  async run(): Promise<void> {
    const door = new Door(env["THRONG_ADDR"] ?? "http://127.0.0.1:7700");
    const players = http.createServer((_, answer) => answer.writeHead(404).end());
    players.on("upgrade", (request, stream, head) => this.connected(request, stream, head));
    const port = await listen(players, env["THRONG_WEB"] ?? "127.0.0.1:0");
    const sidecar = env["THRONG_AGONES"] ? new Sidecar() : undefined;
    if (sidecar) void sidecar.keep();
    this.signals();
    try {
      const self = sidecar ? await this.claimed(sidecar, door) : this.told(door, port);
      if (self) await this.live(door, self);
    } finally {
      this.ends.abort();
      players.close();
      players.closeAllConnections();
      await sidecar?.say("/shutdown", 10);
      sidecar?.stop();
    }
  }

  /** Who this server is, when whoever started it says so. */
  private told(door: Door, port: string): Self {
    door.token = env["THRONG_SERVER_TOKEN"] ?? "";
    if (env["THRONG_TIED"]) process.stdin.on("end", () => this.end("whoever started this server is gone")).resume();
    return who(env["THRONG_SERVER"] ?? "", port);
  }

  /** Who this server is, as the door says once Agones has allocated it; undefined: it is not wanted. */
  private async claimed(sidecar: Sidecar, door: Door): Promise<Self | undefined> {
    const placed = await sidecar.until((g) => (g.status.ports ?? []).length > 0, this.ends.signal);
    if (!placed) return undefined;
    await sidecar.say("/ready");
    log("ready");
    const mine = await sidecar.until((g) => g.status.state === "Allocated" && !!g.object_meta.labels?.["throng.dev/server"], this.ends.signal);
    if (!mine) return undefined;
    const claim = await door.claim(env["THRONG_TOKEN_FILE"] ?? "/var/run/secrets/throng/token", () => this.ends.signal.aborted);
    door.token = claim.token;
    door.learn(claim.doors);
    const port = ["web", "web-tcp", "game", "default"].map((name) => mine.status.ports!.find((p) => p.name === name)).find((p) => p)!;
    return who(claim.server, `${mine.status.address}:${port.port}`);
  }

  private async live(door: Door, self: Self): Promise<void> {
    log(`idle as ${self.server}, players at ${self.websocket}`);
    const given = new Promise<Handover | undefined>((done) => (this.taken = done));
    const connected = control(door, self, {
      session: () => this.session?.id,
      handover: (h) => {
        if (h.incarnation !== self.incarnation) throw new Error(`the handover is meant for incarnation ${h.incarnation}`);
        if (this.session?.id === h.session) return;
        if (this.session || this.leaving) throw new Error("the server has a session, or has to end");
        this.session = new Session(h, self, door, log, Number(env["THRONG_EMPTY_AFTER_MS"] ?? 60_000));
        this.taken(h);
      },
      order: (session, o) => { if (this.session?.id === session) this.session.order(o); },
      stop: (reason) => { if (!this.session) this.end(reason); },
    }, this.ends.signal, log);
    const h = await given;
    if (h && this.session) {
      log(`session ${h.session} of ${h.place}, ${h.capacity} seats`);
      log(`session ended: ${await this.session.run()}`);
    }
    this.ends.abort();
    await connected;
  }

  /** Ends now: an idle server at once, one with a session with a goodbye. */
  private end(reason: string): void {
    this.session?.finish(reason);
    this.ends.abort();
    this.taken(undefined);
  }

  /** The first SIGTERM moves players out within the grace; everything else ends now. */
  private signals(): void {
    const grace = Number.parseFloat(env["THRONG_GRACE"] ?? "60") * 1000;
    process.on("SIGINT", () => this.end("told to end"));
    process.on("SIGTERM", () => {
      if (!this.session || this.leaving || grace <= 0) return this.end("told to end");
      this.leaving = true;
      log(`told to end within ${grace / 1000} s`);
      this.session.leave("its machine or its process has to end", grace - Math.min(3_000, grace / 4));
      setTimeout(() => this.end("the grace is over"), grace - Math.min(1_500, grace / 8)).unref();
    });
  }

  /** A player: his first message is the join token. */
  private connected(request: http.IncomingMessage, stream: import("node:stream").Duplex, head: Buffer): void {
    let player: string | undefined;
    let second = 0, messages = 0;
    let socket: Socket | undefined;
    const conn: Conn = { send: (m) => socket?.send(m), close: (code, reason) => socket?.close(code, reason) };
    const late = setTimeout(() => socket?.close(1008, "denied: no join token came in time"), TOKEN_TIME);
    socket = accept(request, stream, head, {
      message: (data) => {
        const now = Math.floor(performance.now() / 1000);
        if (now !== second) [second, messages] = [now, 0];
        if (++messages > MESSAGES) return;
        if (player !== undefined) return this.session?.message(player, conn, data);
        clearTimeout(late);
        try {
          if (!this.session) throw new Error("there is no session here");
          player = this.session.arrive(data, conn);
        } catch (err) {
          conn.close(1008, `denied: ${(err as Error).message}`);
        }
      },
      close: () => {
        clearTimeout(late);
        if (player !== undefined) this.session?.gone(player, conn);
      },
    });
    if (!socket) clearTimeout(late);
  }
}

function who(server: string, at: string): Self {
  return { server, incarnation: randomBytes(10).toString("hex"), address: at, websocket: `ws://${at}/play` };
}

function listen(server: http.Server, at: string): Promise<string> {
  const [host, port] = [at.slice(0, at.lastIndexOf(":")), Number(at.slice(at.lastIndexOf(":") + 1))];
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, host, () => resolve(`${host}:${(server.address() as { port: number }).port}`));
  });
}

await new Server().run();
log("over");
process.exit(0);
