// Agones' SDK: the REST API of the sidecar beside this process.

import { sleep } from "./door.js";

/** The server's own GameServer, as far as it is needed here. */
export interface GameServer {
  object_meta: { name: string; labels: Record<string, string> | null };
  spec: { health: { period_seconds: number } };
  status: { state: string; address: string; ports: { name: string; port: number }[] | null };
}

const OVER = ["Shutdown", "Unhealthy", "Error"];

export class Sidecar {
  private ended = false;
  constructor(private readonly url = `http://127.0.0.1:${process.env["AGONES_SDK_HTTP_PORT"] ?? "9358"}`) {}

  private async post(path: string): Promise<void> {
    const answer = await fetch(this.url + path, {
      method: "POST", body: "{}", headers: { "Content-Type": "application/json" }, signal: AbortSignal.timeout(3_000),
    });
    await answer.text();
    if (!answer.ok) throw new Error(`the sidecar answers ${answer.status} to ${path}`);
  }

  /** Says it until the sidecar hears. */
  async say(path: "/ready" | "/shutdown", tries = 60): Promise<void> {
    for (let i = 0; i < tries; i++) {
      try { return await this.post(path); } catch { await sleep(500); }
    }
  }

  /** Gives signs of life until stop; a sidecar that is away is tried more often. */
  async keep(): Promise<void> {
    while (!this.ended) {
      let wait = 2_000;
      try { await this.post("/health"); } catch { wait = 500; }
      await sleep(wait);
    }
  }

  stop(): void { this.ended = true; }

  /** Follows the GameServer until it is so, over restarts of the sidecar; undefined: it is over, or ends said so. */
  async until(is: (g: GameServer) => boolean, ends: AbortSignal): Promise<GameServer | undefined> {
    while (!ends.aborted) {
      try {
        const answer = await fetch(`${this.url}/watch/gameserver`, { signal: ends });
        let rest = "";
        for await (const part of answer.body!) {
          rest += Buffer.from(part as Uint8Array).toString();
          if (rest.length > 1 << 20) throw new Error("a line without end");
          const lines = rest.split("\n");
          rest = lines.pop()!;
          for (const line of lines.filter((l) => l.trim() !== "")) {
            const g = (JSON.parse(line) as { result?: GameServer }).result;
            if (g && is(g)) return g;
            if (g && OVER.includes(g.status.state)) return undefined;
          }
        }
      } catch { /* it is away, and comes back with what is now */ }
      if (!ends.aborted) await sleep(200);
    }
    return undefined;
  }
}
