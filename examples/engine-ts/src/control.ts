// The control connection: over it the server gets its session, and orders.

import { Door, sleep } from "./door.js";
import type { Handover, Order, Self } from "./session.js";
import { connect, type Socket } from "./websocket.js";

interface Down {
  handover?: Handover;
  order?: { session: string; order: Order };
  stop?: { reason: string };
  doors?: string[];
}

/** What the control plane can tell. handover throws words when it is not taken. */
export interface Directives {
  handover(h: Handover): void;
  order(session: string, o: Order): void;
  stop(reason: string): void;
  session(): string | undefined;
}

/** Keeps the connection up until ends; returns when an idle server heard nobody for lonely ms. */
export async function control(door: Door, self: Self, to: Directives, ends: AbortSignal, log: (words: string) => void, lonely = 300_000): Promise<void> {
  let heard = Date.now();
  for (let pause = 100; !ends.aborted; pause = Math.min(2 * pause, 2_000)) {
    const began = Date.now();
    try {
      await once(door, self, to, ends);
    } catch (err) {
      log(`control connection lost: ${String(err)}`);
      door.leave();
    }
    if (Date.now() - began > 5_000) { pause = 100; heard = Date.now(); }
    if (to.session() === undefined && Date.now() - heard > lonely) return to.stop("no control plane was heard");
    if (!ends.aborted) await sleep(pause / 2 + Math.random() * pause);
  }
}

function once(door: Door, self: Self, to: Directives, ends: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    let socket: Socket | undefined;
    const stop = (): void => socket?.close(1000, "");
    const handlers = {
      message: (data: Buffer): void => {
        const down = JSON.parse(data.toString()) as Down;
        if (down.handover) answer(socket!, door, to, down.handover);
        if (down.order) to.order(down.order.session, down.order.order);
        if (down.stop) to.stop(down.stop.reason);
        if (down.doors) door.learn(down.doors);
      },
      close: (code: number, reason: string): void => {
        ends.removeEventListener("abort", stop);
        code === 1000 ? resolve() : reject(new Error(`${code} ${reason}`));
      },
    };
    connect(`${door.url}/v1/servers/${self.server}/control`, { Authorization: `Bearer ${door.token}` }, handlers).then((opened) => {
      socket = opened;
      ends.addEventListener("abort", stop);
      const session = to.session();
      opened.send(JSON.stringify({
        hello: {
          server: self.server, incarnation: self.incarnation, address: self.address, web: { websocket: self.websocket },
          ...(session === undefined ? {} : { session }),
        },
      }));
    }, reject);
  });
}

/** Takes a session or not. The new token is used before the answer goes out. */
function answer(socket: Socket, door: Door, to: Directives, h: Handover): void {
  const old = door.token;
  try {
    door.token = h.token;
    to.handover(h);
    socket.send(JSON.stringify({ handover_answer: { id: h.id, ok: true } }));
  } catch (err) {
    door.token = old;
    socket.send(JSON.stringify({ handover_answer: { id: h.id, ok: false, code: "conflict", detail: (err as Error).message } }));
  }
}
