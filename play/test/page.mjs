// What the tests of the players' page have in common: real browsers on the real
// page of a real region. THRONG_ADDR says where it is, THRONG_SHOTS where pictures
// go. cmd/throng/e2e_play_test.go runs them.
import assert from "node:assert/strict";
import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { after, before } from "node:test";
import { chromium } from "playwright-core";

export const addr = process.env.THRONG_ADDR;
export const shots = process.env.THRONG_SHOTS;
assert.ok(addr && shots, "THRONG_ADDR and THRONG_SHOTS are set");
mkdirSync(shots, { recursive: true });

const flags = [
  "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking",
  "--disable-component-update", "--disable-sync", "--disable-background-timer-throttling",
  "--disable-renderer-backgrounding", "--disable-backgrounding-occluded-windows",
];
const WAIT = 20_000;

export const launch = (...more) => chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: [...flags, ...more] });

let browser;
before(async () => {
  browser = await launch();
});
after(async () => {
  await browser?.close();
});

/** A window of its own for one player, at the list of places. Whatever the console says against it fails the test. */
export async function open(t, name, { on = browser, at = "/", ...options } = {}) {
  const context = await on.newContext({ viewport: { width: 1100, height: 760 }, ...options });
  const page = await context.newPage();
  t.after(async () => {
    await report(t, name, page);
    await context.close();
  });
  page.setDefaultTimeout(WAIT);
  page.faults = [];
  page.on("console", (m) => {
    if (m.type() === "error" || m.type() === "warning") page.faults.push(`${name}: ${m.text()}`);
  });
  page.on("pageerror", (e) => page.faults.push(`${name}: ${e.message}`));
  await page.goto(addr + at);
  await page.getByLabel("Your name").fill(name);
  await page.getByRole("button", { name: "Continue" }).click();
  return page;
}

/** Says how a page is, for whoever reads why a test failed; node tells no hook whether it did. */
async function report(t, name, page) {
  const now = await Promise.race([
    page.evaluate(() => {
      const { state, end } = document.querySelector(".game")?.dataset ?? {};
      const { history, stats } = window.throng ?? {};
      return { state, end, overlay: document.querySelector(".overlay")?.textContent, stats: stats?.call(window.throng), history };
    }),
    new Promise((resolve) => setTimeout(resolve, 5000, "does not answer")),
  ]).catch((err) => String(err));
  t.diagnostic(`${name} at the end: ${JSON.stringify(now)}, console: ${JSON.stringify(page.faults.map((f) => f.slice(0, 150)))}`);
}

export const state = (page, want) => page.waitForSelector(`.game[data-state=${want}]`);

/** Waits until the connection has been in a state, which may be over by now. */
export const was = (page, want) => page.waitForFunction((want) => window.throng.history.some((line) => line.endsWith(`s: ${want}`)), want);
export const place = (page, id) => page.locator(`[data-place=${id}]`);

/** Presses Play and waits until the world is there. */
export async function play(page, id) {
  await place(page, id).getByRole("button", { name: "Play" }).click();
  await playing(page);
}

export async function playing(page) {
  await state(page, "playing");
  await page.waitForFunction(() => window.throng.stats().verified > 0);
}

/** Where somebody's avatar is as this page shows it; undefined: nowhere. */
export const where = (page, owner) => page.evaluate((owner) => {
  const e = window.throng.entities().find((e) => e.owner === owner);
  return e && { x: e.number(e.kind.field("x")), y: e.number(e.kind.field("y")) };
}, owner);

export const sees = (page, owner, there = true) => page.waitForFunction(([owner, there]) =>
  window.throng.entities().some((e) => e.owner === owner) === there, [owner, there]);

export const session = (page) => page.evaluate(() => window.throng.welcome.session);
export const stats = (page) => page.evaluate(() => window.throng.stats());
export const shot = (page, name) => page.screenshot({ path: join(shots, `${name}.png`) });

/** Waits until a page shows a player away from where it did; false: not within some seconds, as before a wall. */
export const moved = (page, owner, from) => page.waitForFunction(([owner, from]) => {
  const e = window.throng.entities().find((e) => e.owner === owner);
  return e && Math.hypot(e.number(e.kind.field("x")) - from.x, e.number(e.kind.field("y")) - from.y) > 1;
}, [owner, from], { timeout: 5000 }).then(() => true, () => false);

/** Walks with a key until this page, and the other, show that the player moved. */
export async function walk(page, owner, other) {
  const [mine, theirs] = [await where(page, owner), await where(other, owner)];
  for (const key of ["KeyD", "ArrowUp", "KeyA", "ArrowDown"]) {
    await page.keyboard.down(key);
    const done = await moved(page, owner, mine) && await moved(other, owner, theirs);
    await page.keyboard.up(key);
    if (done) return;
  }
  assert.fail(`${owner} did not move: ${JSON.stringify([mine, await where(page, owner), theirs, await where(other, owner)])}`);
}

/** Waits until a page shows its player ahead of the server, and that it is hardly ever wrong. */
export async function ahead(page, owner) {
  await page.waitForFunction((owner) => {
    const e = window.throng.entities().find((e) => e.owner === owner);
    const { correction, serverTick, tick } = window.throng.stats();
    return e?.predicted && correction < 2 && serverTick >= tick;
  }, owner);
  await page.locator(".hud [data-key=correction] dd").filter({ hasText: /^\d+\.\d\d$/ }).waitFor({ state: "attached" });
}

export const clean = (...pages) => assert.deepEqual(pages.flatMap((p) => p.faults), []);

