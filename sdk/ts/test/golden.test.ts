// The bytes in wire/testdata, which Go makes and reads too.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Decoder } from "../src/wire/apply.ts";
import { parseBye } from "../src/wire/bye.ts";
import { encodeInput } from "../src/wire/input.ts";
import { joinHandoff, parseHandoffPart } from "../src/wire/handoff.ts";
import { parseReconnect, reconnectToken } from "../src/wire/reconnect.ts";
import { parseSchema } from "../src/wire/schema.ts";
import { parseSnapshot } from "../src/wire/snapshot.ts";
import { View } from "../src/wire/view.ts";
import { joinWelcome, parseWelcomePart } from "../src/wire/welcome.ts";
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
    const got = encodeInput({ sequence: v.Sequence, ack: v.Ack, welcomed: v.Welcomed, sent: v.Sent, moves, reconnect: v.Reconnect });
    assert.equal(hex(got), Hex);
  }
});

test("snapshots' headers are read", () => {
  const cases = golden("messages.json").filter((c) => c.About === "snapshot");
  assert.ok(cases.length >= 4);
  for (const { Value: v, Hex } of cases) {
    const s = parseSnapshot(unhex(Hex));
    assert.deepEqual(
      { Tick: s.tick, Part: s.part, Parts: s.parts, Base: s.base, Older: s.older, Body: hex(s.body) },
      { Tick: v.Tick, Part: v.Part, Parts: v.Parts, Base: v.Base, Older: v.Older, Body: v.Body },
    );
    assert.equal(s.about.input, v.About.Input);
    assert.equal(s.about.through, v.About.Through);
    assert.deepEqual(s.about.echo, v.About.HasEcho ? { sent: v.About.Sent, hold: v.About.Hold } : undefined);
    assert.equal(s.about.hash && hashText(s.about.hash), v.About.HasHash ? v.Hash : undefined);
  }
});

test("handoffs are read, and what is no handoff is invalid", () => {
  const cases = golden("handoff.json");
  const want = cases.pop()!;
  const parts = cases.map((c) => parseHandoffPart(unhex(c.Hex)));
  assert.ok(parts.length >= 2 && parts.every((p, i) => p.part === i && p.parts === parts.length));
  const h = joinHandoff(parts[0]!.sum, parts.map((p) => p.data));
  assert.deepEqual({
    Session: h.session, Place: h.place, Version: h.version, Caller: h.caller, Ticket: h.ticket, Code: h.code, URL: h.webTransport!.url,
    Certificates: h.webTransport!.certificates.map(hex), Socket: h.socket,
  }, want.Value);
  assert.equal(hex(h.token), want.Hex);
  assert.throws(() => joinHandoff(parts[0]!.sum, [parts[0]!.data]), { name: "WireError", code: "invalid" });
  const five = unhex(cases[0]!.Hex);
  five[1] = 4 << 4;
  assert.throws(() => parseHandoffPart(five), { name: "WireError", code: "invalid" });
});

test("byes are read", () => {
  const [c] = golden("messages.json").filter((c) => c.About === "bye");
  assert.deepEqual(parseBye(unhex(c!.Hex)), { reason: "evicted", text: c!.Value.Text });
  assert.equal(parseBye(new Uint8Array([3, 99])).reason, "unknown");
});

test("welcomes are read, with their kinds", () => {
  const cases = golden("messages.json").filter((c) => c.About.startsWith("welcome"));
  assert.equal(cases.length, 2);
  const welcomes = cases.map((c) => {
    const p = parseWelcomePart(unhex(c.Hex));
    return joinWelcome(p.sum, [p.data]);
  });
  const { schema, ...rest } = welcomes[0]!;
  assert.deepEqual(rest, { protocol: 1, tickRate: 30, capacity: 50, player: "ada", session: "ses_local_7f", place: "arena", version: 3 });
  assert.equal(schema.kinds.length, 0);
  assert.deepEqual(welcomes[1]!.schema.kinds.map((k) => k.name), schemaOfDelta().kinds.map((k) => k.name));
  const spoilt = unhex(cases[1]!.Hex);
  spoilt[40]! ^= 1;
  const p = parseWelcomePart(spoilt);
  assert.throws(() => joinWelcome(p.sum, [p.data]), { name: "WireError", code: "invalid" });
});

test("a welcome of another protocol is unsupported", () => {
  const p = parseWelcomePart(unhex(golden("messages.json").find((c) => c.About === "welcome without kinds")!.Hex));
  const data = p.data.slice();
  data[0] = 2;
  let sum = -1;
  for (const byte of data) {
    sum ^= byte;
    for (let i = 0; i < 8; i++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  assert.throws(() => joinWelcome(~sum >>> 0, [data]), { name: "WireError", code: "unsupported" });
});

function schemaOfDelta() {
  return parseSchema(unhex(golden("delta.json")[0]!.Hex));
}

test("views are decoded from bases and trends", () => {
  const schema = schemaOfDelta();
  const decoder = new Decoder(schema);
  const seen = new Map<number, View>();
  for (const c of golden("delta.json").slice(1)) {
    const [, tick, base, older] = /^tick (\d+) from (?:nothing|base (\d+)(?:, older (\d+))?)$/.exec(c.About) ?? [];
    const view = new View();
    const head = { tick: Number(tick), part: 0, parts: 1, base: Number(base ?? 0), older: Number(older ?? 0), body: new Uint8Array(0), about: { input: 0, through: 0, echo: undefined, hash: undefined } };
    decoder.apply(view, head, seen.get(head.base), seen.get(head.older), [unhex(c.Hex)]);
    const entities = Array.from({ length: view.count }, (_, i) => {
      const k = schema.kinds[view.kinds[i]!]!;
      return {
        ID: view.ids[i], Kind: view.kinds[i], Owner: view.owners[i],
        Values: Array.from(view.values.subarray(view.valueAt[i]!, view.valueAt[i]! + k.values)),
        Texts: view.texts.slice(view.textAt[i], view.textAt[i]! + k.texts).map((s) => Buffer.from(s, "latin1").toString()),
      };
    });
    assert.deepEqual(entities, c.Value.Entities, c.About);
    assert.equal(hashText(view.hash(schema)), c.Value.Hash, c.About);
    seen.set(view.tick, view);
  }
});

test("a body that was not made for its base is refused", () => {
  const schema = schemaOfDelta();
  const change = golden("delta.json").find((c) => c.About === "tick 3 from base 1")!;
  const head = parseSnapshot(unhex("0203000000000000000000"));
  assert.throws(() => new Decoder(schema).apply(new View(), head, undefined, undefined, [unhex(change.Hex)]), { code: "invalid" });
});

test("a reconnect message and the first token make the next token", () => {
  const cases = golden("reconnect.json");
  assert.ok(cases.length >= 6);
  for (let i = 0; i < cases.length; i += 3) {
    const r = parseReconnect(unhex(cases[i]!.Hex));
    assert.equal(r.number, cases[i]!.Value.Number);
    assert.equal(r.expire, Number(cases[i]!.Value.Expire));
    assert.equal(hex(reconnectToken(r, unhex(cases[i + 1]!.Hex))), cases[i + 2]!.Hex);
  }
  assert.throws(() => parseReconnect(unhex(cases[0]!.Hex).subarray(1)), { code: "invalid" });
  assert.throws(() => reconnectToken(parseReconnect(unhex(cases[0]!.Hex)), new Uint8Array(2048)), { code: "invalid" });
});
