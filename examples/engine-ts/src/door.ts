// The region's door: HTTP with JSON, problems with a code, several doors.

import { readFileSync } from "node:fs";

const CALL_TIME = 3_000; // ms
const MAX_ANSWER = 4 * 1024 * 1024; // bytes

/** An error with the door's code; "unavailable" when no door answered. */
export class Problem extends Error {
  constructor(readonly code: string, words: string, readonly retryAfter = 0) {
    super(words);
  }
}

/** Who a game server is. */
export interface Claim { server: string; token: string; region: string; doors: string[] }

/** Calls the region's doors, the next one when one does not answer. */
export class Door {
  private doors: string[];
  private readonly given: string[];
  token = "";

  constructor(addr: string) {
    this.given = addr.split(",").map((a) => a.trim().replace(/\/+$/, ""));
    this.doors = this.given;
  }

  /** Takes in which doors there are now; those that were given stay. */
  learn(doors: string[]): void {
    this.doors = [...new Set([this.doors[0]!, ...doors.slice(0, 64).map((d) => d.replace(/\/+$/, "")), ...this.given])];
  }

  /** The door to connect to now; leave says that it does not answer. */
  get url(): string { return this.doors[0]!; }
  leave(): void { this.doors = [...this.doors.slice(1), this.doors[0]!]; }

  async call<T>(method: string, path: string, body?: unknown, token = this.token): Promise<T> {
    let last: unknown;
    for (let tries = this.doors.length; tries > 0; tries--) {
      try {
        return await this.once<T>(method, path, body, token);
      } catch (err) {
        if (err instanceof Problem) throw err;
        last = err;
        this.leave();
      }
    }
    throw new Problem("unavailable", `no door answers: ${String(last)}`);
  }

  private async once<T>(method: string, path: string, body: unknown, token: string): Promise<T> {
    const answer = await fetch(this.url + path, {
      method,
      headers: { Authorization: `Bearer ${token}`, ...(body === undefined ? {} : { "Content-Type": "application/json" }) },
      body: body === undefined ? null : JSON.stringify(body),
      signal: AbortSignal.timeout(CALL_TIME),
      redirect: "error",
    });
    const text = await bounded(answer);
    if (answer.ok) return (text === "" ? undefined : JSON.parse(text)) as T;
    let said: { code?: string; detail?: string } = {};
    try { said = JSON.parse(text); } catch { /* a balancer's page */ }
    if (said.code === undefined && answer.status >= 500) throw new Error(`status ${answer.status}`);
    throw new Problem(said.code ?? "internal", said.detail ?? `status ${answer.status}`, Number(answer.headers.get("Retry-After") ?? 0));
  }

  /** Asks who this server is until the door knows; it throws when it is none. */
  async claim(tokenFile: string, ends: () => boolean): Promise<Claim> {
    const until = Date.now() + 300_000;
    for (;;) {
      try {
        return await this.call<Claim>("POST", "/v1/servers/claim", {}, readFileSync(tokenFile, "utf8").trim());
      } catch (err) {
        const code = err instanceof Problem ? err.code : "unavailable";
        if (ends() || Date.now() > until || !["not_found", "unavailable", "rate_limited", "internal"].includes(code)) throw err;
        await sleep(Math.max(err instanceof Problem ? err.retryAfter * 1000 : 0, 500 + Math.random() * 500));
      }
    }
  }
}

async function bounded(answer: Response): Promise<string> {
  const parts: Uint8Array[] = [];
  let size = 0;
  for await (const part of answer.body ?? []) {
    size += (part as Uint8Array).length;
    if (size > MAX_ANSWER) throw new Error("the answer is too long");
    parts.push(part as Uint8Array);
  }
  return Buffer.concat(parts).toString();
}

export const sleep = (ms: number): Promise<void> => new Promise((done) => setTimeout(done, ms));
