import { MAX_PAYLOAD } from "./wire/message.ts";

/** What carries a connection. WebSocket is the fallback where UDP is blocked: one late packet holds up all after it. */
export type TransportKind = "webtransport" | "websocket";

/** Where to connect, from the matchmake answer. */
export interface Target {
  /** 2048 bytes; good for seconds, until it was used. */
  readonly token: Uint8Array;
  /** WebTransport: its URL, and the SHA-256 of the certificates that are good now. */
  readonly webTransport?: { readonly url: string; readonly certificates: readonly Uint8Array[] } | undefined;
  /** ws:// or wss:// URL of the relay. */
  readonly webSocket?: string | undefined;
}

/** Carries payloads both ways, unreliably as far as its user is concerned. */
export interface Transport {
  readonly kind: TransportKind;
  /** Sends a payload, or drops it when the way is jammed. */
  send(payload: Uint8Array): void;
  /** Ends it; onClose is not called for it. Who left gives up the seat at once, who is lost has it kept for a while. */
  close(why: "left" | "lost"): void;
}

/** Who uses a transport. */
export interface Receiver {
  onPayload(payload: Uint8Array): void;
  /** It ended, with what is known of why. Nothing comes after it. */
  onClose(reason: string): void;
}

/** Which transports to try, and for how long. */
export interface TransportOptions {
  /** Skips the other one. */
  readonly only?: TransportKind | undefined;
  /** Milliseconds that WebTransport may take before WebSocket is tried; 2000. Where UDP is blocked nothing answers. */
  readonly patience?: number | undefined;
  readonly signal?: AbortSignal | undefined;
}

// A jammed WebSocket delivers old news: what does not fit is dropped.
const MOST_BUFFERED = 16 * MAX_PAYLOAD;
const SOCKET_PATIENCE = 5000;
// What closes a connection that means to come back; WebSockets allow 3000 to 4999.
const LOST = 4000;

/**
 * Connects: by WebTransport where browser, server and network have it, else by
 * WebSocket. Throws when neither works.
 */
export async function connect(target: Target, to: Receiver, options: TransportOptions = {}): Promise<Transport> {
  const failures: string[] = [];
  if (options.only !== "websocket" && target.webTransport !== undefined) {
    if (typeof WebTransport === "undefined") {
      failures.push("this browser, or this page without https, has no WebTransport");
    } else {
      try {
        return await webTransport(target.webTransport, target.token, to, options);
      } catch (err) {
        options.signal?.throwIfAborted();
        failures.push(`WebTransport: ${words(err)}`);
      }
    }
  }
  if (options.only !== "webtransport" && target.webSocket !== undefined) {
    try {
      return await webSocket(target.webSocket, target.token, to, options);
    } catch (err) {
      options.signal?.throwIfAborted();
      failures.push(`WebSocket: ${words(err)}`);
    }
  }
  throw new Error(failures.length > 0 ? failures.join("; ") : "the session cannot be reached from a browser");
}

async function webTransport(
  at: NonNullable<Target["webTransport"]>, token: Uint8Array, to: Receiver, options: TransportOptions,
): Promise<Transport> {
  const url = new URL(at.url);
  url.searchParams.set("token", base64url(token));
  const wt = new WebTransport(url.href, {
    serverCertificateHashes: at.certificates.map((value) => ({ algorithm: "sha-256", value: value.slice().buffer })),
    congestionControl: "low-latency",
    requireUnreliable: true,
  });
  wt.closed.catch(() => undefined); // read below, once it is open
  try {
    await within(wt.ready, options.patience ?? 2000, options.signal);
  } catch (err) {
    // The server may have let us in just now: no goodbye, the seat is for the next way.
    wt.close(options.signal?.aborted === true ? {} : { closeCode: LOST, reason: "lost" });
    throw err;
  }
  wt.datagrams.outgoingHighWaterMark = 4;
  wt.datagrams.incomingHighWaterMark = 64;
  let open = true;
  const end = (reason: string): void => {
    if (!open) return;
    open = false;
    to.onClose(reason);
  };
  const writer = wt.datagrams.writable.getWriter();
  const reader = wt.datagrams.readable.getReader() as ReadableStreamDefaultReader<Uint8Array>;
  const read = async (): Promise<void> => {
    for (;;) {
      const { value, done } = await reader.read();
      if (done || !open) return;
      to.onPayload(value);
    }
  };
  wt.closed.then(
    (info) => end(info.reason ?? ""),
    (err: unknown) => end(words(err)),
  );
  read().catch((err: unknown) => end(words(err)));
  return {
    kind: "webtransport",
    send: (payload) => {
      if (open && (writer.desiredSize ?? 1) > 0) writer.write(payload).catch((err: unknown) => end(words(err)));
    },
    close: (why) => {
      open = false;
      wt.close({ closeCode: why === "left" ? 0 : LOST, reason: why });
    },
  };
}

async function webSocket(url: string, token: Uint8Array, to: Receiver, options: TransportOptions): Promise<Transport> {
  const ws = new WebSocket(url);
  ws.binaryType = "arraybuffer";
  let open = true;
  const opened = new Promise<void>((resolve, reject) => {
    ws.onopen = () => resolve();
    ws.onclose = (e) => reject(new Error(e.reason !== "" ? e.reason : `closed with ${e.code}`));
  });
  try {
    await within(opened, SOCKET_PATIENCE, options.signal);
  } catch (err) {
    ws.close();
    throw err;
  }
  ws.onclose = (e) => {
    if (!open) return;
    open = false;
    to.onClose(e.reason);
  };
  ws.onmessage = (e: MessageEvent<unknown>) => {
    if (open && e.data instanceof ArrayBuffer) to.onPayload(new Uint8Array(e.data));
  };
  ws.send(token.slice().buffer);
  return {
    kind: "websocket",
    send: (payload) => {
      if (ws.readyState === WebSocket.OPEN && ws.bufferedAmount < MOST_BUFFERED) ws.send(payload.slice().buffer);
    },
    close: (why) => {
      open = false;
      ws.close(why === "left" ? 1000 : LOST, why);
    },
  };
}

/** Rejects when a promise takes longer, or the signal says so. */
async function within<T>(p: Promise<T>, ms: number, signal: AbortSignal | undefined): Promise<T> {
  signal?.throwIfAborted();
  let cancel = (): void => undefined;
  const late = new Promise<never>((_, reject) => {
    const timer = setTimeout(() => reject(new Error(`no answer in ${ms} ms`)), ms);
    const stop = (): void => reject(signal?.reason instanceof Error ? signal.reason : new Error("given up"));
    signal?.addEventListener("abort", stop, { once: true });
    cancel = () => {
      clearTimeout(timer);
      signal?.removeEventListener("abort", stop);
    };
  });
  try {
    return await Promise.race([p, late]);
  } finally {
    cancel();
    p.catch(() => undefined);
  }
}

function base64url(b: Uint8Array): string {
  let s = "";
  for (const byte of b) s += String.fromCharCode(byte);
  return btoa(s).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}

function words(err: unknown): string {
  return err instanceof Error ? err.message : String(err);
}
