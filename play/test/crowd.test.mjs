// Two pages in an arena that is full of bots. THRONG_CROWD is for how many
// seconds they watch (default 5); frames and snapshots are printed, and only
// what no slow machine excuses fails.
import assert from "node:assert/strict";
import { test } from "node:test";
import { clean, open, play, sees, session, shot, stats } from "./page.mjs";

test("two pages among 48 bots", { timeout: 300_000 }, async (t) => {
  const seconds = Number(process.env.THRONG_CROWD ?? 5);
  const pages = [await open(t, "wes"), await open(t, "xia")];
  for (const page of pages) await play(page, "arena");
  assert.equal(await session(pages[0]), await session(pages[1]));
  await pages[0].waitForFunction(() => new Set(window.throng.entities().map((e) => e.owner).filter(Boolean)).size >= 50);
  await sees(pages[0], "xia");
  for (const page of pages) {
    await page.evaluate(() => {
      window.frames60 = 0;
      const count = () => { window.frames60++; requestAnimationFrame(count); };
      requestAnimationFrame(count);
    });
  }
  await pages[0].waitForTimeout(seconds * 1000);
  for (const page of pages) {
    const s = await stats(page);
    const frames = (await page.evaluate(() => window.frames60)) / seconds;
    t.diagnostic(`${frames.toFixed(1)} frames/s, ${s.snapshotsPerSecond.toFixed(1)} snapshots/s, ${(s.bitsPerSecond / 1000).toFixed(1)} kbit/s, ` +
      `${s.verified} verified, round trip ${s.roundTrip.toFixed(1)} ms, corrections ${s.correction.toFixed(2)} m, ${s.transport}`);
    assert.equal(s.mismatches, 0);
    assert.ok(s.verified > 0 && frames > 5, "the page stands still");
  }
  await shot(pages[0], "crowd");
  clean(...pages);
});
