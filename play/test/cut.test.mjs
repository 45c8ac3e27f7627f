// The page's connection is cut, by a proxy that drops every datagram and a
// browser that is offline, and comes back from another port.
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { test } from "node:test";
import { clean, open, play, playing, sees, session, shot, state, stats } from "./page.mjs";

/** Forwards datagrams between browsers and one game server, unless it is cut; the browsers' after a delay of ms. */
class Proxy {
  cut = false;
  delay = 0;
  #front = createSocket("udp4");
  #backs = new Map(); // by the browser's port: the socket that the game server sees
  #server;
  #shut = false;

  /** Listens, and returns the port. */
  async listen(serverPort) {
    this.#server = serverPort;
    this.#front.on("message", (data, from) => {
      if (!this.cut) this.#back(from).send(data, this.#server, "127.0.0.1");
    });
    this.#front.bind(0, "127.0.0.1");
    await once(this.#front, "listening");
    return this.#front.address().port;
  }

  #back(from) {
    let back = this.#backs.get(from.port);
    if (!back) {
      back = createSocket("udp4");
      back.on("message", (data) => {
        if (this.cut) return;
        if (this.delay === 0) this.#front.send(data, from.port, from.address);
        else setTimeout(() => this.#shut || this.#front.send(data, from.port, from.address), this.delay);
      });
      this.#backs.set(from.port, back);
    }
    return back;
  }

  /** From now on the game server sees everybody at another port. */
  move() {
    for (const back of this.#backs.values()) back.close();
    this.#backs.clear();
  }

  close() {
    this.#shut = true;
    this.move();
    this.#front.close();
  }
}

/** Plays through a proxy of its own, which may delay answers; returns the page and what cuts its line for a while. */
async function playThrough(t, name, delay = 0) {
  const page = await open(t, name);
  const proxy = new Proxy();
  proxy.delay = delay;
  t.after(() => proxy.close());
  let port;
  await page.route("**/v1/matchmake*", async (route) => {
    const answer = await route.fetch();
    const seats = await answer.json();
    const url = new URL(seats.server.webtransport.url);
    port ??= await proxy.listen(Number(url.port));
    url.port = port;
    seats.server.webtransport.url = url.href;
    await route.fulfill({ response: answer, json: seats });
  });
  await play(page, "starter");
  assert.equal((await stats(page)).transport, delay === 0 ? "webtransport" : "websocket");
  await page.waitForFunction(() => window.throng.comeback() !== undefined);
  const cutFor = async (ms) => {
    proxy.cut = true;
    await page.context().setOffline(true);
    await page.waitForTimeout(ms);
    proxy.move();
    proxy.cut = false;
    await page.context().setOffline(false);
  };
  return { page, proxy, cutFor };
}

const avatar = (page, owner) => page.evaluate((owner) => window.throng.entities().find((e) => e.owner === owner)?.id, owner);

test("cut off for 10 s and moved to another port: back in the same seat", { timeout: 90_000 }, async (t) => {
  const watcher = await open(t, "watcher");
  await play(watcher, "starter");
  const { page, cutFor } = await playThrough(t, "uma");
  await sees(watcher, "uma");
  const [was, id] = [await session(page), await avatar(page, "uma")];
  const cutting = cutFor(10_000);
  await state(page, "reconnecting");
  await shot(page, "cut");
  await cutting;
  await playing(page);
  await sees(page, "uma");
  assert.equal(await session(page), was);
  assert.equal(await avatar(page, "uma"), id, "the same avatar");
  assert.equal(await avatar(watcher, "uma"), id, "which the others saw all the time");
  assert.ok((await stats(page)).reconnects >= 1);
  clean(watcher);
});

// The page gives a try by WebTransport up after 2 s, the browser does not: it goes
// on and shows the token, before the page does by WebSocket, and after.
for (const delay of [1500, 2500]) {
  test(`answers that take ${delay} ms: the seat is not lost`, { timeout: 90_000 }, async (t) => {
    const { page, proxy } = await playThrough(t, `eve${delay}`);
    const [was, id] = [await session(page), await avatar(page, `eve${delay}`)];
    proxy.delay = delay;
    await page.evaluate(() => window.throng.drop());
    await state(page, "reconnecting");
    await playing(page);
    await page.waitForTimeout(4000); // longer than a browser goes on with a try
    await playing(page);
    await sees(page, `eve${delay}`);
    assert.equal(await session(page), was);
    assert.equal(await avatar(page, `eve${delay}`), id, "the same avatar");
    const { transport, reconnects } = await stats(page);
    assert.equal(transport, "websocket");
    assert.ok(reconnects >= 1 && reconnects < 5, `came back ${reconnects} times`); // once, but on a machine that stands still
  });

  test(`answers that take ${delay} ms: who joins comes in all the same`, { timeout: 90_000 }, async (t) => {
    const name = `fay${delay}`;
    const { page } = await playThrough(t, name, delay);
    await page.waitForTimeout(4000);
    await playing(page);
    await sees(page, name);
    assert.equal((await stats(page)).transport, "websocket");
  });
}

test("cut off for 40 s: the seat is given up, and Play again works", { timeout: 120_000 }, async (t) => {
  const watcher = await open(t, "guard");
  await play(watcher, "starter");
  const { page, cutFor } = await playThrough(t, "vic");
  await sees(watcher, "vic");
  const cutting = cutFor(40_000);
  await watcher.waitForTimeout(25_000);
  assert.ok(await avatar(watcher, "vic"), "the seat is kept for 30 s");
  await cutting;
  await sees(watcher, "vic", false);
  await page.getByRole("heading", { name: "The connection was lost" }).waitFor({ timeout: 20_000 });
  await shot(page, "lost");
  await page.getByRole("button", { name: "Play again" }).click();
  await playing(page);
  await sees(watcher, "vic");
  clean(watcher);
});
