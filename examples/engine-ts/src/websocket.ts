// A WebSocket (RFC 6455), client and server side: what Node 20 does not have.
// Messages are whole; compression and extensions are not offered.

import { createHash, randomBytes } from "node:crypto";
import * as http from "node:http";
import * as https from "node:https";
import type { Duplex } from "node:stream";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
const MAX_MESSAGE = 256 * 1024; // bytes
const MAX_QUEUED = 1024 * 1024; // bytes that the other side has not read; more and it is cut off

export interface Handlers {
  /** One message. It may be followed by others in the same turn. */
  message(data: Buffer, binary: boolean): void;
  /** The connection is over; called once. */
  close(code: number, reason: string): void;
}

/** One open connection. */
export class Socket {
  private buffer: Buffer = Buffer.alloc(0);
  private parts: Buffer[] = [];
  private binary = false;
  private over = false;
  private heard = Date.now();
  private readonly timer: NodeJS.Timeout;

  constructor(
    private readonly stream: Duplex,
    private readonly client: boolean,
    private readonly handlers: Handlers,
    head: Buffer,
  ) {
    stream.on("data", (chunk: Buffer) => this.read(chunk));
    stream.on("error", () => this.end(1006, "the connection broke"));
    stream.on("close", () => this.end(1006, "the connection is gone"));
    // The other side is gone when it says nothing, not even to pings.
    this.timer = setInterval(() => {
      if (Date.now() - this.heard > 15_000) this.cut(1006, "silence");
      else this.frame(0x9, Buffer.alloc(0));
    }, 5_000);
    if (head.length > 0) setImmediate(() => this.read(head));
  }

  send(data: string | Buffer): void {
    this.frame(typeof data === "string" ? 0x1 : 0x2, typeof data === "string" ? Buffer.from(data) : data);
  }

  /** Says goodbye, and why in at most 123 bytes. */
  close(code = 1000, reason = ""): void {
    if (this.over) return;
    const words = Buffer.from(reason).subarray(0, 123);
    const body = Buffer.alloc(2 + words.length);
    body.writeUInt16BE(code);
    words.copy(body, 2);
    this.frame(0x8, body);
    this.stream.end();
    setTimeout(() => this.stream.destroy(), 1_000).unref();
    this.end(code, reason);
  }

  private cut(code: number, reason: string): void {
    this.stream.destroy();
    this.end(code, reason);
  }

  private end(code: number, reason: string): void {
    if (this.over) return;
    this.over = true;
    clearInterval(this.timer);
    this.handlers.close(code, reason);
  }

  private frame(opcode: number, body: Buffer): void {
    if (this.over) return;
    if (this.stream.writableLength > MAX_QUEUED) return this.cut(1008, "too slow");
    const mask = this.client ? randomBytes(4) : undefined;
    const length =
      body.length < 126 ? Buffer.from([body.length])
      : body.length < 65536 ? Buffer.from([126, body.length >> 8, body.length & 255])
      : (() => { const b = Buffer.alloc(9); b[0] = 127; b.writeBigUInt64BE(BigInt(body.length), 1); return b; })();
    if (mask) length[0]! |= 0x80;
    const payload = mask ? Buffer.from(body.map((b, i) => b ^ mask[i & 3]!)) : body;
    this.stream.write(Buffer.concat([Buffer.from([0x80 | opcode]), length, ...(mask ? [mask] : []), payload]));
  }

  private read(chunk: Buffer): void {
    if (this.over) return;
    this.heard = Date.now();
    this.buffer = this.buffer.length === 0 ? chunk : Buffer.concat([this.buffer, chunk]);
    while (!this.over && this.next()) { /* as many as are whole */ }
  }

  /** Handles one frame, if a whole one is there. */
  private next(): boolean {
    const b = this.buffer;
    if (b.length < 2) return false;
    let length = b[1]! & 0x7f;
    let at = 2;
    if (length === 126) {
      if (b.length < 4) return false;
      length = b.readUInt16BE(2);
      at = 4;
    } else if (length === 127) {
      if (b.length < 10) return false;
      const long = b.readBigUInt64BE(2);
      length = long > BigInt(MAX_MESSAGE) ? MAX_MESSAGE + 1 : Number(long);
      at = 10;
    }
    const masked = (b[1]! & 0x80) !== 0;
    if (length > MAX_MESSAGE || masked === this.client || (b[0]! & 0x70) !== 0) {
      this.close(length > MAX_MESSAGE ? 1009 : 1002, "not a frame that is taken");
      return false;
    }
    const from = at + (masked ? 4 : 0);
    if (b.length < from + length) return false;
    let body = b.subarray(from, from + length);
    if (masked) {
      const mask = b.subarray(at, at + 4);
      body = Buffer.from(body.map((x, i) => x ^ mask[i & 3]!));
    }
    this.buffer = b.subarray(from + length);
    this.take(b[0]! & 0x0f, (b[0]! & 0x80) !== 0, body);
    return true;
  }

  private take(opcode: number, final: boolean, body: Buffer): void {
    switch (opcode) {
      case 0x8:
        this.close(body.length >= 2 ? body.readUInt16BE(0) : 1005, body.subarray(2).toString());
        return;
      case 0x9:
        return this.frame(0xa, body);
      case 0xa:
        return;
      case 0x1:
      case 0x2:
        this.binary = opcode === 0x2;
        this.parts = [];
    }
    this.parts.push(Buffer.from(body));
    if (this.parts.reduce((sum, p) => sum + p.length, 0) > MAX_MESSAGE) return this.close(1009, "too long");
    if (final) {
      const whole = Buffer.concat(this.parts);
      this.parts = [];
      this.handlers.message(whole, this.binary);
    }
  }
}

const accepts = (key: string): string => createHash("sha1").update(key + GUID).digest("base64");

/** Connects; a refusal before the handshake is an error with the answer's status. */
export function connect(url: string, headers: Record<string, string>, handlers: Handlers): Promise<Socket> {
  const key = randomBytes(16).toString("base64");
  const at = new URL(url.replace(/^ws/, "http"));
  return new Promise((resolve, reject) => {
    const request = (at.protocol === "https:" ? https : http).request(at, {
      headers: { ...headers, Connection: "Upgrade", Upgrade: "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key },
      timeout: 5_000,
    });
    request.on("timeout", () => request.destroy(new Error("no answer within 5 s")));
    request.on("error", reject);
    request.on("response", (answer) => {
      answer.resume();
      reject(new Error(`the WebSocket was refused with status ${answer.statusCode}`));
    });
    request.on("upgrade", (answer, stream, head) => {
      stream.setTimeout(0);
      if (answer.headers["sec-websocket-accept"] !== accepts(key)) {
        stream.destroy();
        return reject(new Error("the answer to the WebSocket's handshake is wrong"));
      }
      resolve(new Socket(stream, true, handlers, head));
    });
    request.end();
  });
}

/** Answers a request for a WebSocket; undefined: it was none, and is refused. */
export function accept(request: http.IncomingMessage, stream: Duplex, head: Buffer, handlers: Handlers): Socket | undefined {
  const key = request.headers["sec-websocket-key"];
  if (request.method !== "GET" || typeof key !== "string" || request.headers["sec-websocket-version"] !== "13") {
    stream.end("HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
    return undefined;
  }
  stream.write(`HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accepts(key)}\r\n\r\n`);
  return new Socket(stream, false, handlers, head);
}
