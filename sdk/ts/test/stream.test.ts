// One player's side of a session over a bad network, as Go recorded it
// (gameserver/record_test.go): each payload must do here what it does there, and
// each input must have the same bytes.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { World } from "../src/world.ts";
import { hashText, hex, unhex, wireFile } from "./data.ts";

interface Event {
  At: number;
  In?: string;
  Out?: string;
  Welcomed?: true;
  Mismatch?: true;
  Failed?: true;
  Tick?: number;
  Verified?: number;
  Round?: number;
  Entities?: number;
  Hash?: string;
  X?: number;
  Y?: number;
  Buttons?: number;
}

test("a recorded stream is seen as Go sees it", () => {
  const events = readFileSync(wireFile("stream.jsonl"), "utf8").trim().split("\n").map((l) => JSON.parse(l) as Event);
  const world = new World();
  let ticks = 0;
  let mismatches = 0;
  for (const [line, e] of events.entries()) {
    if (e.In === undefined) {
      assert.equal(hex(world.input(e.X ?? 0, e.Y ?? 0, e.Buttons ?? 0, e.At)), e.Out, `line ${line + 1}`);
      continue;
    }
    const got: Event = { At: e.At, In: e.In };
    try {
      const u = world.receive(unhex(e.In), e.At);
      if (u.welcomed) got.Welcomed = true;
      if (u.mismatch) got.Mismatch = true;
      if (u.verified) got.Verified = u.verified;
      if (u.roundTrip !== undefined) got.Round = u.roundTrip;
      if (u.tick !== undefined) {
        got.Tick = u.tick;
        got.Entities = world.view!.count;
        got.Hash = hashText(world.view!.hash(world.welcome!.schema));
        ticks++;
      }
    } catch {
      got.Failed = true;
    }
    assert.deepEqual(got, e, `line ${line + 1}`);
    if (got.Mismatch) mismatches++;
  }
  assert.ok(ticks >= 100, `${ticks} ticks`);
  assert.equal(mismatches, 1);
});

// What comes from the network never breaks a client, and it finds its way back.
test("spoilt payloads are refused without harm", () => {
  const payloads = readFileSync(wireFile("stream.jsonl"), "utf8").trim().split("\n")
    .map((l) => JSON.parse(l) as Event).filter((e) => e.In !== undefined && !e.Failed && !e.Mismatch);
  let seed = 1;
  const random = (n: number): number => {
    seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
    return Math.floor((seed / 2 ** 32) * n);
  };
  const world = new World();
  let refused = 0;
  for (const e of payloads) {
    for (let i = 0; i < 20; i++) {
      const bad = unhex(e.In!);
      for (let j = 0; j <= random(4); j++) bad[1 + random(bad.length - 1)]! ^= 1 << random(8);
      try {
        world.receive(bad.subarray(0, 1 + random(bad.length)), e.At);
      } catch (err) {
        assert.equal((err as Error).name, "WireError");
        refused++;
      }
      assert.ok((world.view?.count ?? 0) <= 4096);
    }
    try {
      world.receive(unhex(e.In!), e.At);
    } catch {
      // of a base that a spoilt payload made
    }
  }
  assert.ok(refused > 100, `${refused} refused`);
});
