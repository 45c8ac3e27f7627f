// The bytes in wire/testdata, which Go makes and reads too.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Decoder } from "../src/wire/apply.ts";
import { parseBye } from "../src/wire/bye.ts";
import { encodeInput } from "../src/wire/input.ts";
import { parseHandoff } from "../src/wire/handoff.ts";
import { PROTOCOL } from "../src/wire/message.ts";
import { encodePlace, parsePlace } from "../src/wire/place.ts";
import { parseReconnect, reconnectToken } from "../src/wire/reconnect.ts";
import { parseSchema, turnOf } from "../src/wire/schema.ts";
import { parseSnapshot } from "../src/wire/snapshot.ts";
import { View } from "../src/wire/view.ts";
import { parseWelcome } from "../src/wire/welcome.ts";
import { hashText, hex, unhex, wireFile } from "./data.ts";

interface Golden {
  About: string;
  // eslint-disable-next-line
  Value: any;
  Hex: string;
}

const golden = (file: string): Golden[] => JSON.parse(readFileSync(wireFile(file), "utf8")) as Golden[];

test("inputs are written as Go writes them", () => {
  const cases = golden("messages.json").filter((c) => c.About.startsWith("input"));
  assert.ok(cases.length >= 2);
  for (const { Value: v, Hex } of cases) {
    const moves = v.Moves.slice(0, v.Count).map((m: { X: number; Y: number; Buttons: number }) => ({ x: m.X, y: m.Y, buttons: m.Buttons }));
    const got = encodeInput({ sequence: v.Sequence, ack: v.Ack, came: v.Came, sent: v.Sent, moves });
    assert.equal(hex(got), Hex);
  }
});

test("snapshots' headers are read", () => {
  const cases = golden("messages.json").filter((c) => c.About === "snapshot");
  assert.ok(cases.length >= 4);
  for (const { Value: v, Hex } of cases) {
    const s = parseSnapshot(unhex(Hex), v.Tick - 100);
    assert.deepEqual(
      { Tick: s.tick, Since: s.since ?? 0, Young: s.since !== undefined, Input: s.input, Body: hex(s.body), Hash: s.hash ?? 0 },
      { Tick: v.Tick, Since: v.Since, Young: v.Young, Input: v.Input, Body: v.Body, Hash: v.Hash },
    );
    assert.deepEqual(s.echo, v.HasEcho ? { sent: v.Sent, hold: v.Hold } : undefined);
    assert.equal(s.hash !== undefined, v.HasHash);
  }
});

test("handoffs are read, and what is no handoff is invalid", () => {
  const cases = golden("handoff.json");
  const want = cases.pop()!;
  const message = unhex(cases[0]!.Hex);
  const h = parseHandoff(message);
  assert.deepEqual({
    Session: h.session, Place: h.place, Version: h.version, Caller: h.caller, Ticket: h.ticket, Code: h.code, URL: h.webTransport!.url,
    Certificates: h.webTransport!.certificates.map(hex), Socket: h.socket,
  }, want.Value);
  assert.equal(hex(h.token), want.Hex);
  for (const n of [0, 1, 50, message.length - 1]) {
    assert.throws(() => parseHandoff(message.subarray(0, n)), { name: "WireError", code: "invalid" });
  }
});

test("places' messages are read and written as Go does", () => {
  const c = golden("messages.json").find((c) => c.About === "a place's message")!;
  const m = parsePlace(unhex(c.Hex));
  const want = Object.fromEntries(c.Value.Fields.map((f: { Name: string; Value: boolean | number | string }) => [f.Name, f.Value]));
  assert.equal(m.name, c.Value.Name);
  assert.deepEqual({ ...m.fields }, want);
  assert.equal(hex(encodePlace(m.name, { ...m.fields })), c.Hex);
  for (let n = 0; n < c.Hex.length / 2; n++) assert.throws(() => parsePlace(unhex(c.Hex).subarray(0, n)), { code: "invalid" });
  const long = "a".repeat(512);
  const many = Object.fromEntries(Array.from({ length: 17 }, (_, i) => [`f${i}`, true]));
  const bad: [string, Record<string, boolean | number | string>][] = [
    ["", {}], ["n".repeat(33), {}], ["x", { a: NaN }], ["x", { a: `${long}a` }], ["x", { a: long, b: long }], ["x", many],
  ];
  for (const [name, fields] of bad) assert.throws(() => encodePlace(name, fields), { code: "invalid" });
});

test("byes are read", () => {
  const [c] = golden("messages.json").filter((c) => c.About === "bye");
  assert.deepEqual(parseBye(unhex(c!.Hex)), { reason: "evicted", text: c!.Value.Text });
  assert.equal(parseBye(new Uint8Array([3, 99])).reason, "unknown");
});

test("welcomes are read, with their kinds", () => {
  const cases = golden("messages.json").filter((c) => c.About.startsWith("welcome"));
  assert.equal(cases.length, 3);
  const welcomes = cases.map((c) => parseWelcome(unhex(c.Hex)));
  const { schema, ...rest } = welcomes[0]!;
  assert.deepEqual(rest, { protocol: PROTOCOL, tickRate: 30, capacity: 50, player: "ada", session: "ses_local_7f", place: "arena", version: 3 });
  assert.equal(schema.kinds.length, 0);
  assert.deepEqual(welcomes[1]!.schema.kinds.map((k) => k.name), ["avatar", "flag", "mark"]);
  const still = { speed: 0, radius: 0, turns: false, solid: false };
  assert.deepEqual(welcomes[2]!.schema.kinds.map((k) => k.gait), [
    { ...still, speed: 6, radius: 0.5, turns: true }, { ...still, solid: true }, { ...still, solid: true }, { ...still, speed: 2.5 },
  ]);
  assert.deepEqual(welcomes[2]!.schema.kinds[0]!.fields.map(turnOf), [0, 0, 2 * Math.PI]);
  assert.throws(() => parseWelcome(unhex(cases[1]!.Hex.slice(0, -2))), { name: "WireError", code: "invalid" });
});

test("a welcome of another protocol is unsupported", () => {
  const future = unhex(golden("messages.json").find((c) => c.About === "welcome without kinds")!.Hex);
  future[1] = PROTOCOL + 1;
  assert.throws(() => parseWelcome(future), { name: "WireError", code: "unsupported" });
});

function schemaOfDelta() {
  return parseSchema(unhex(golden("delta.json")[0]!.Hex));
}

test("views are decoded as Go decodes them", () => {
  const schema = schemaOfDelta();
  const decoder = new Decoder(schema);
  const view = new View();
  const cases = golden("delta.json").slice(1);
  assert.ok(cases.length >= 30);
  for (const c of cases) {
    const s = parseSnapshot(unhex(c.Hex), decoder.tick);
    decoder.apply(s);
    assert.equal(decoder.hash(), s.hash, `tick ${s.tick}`);
    decoder.fill(view);
    const entities = Array.from({ length: view.count }, (_, i) => {
      const k = schema.kinds[view.kinds[i]!]!;
      return {
        ID: view.ids[i], Kind: view.kinds[i], Owner: view.owners[i],
        Values: Array.from(view.values.subarray(view.valueAt[i]!, view.valueAt[i]! + k.values)),
        Texts: view.texts.slice(view.textAt[i], view.textAt[i]! + k.texts).map((s) => Buffer.from(s, "latin1").toString()),
      };
    });
    assert.deepEqual(entities, c.Value.Entities ?? [], `tick ${s.tick}`);
    assert.equal(hashText(view.hash(schema)), c.Value.Hash, `tick ${s.tick}`);
  }
});

test("a body that was not made for what is here is refused", () => {
  const decoder = new Decoder(schemaOfDelta());
  const last = golden("delta.json").at(-1)!;
  assert.throws(() => decoder.apply(parseSnapshot(unhex(last.Hex), last.Value.Tick)), { code: "invalid" });
  assert.equal(decoder.tick, 0);
});

test("a reconnect message and the first token make the next token", () => {
  const cases = golden("reconnect.json");
  assert.ok(cases.length >= 6);
  for (let i = 0; i < cases.length; i += 3) {
    const r = parseReconnect(unhex(cases[i]!.Hex));
    assert.equal(r.expire, Number(cases[i]!.Value.Expire));
    assert.equal(hex(reconnectToken(r, unhex(cases[i + 1]!.Hex))), cases[i + 2]!.Hex);
  }
  assert.throws(() => parseReconnect(unhex(cases[0]!.Hex).subarray(1)), { code: "invalid" });
  assert.throws(() => reconnectToken(parseReconnect(unhex(cases[0]!.Hex)), new Uint8Array(2048)), { code: "invalid" });
});
