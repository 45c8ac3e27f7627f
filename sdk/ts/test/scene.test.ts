// What is shown of recorded sessions, which Go shows the same of: scene/testdata.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { Scene } from "../src/scene/scene.ts";
import type { StepMove } from "../src/scene/walk.ts";
import { Kind, parseSchema, Schema, type Field } from "../src/wire/schema.ts";
import { View } from "../src/wire/view.ts";
import { unhex } from "./data.ts";

interface Line {
  rate?: number;
  player?: string;
  schema?: string;
  ms?: number;
  input?: [number, number, number, number];
  tick?: number;
  applied?: number;
  round?: number;
  entities?: { id: number; kind: number; owner?: string; age: number; values: number[] }[];
  shown?: { id: number; predicted?: boolean; numbers: number[] }[];
  clock?: number;
  delay?: number;
  correction?: number;
}

const folder = fileURLToPath(new URL("../../../../scene/testdata/", import.meta.url));

function viewOf(schema: Schema, l: Line): View {
  const v = new View();
  v.reset(l.tick!);
  for (const e of l.entities ?? []) {
    const i = v.add(schema.kinds[e.kind]!, e.kind, e.id, e.owner ?? "");
    v.ages[i] = e.age;
    v.values.set(e.values, v.valueAt[i]!);
  }
  return v;
}

for (const file of readdirSync(folder)) {
  test(`${file} is shown as Go shows it`, () => {
    const lines = readFileSync(folder + file, "utf8").trim().split("\n").map((l) => JSON.parse(l) as Line);
    const { rate, player, schema: bytes } = lines.shift()!;
    const schema = parseSchema(unhex(bytes!));
    const scene = new Scene({ schema, player: player!, tickRate: rate! });
    let looks = 0;
    for (const [n, l] of lines.entries()) {
      const now = l.ms!;
      if (l.input !== undefined) {
        const [sequence, x, y, buttons] = l.input;
        scene.input(sequence, { x, y, buttons }, now);
      } else if (l.tick !== undefined) {
        scene.snapshot(viewOf(schema, l), l.applied ?? 0, l.round, now);
      } else {
        looks++;
        const where = `${file}:${n + 2}`;
        const same = (got: number, want: number | undefined, what: string): void =>
          assert.ok(Math.abs(got - (want ?? 0)) < 1e-6, `${where}: ${what} is ${got}, want ${want ?? 0}`);
        const shown = scene.at(now);
        assert.deepEqual(shown.map((e) => [e.id, e.predicted]), l.shown!.map((e) => [e.id, e.predicted ?? false]), where);
        for (const [i, e] of shown.entries()) {
          for (const [f, want] of l.shown![i]!.numbers.entries()) same(e.number(f), want, `${e.kind.fields[f]!.name} of ${e.id}`);
        }
        const tick = scene.tick(now);
        same(Number.isNaN(tick) ? 0 : tick, l.clock, "the clock");
        same(scene.delay, l.delay, "the delay");
        same(scene.correction, l.correction, "the correction");
      }
    }
    assert.ok(looks >= 40);
  });
}

test("a client's own step moves its player's entity, with all of its fields", () => {
  const number = (name: string, min: number, max: number): Field =>
    ({ name, kind: "number", min, max, precision: 0.25, owner: false, within: 0 });
  const kind = new Kind("ship", [number("vx", -32, 32), number("x", 0, 64)]);
  const schema = new Schema([kind]);
  const steps = new Map([["ship", (state: Float64Array, move: StepMove, dt: number): void => {
    state[0]! += move.x * 20 * dt;
    state[1]! += state[0]! * dt;
  }]]);
  const scene = new Scene({ schema, player: "ada", tickRate: 10 }, steps);
  scene.input(1, { x: 0, y: 0, buttons: 0 }, 0);
  scene.input(2, { x: 127, y: 0, buttons: 0 }, 200);
  const view = viewOf(schema, { tick: 1, entities: [{ id: 4, kind: 0, owner: "ada", age: 0, values: [128, 40] }] });
  scene.snapshot(view, 1, 200, 200);
  const at = (now: number): number[] => scene.at(now).flatMap((e) => [Number(e.predicted), e.number(0), e.number(1)]);
  // Input 1 counts at tick 1; so input 2, 200 ms later, at tick 3.
  assert.deepEqual(at(200).map((v) => Math.round(v * 100) / 100), [1, 2, 10]);
  assert.deepEqual(at(300).map((v) => Math.round(v * 100) / 100), [1, 4, 10.2]);
  assert.ok(at(5000)[2]! < 32, "it goes on for a second at most without a snapshot");
});
