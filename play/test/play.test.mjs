// The players' page, used as people use it.
import assert from "node:assert/strict";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { addr, ahead, clean, open, place, play, moved, playing, sees, session, shot, state, stats, walk, was, where } from "./page.mjs";

test("two players meet over WebTransport and see each other move", async (t) => {
  const ada = await open(t, "ada");
  await shot(ada, "lobby");
  await play(ada, "starter");
  const bo = await open(t, "bo");
  await play(bo, "starter");
  assert.equal(await session(ada), await session(bo));
  await sees(ada, "bo");
  await sees(bo, "ada");
  await walk(ada, "ada", bo);
  await walk(bo, "bo", ada);
  await ahead(ada, "ada");
  assert.equal(await ada.evaluate(() => window.throng.entities().find((e) => e.owner === "bo").predicted), false);
  for (const page of [ada, bo]) {
    await page.waitForFunction(() => { // as soon as a slow machine has time for it
      const s = window.throng.stats();
      return s.snapshotsPerSecond > 10 && s.roundTrip >= 1 && s.roundTrip < 200;
    });
    const s = await stats(page);
    assert.equal(s.transport, "webtransport");
    assert.equal(s.mismatches, 0);
    await page.locator(".hud [data-key=transport] dd", { hasText: "WebTransport" }).waitFor();
  }
  await shot(ada, "two");

  await t.test("a third comes by the link to the session", async (t) => {
    const link = await ada.locator("[data-link]").getAttribute("data-link");
    const cy = await open(t, "cy", { at: link.slice(addr.length) });
    await playing(cy);
    assert.equal(await session(cy), await session(ada));
    await sees(ada, "cy");
    await cy.getByRole("button", { name: "Leave" }).click();
    await place(cy, "starter").waitFor();
    await sees(ada, "cy", false);
    clean(cy);
  });

  await t.test("a fourth follows a friend", async (t) => {
    const di = await open(t, "di");
    await di.getByLabel("Your friend's name").fill("nobody-here");
    await di.locator("form", { hasText: "Join a friend" }).getByRole("button", { name: "Join" }).click();
    await di.getByText("nobody-here is not playing").first().waitFor();
    await di.getByLabel("Your friend's name").fill("ada");
    await di.getByLabel("Your friend's name").press("Enter");
    await playing(di);
    assert.equal(await session(di), await session(ada));
    clean(di);
  });

  clean(ada, bo);
});

test("a party follows its leader into a new session", async (t) => {
  const ed = await open(t, "ed");
  await ed.getByRole("button", { name: "Make a party" }).click();
  const link = await ed.getByLabel("Invite link").inputValue();
  const flo = await open(t, "flo", { at: link.slice(addr.length) });
  await ed.locator(".members", { hasText: "flo" }).waitFor();
  await flo.locator(".members", { hasText: "ed" }).waitFor();
  await shot(ed, "party");
  await place(ed, "starter").getByRole("button", { name: "New session" }).click();
  await Promise.all([playing(ed), playing(flo)]);
  assert.equal(await session(flo), await session(ed));
  assert.deepEqual(await ed.evaluate(() => window.throng.entities().map((e) => e.owner).sort()), ["ed", "flo"]);
  clean(ed, flo);
});

test("a private session is for those with its code", async (t) => {
  const gil = await open(t, "gil");
  await place(gil, "starter").waitFor();
  await gil.getByLabel("Place", { exact: true }).selectOption("starter");
  await gil.getByRole("button", { name: "open one of your own" }).click();
  await playing(gil);
  const code = await gil.locator(".code b").textContent();
  const hal = await open(t, "hal");
  await place(hal, "starter").waitFor();
  await hal.getByLabel("Place", { exact: true }).selectOption("starter");
  await hal.getByLabel("Code that you were given").fill("wrong");
  await hal.getByLabel("Code that you were given").press("Enter");
  await hal.getByRole("alertdialog").waitFor();
  await hal.getByRole("button", { name: "Back to places" }).click();
  await hal.getByLabel("Code that you were given").fill(code.toUpperCase());
  await hal.getByLabel("Code that you were given").press("Enter");
  await playing(hal);
  assert.equal(await session(hal), await session(gil));
  clean(gil);
});

test("a lost connection comes back into the same seat, and so does a page that is loaded again", async (t) => {
  const ida = await open(t, "ida");
  await play(ida, "starter");
  await ida.waitForFunction(() => window.throng.comeback() !== undefined);
  await sees(ida, "ida");
  const [seat, id] = await ida.evaluate(() => [window.throng.welcome.session, window.throng.entities().find((e) => e.owner === "ida")?.id]);
  await ida.evaluate(() => window.throng.drop());
  await was(ida, "reconnecting");
  await shot(ida, "reconnecting");
  await playing(ida);
  await sees(ida, "ida");
  const now = await ida.evaluate(() => ({ n: window.throng.stats().reconnects, session: window.throng.welcome.session, ids: window.throng.entities().filter((e) => e.owner === "ida").map((e) => e.id) }));
  assert.ok(now.n >= 1, "it came back");
  assert.deepEqual({ session: now.session, ids: now.ids }, { session: seat, ids: [id] });
  await ida.waitForFunction(() => window.throng.comeback() !== undefined);
  await ida.reload();
  await playing(ida);
  await sees(ida, "ida");
  assert.equal(await session(ida), seat);
  assert.equal(await ida.evaluate(() => window.throng.entities().find((e) => e.owner === "ida").id), id);
  clean(ida);
});

test("a newer join of the same player takes the seat, in words", async (t) => {
  const first = await open(t, "jo");
  await play(first, "starter");
  const second = await open(t, "jo");
  await play(second, "starter");
  await state(first, "ended");
  await first.getByRole("heading", { name: "You play elsewhere now" }).waitFor();
  await shot(first, "evicted");
  clean(first, second);
});

/** What an operator does. */
async function operate(method, path, body) {
  const call = (path, init) => fetch(addr + path, { ...init, headers: { "Content-Type": "application/json", ...init.headers } });
  const { access_token } = await (await call("/v1/dev/token", { method: "POST", body: JSON.stringify({ player: "operator", role: "operator" }) })).json();
  const answer = await call(path, { method, headers: { Authorization: `Bearer ${access_token}` }, ...(body && { body: JSON.stringify(body) }) });
  assert.ok(answer.ok, `${method} ${path}: ${answer.status}`);
  return answer.status === 204 ? undefined : await answer.json();
}

test("a session that is over says so, and Play again finds another", async (t) => {
  const pia = await open(t, "pia");
  await play(pia, "starter");
  const was = await session(pia);
  await operate("POST", `/v1/sessions/${was}/end`, { reason: "<i>enough</i> for today" });
  await pia.getByRole("heading", { name: "The session is over" }).waitFor();
  await pia.locator(".overlay", { hasText: "<i>enough</i> for today" }).waitFor();
  await shot(pia, "ended");
  await pia.getByRole("button", { name: "Play again" }).click();
  await playing(pia);
  assert.notEqual(await session(pia), was);
  clean(pia);
});

test("a ticket brings how far the region is, as the page measured it", async (t) => {
  const rex = await open(t, "rex");
  await rex.evaluate(() => { // a slow machine may need more than the 1.5 s that players wait
    const real = window.setTimeout;
    window.setTimeout = (what, ms, ...more) => real(what, ms === 1500 ? 15_000 : ms, ...more);
  });
  const asked = rex.waitForRequest("**/v1/matchmake");
  await play(rex, "starter");
  const { latencies } = (await asked).postDataJSON();
  assert.ok(latencies?.local > 0, `the ticket brought ${JSON.stringify(latencies)}`);
  clean(rex);
});

test("a ticket that is not good is told", async (t) => {
  const que = await open(t, "que");
  await que.route("**/v1/matchmake*", async (route) => {
    const answer = await route.fetch();
    const seats = await answer.json();
    const token = Buffer.from(seats.join_token, "base64");
    token[200] ^= 1; // within what the server sealed
    await route.fulfill({ response: answer, json: { ...seats, join_token: token.toString("base64") } });
  });
  await place(que, "starter").getByRole("button", { name: "Play" }).click();
  await que.getByRole("heading", { name: "The server did not let you in" }).waitFor();
  await que.unroute("**/v1/matchmake*");
  await que.getByRole("button", { name: "Play again" }).click();
  await playing(que);
});

test("where UDP is blocked WebSocket is used, and said", async (t) => {
  // A port that takes packets and answers none, as behind a firewall.
  const hole = createSocket("udp4").bind(0, "127.0.0.1");
  t.after(() => hole.close());
  await once(hole, "listening");
  const kim = await open(t, "kim");
  await kim.route("**/v1/matchmake*", async (route) => {
    const answer = await route.fetch();
    const seats = await answer.json();
    seats.server.webtransport.url = `https://127.0.0.1:${hole.address().port}/play`;
    await route.fulfill({ response: answer, json: seats });
  });
  await play(kim, "arena");
  const lu = await open(t, "lu");
  await play(lu, "arena");
  await sees(kim, "lu");
  await walk(kim, "kim", lu);
  const s = await stats(kim);
  assert.equal(s.transport, "websocket");
  assert.equal((await stats(lu)).transport, "webtransport");
  await kim.locator(".hud .fallback", { hasText: "WebSocket" }).waitFor();
  await shot(kim, "websocket");
  clean(lu);
});

test("names with markup are text", async (t) => {
  const max = await open(t, "max");
  await play(max, "arena");
  // What a script or a player wrote gets to the page by the wire; here it is written where the page reads it.
  await max.evaluate(() => {
    const bad = "<img src=x onerror=alert(1)>";
    const real = window.throng.entities.bind(window.throng);
    window.throng.entities = (now) => real(now).map((e) => new Proxy(e, {
      get: (on, name) => (name === "text" ? () => bad : typeof on[name] === "function" ? on[name].bind(on) : on[name]),
    }));
  });
  await max.locator(".leaders .name", { hasText: "<img src=x" }).first().waitFor();
  assert.equal(await max.locator(".leaders img").count(), 0);
  const bad = await open(t, "x");
  await bad.goto(`${addr}/#friend=${encodeURIComponent("<b>bold</b>")}`);
  await bad.waitForTimeout(500);
  assert.equal(await bad.locator("main b", { hasText: "bold" }).count(), 0);
  clean(max);
});

test("it works with a thumb on a phone, in the dark", async (t) => {
  const nan = await open(t, "nan", { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, hasTouch: true, isMobile: true, colorScheme: "dark" });
  await place(nan, "arena").waitFor();
  assert.ok(await nan.evaluate(() => document.documentElement.scrollWidth <= innerWidth), "the page is wider than the phone");
  await shot(nan, "phone-lobby");
  await play(nan, "arena");
  const from = await where(nan, "nan");
  const stick = await nan.locator(".stick").boundingBox();
  const at = { x: stick.x + stick.width / 2, y: stick.y + stick.height / 2 };
  const finger = await nan.context().newCDPSession(nan);
  const touch = (type, ...touchPoints) => finger.send("Input.dispatchTouchEvent", { type, touchPoints });
  await touch("touchStart", at);
  let went = false;
  for (const [x, y] of [[-50, 0], [0, 50], [50, 0], [0, -50]]) { // a wall may be in the way
    await touch("touchMove", { x: at.x + x, y: at.y + y });
    went = await moved(nan, "nan", from);
    if (went) break;
  }
  await shot(nan, "phone-game");
  await touch("touchEnd");
  assert.ok(went, `${JSON.stringify(from)} to ${JSON.stringify(await where(nan, "nan"))}`);
  clean(nan);
});

test("a game server that is gone for good is told after 30 seconds, and Play again works", { timeout: 90_000 }, async (t) => {
  const ray = await open(t, "ray");
  await place(ray, "starter").getByRole("button", { name: "New session" }).click();
  await playing(ray);
  await ray.waitForFunction(() => window.throng.comeback() !== undefined);
  const was = await session(ray);
  const { server } = await operate("GET", `/v1/sessions/${was}`);
  const pid = readdirSync("/proc").find((p) => /^\d+$/.test(p) && environment(p).includes(`THRONG_SERVER=${server}`));
  assert.ok(pid, `no process of ${server}`);
  process.kill(Number(pid), "SIGKILL");
  await state(ray, "reconnecting");
  await ray.getByRole("heading", { name: "The connection was lost" }).waitFor({ timeout: 45_000 });
  const history = await ray.evaluate(() => window.throng.history);
  const at = (what) => parseFloat(history.findLast((line) => line.includes(`s: ${what}`)));
  assert.ok(at("ended") - at("reconnecting") >= 29, `it was given up while the seat may be kept: ${history.join("; ")}`);
  await ray.getByRole("button", { name: "Play again" }).click();
  await playing(ray);
  assert.notEqual(await session(ray), was);
});

function environment(pid) {
  try {
    return readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
  } catch {
    return []; // it ended, or is somebody else's
  }
}
