import assert from "node:assert/strict";
import * as http from "node:http";
import { test } from "node:test";
import { hchacha20, openToken, parseClaims } from "../src/token.js";
import { accept, connect, type Socket } from "../src/websocket.js";

// draft-irtf-cfrg-xchacha-03, section 2.2.1.
test("HChaCha20 gives the published answer", () => {
  const key = Buffer.from("000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f", "hex");
  const nonce = Buffer.from("000000090000004a0000000031415927", "hex");
  assert.equal(hchacha20(key, nonce).toString("hex"), "82413b4227b27bfed30e42508a877d73a0f9e4d58a74a853c12ec41326d3ecdc");
});

test("what is no token is refused", () => {
  assert.throws(() => openToken(Buffer.alloc(2048), Buffer.alloc(32)), /no join token/);
  const forged = Buffer.concat([Buffer.from("NETCODE 1.02\0"), Buffer.alloc(2048 - 13)]);
  assert.throws(() => openToken(forged, Buffer.alloc(32)));
  assert.throws(() => parseClaims(Buffer.from([2])), /format/);
  assert.throws(() => parseClaims(Buffer.from([1, 0])), /too early/);
});

test("a WebSocket carries messages of all lengths both ways, and its last words", async () => {
  const server = http.createServer();
  const closed = new Promise<string>((done) => {
    server.on("upgrade", (request, stream, head) => {
      const socket: Socket | undefined = accept(request, stream, head, {
        message: (data, binary) => socket!.send(binary ? data : data.toString()),
        close: (code, reason) => done(`${code} ${reason}`),
      });
    });
  });
  await new Promise<void>((up) => server.listen(0, "127.0.0.1", up));
  const { port } = server.address() as { port: number };
  const got: string[] = [];
  let next: () => void = () => {};
  const socket = await connect(`ws://127.0.0.1:${port}/play`, {}, {
    message: (data, binary) => { got.push(`${binary} ${data.length}`); next(); },
    close: () => {},
  });
  for (const length of [0, 1, 125, 126, 65535, 65536]) {
    const echoed = new Promise<void>((done) => (next = done));
    socket.send(length % 2 === 0 ? Buffer.alloc(length, 7) : "x".repeat(length));
    await echoed;
  }
  assert.deepEqual(got, ["true 0", "false 1", "false 125", "true 126", "false 65535", "true 65536"]);
  socket.close(4001, "that was all");
  assert.equal(await closed, "4001 that was all");
  server.close();
});
