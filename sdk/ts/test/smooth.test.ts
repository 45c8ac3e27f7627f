import assert from "node:assert/strict";
import { test } from "node:test";
import { Rate } from "../src/counters.ts";
import { Smoother } from "../src/scene/smooth.ts";
import { Kind, Schema } from "../src/wire/schema.ts";
import { View } from "../src/wire/view.ts";

const kind = new Kind("ball", [
  { name: "x", kind: "number", min: 0, max: 1000, precision: 0.01, owner: false, within: 0 },
  { name: "on", kind: "bool", min: 0, max: 0, precision: 0, owner: false, within: 0 },
  { name: "label", kind: "string", min: 0, max: 20, precision: 0, owner: false, within: 0 },
]);
const schema = new Schema([kind]);
const TICK = 1000 / 30;

/** A world at a tick: a ball that moves by one unit a tick, and one that comes at tick 50. */
function viewAt(tick: number): View {
  const v = new View();
  v.reset(tick);
  for (const id of tick >= 50 ? [3, 9] : [3]) {
    const i = v.add(kind, 0, id, id === 3 ? "ada" : "");
    v.values[v.valueAt[i]!] = tick * 100;
    v.values[v.valueAt[i]! + 1] = tick % 2;
    v.texts[v.textAt[i]!] = "gr\u00c3\u00bcn"; // as bytes
  }
  return v;
}

/** Plays ticks 1 to 200 that come late by so much, and says where the ball is shown at each frame. */
function play(s: Smoother, late: (tick: number) => number): { now: number; x: number }[] {
  const arrivals = Array.from({ length: 200 }, (_, i) => ({ tick: i + 1, at: (i + 1) * TICK + late(i + 1) }))
    .filter((a) => Number.isFinite(a.at)).sort((a, b) => a.at - b.at);
  const shown: { now: number; x: number }[] = [];
  for (let now = 0; now < 200 * TICK; now += 1000 / 60) {
    while (arrivals.length > 0 && arrivals[0]!.at <= now) {
      const a = arrivals.shift()!;
      s.add(viewAt(a.tick), a.at);
    }
    const e = s.at(now).find((e) => e.id === 3);
    if (e !== undefined) shown.push({ now, x: e.number(0) });
  }
  return shown;
}

/** The steps between frames after the first second, of 0.5 units each when all is even. */
function steps(shown: { now: number; x: number }[]): number[] {
  return shown.filter((s) => s.now > 1000).map((s, i, all) => (i === 0 ? 0.5 : s.x - all[i - 1]!.x));
}

test("a steady stream is shown two to three ticks behind, evenly", () => {
  const s = new Smoother(schema, 30);
  const shown = play(s, () => 20);
  const last = shown.at(-1)!;
  const behind = (last.now - 20) / TICK - last.x;
  assert.ok(behind > 2 && behind < 3, `${behind} ticks behind`);
  for (const d of steps(shown)) assert.ok(Math.abs(d - 0.5) < 0.03, `a step of ${d}`);
});

test("jitter and loss make the delay longer, not the steps uneven", () => {
  const s = new Smoother(schema, 30);
  let seed = 3;
  const random = (): number => (seed = (seed * 16807) % 2147483647) / 2147483647;
  const shown = play(s, () => (random() < 0.1 ? Infinity : 20 + random() * 50));
  assert.ok(s.delay > 3 && s.delay < 5, `a delay of ${s.delay}`);
  const all = steps(shown);
  const uneven = all.filter((d) => Math.abs(d - 0.5) > 0.1).length;
  assert.ok(uneven < all.length * 0.03, `${uneven} of ${all.length} steps are uneven`);
  assert.ok(all.every((d) => d >= 0), "it went back");
});

test("what is no number changes at its tick, texts are text", () => {
  const s = new Smoother(schema, 30);
  for (let t = 1; t <= 10; t++) s.add(viewAt(t), t * TICK);
  const [e] = s.at(10 * TICK);
  assert.ok([0, 1].includes(e!.number(1)));
  assert.equal(e!.text(2), "grün");
  assert.equal(e!.owner, "ada");
  assert.equal(e!.number(2), 0);
  assert.equal(e!.text(0), "");
  assert.equal(e!.kind.field("nothing"), -1);
});

test("a thing appears at its tick, and a long gap is jumped over", () => {
  const s = new Smoother(schema, 30);
  for (let t = 46; t <= 53; t++) s.add(viewAt(t), t * TICK);
  assert.equal(s.at(51 * TICK).length, 1);
  assert.equal(s.at(53 * TICK).length, 2);
  s.add(viewAt(500), 500 * TICK);
  s.at(500 * TICK);
  assert.ok(s.at(503 * TICK)[0]!.number(0) > 499);
  assert.deepEqual(new Smoother(schema, 30).at(5), []);
});

test("rates are over two seconds", () => {
  const r = new Rate();
  for (let now = 10_000; now < 15_000; now += 10) r.add(5, now);
  assert.ok(Math.abs(r.perSecond(15_000) - 500) < 70, String(r.perSecond(15_000)));
  assert.equal(r.perSecond(18_000), 0);
});
