// What Go's ends of reliable and channel do, which this client's have to do too.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Channel, parseFrame } from "../src/wire/channel.ts";
import { Endpoint, writeHeader } from "../src/wire/reliable.ts";
import { hex, unhex, wireFile } from "./data.ts";

/** Runs the commands of a file, and wants what it says came of them. */
function replay(file: string, run: (command: string) => string[]): number {
  const lines = readFileSync(wireFile(`../${file}`), "utf8").trimEnd().split("\n");
  let commands = 0;
  for (let i = 0; i < lines.length; commands++) {
    const at = i;
    const command = lines[i++]!;
    const want: string[] = [];
    for (; i < lines.length && lines[i]!.startsWith("\t"); i++) want.push(lines[i]!.slice(1));
    assert.deepEqual(run(command), want, `${file}, line ${at + 1}: ${command.slice(0, 80)}`);
  }
  return commands;
}

test("packets are those of the C reference of reliable", () => {
  const ends = ["a", "b"].map(() => {
    let out: string[] = [];
    let acks: string[] = [];
    const end = new Endpoint({ maxPacket: 2000, fragmentAbove: 100, fragmentSize: 100, assemblies: 64 });
    return (command: string): string[] => {
      out = [];
      acks = [];
      const [verb, ...args] = command.split(" ");
      if (verb === "header") {
        const [sequence, ack, bits] = args.map(Number) as [number, number, number];
        const b = new Uint8Array(9);
        return [`datagram ${hex(b.subarray(0, writeHeader(b, 0, { sequence, ack, bits })))}`];
      }
      const data = unhex(args[0]!);
      if (verb === "send") end.send(data, (d) => out.push(`datagram ${hex(d)}`));
      else {
        end.receive(data, {
          packet: (h, c) => (out.push(`packet ${h.sequence} ${hex(c)}`), c[0] !== 0xee),
          acked: (s) => acks.push(`acked ${s}`),
        });
      }
      return [...out, ...acks];
    };
  });
  assert.ok(replay("reliable/testdata/reference.txt", (c) => ends[c.startsWith("a") ? 0 : 1]!(c.slice(2))) > 1000);
});

test("state and events are sent, repeated and taken as Go's client does", () => {
  let out: string[] = [];
  const channel = new Channel({
    state: (s) => (out.push(`state ${hex(s)}`), s[0] !== 0xee),
    message: (m) => out.push(`message ${hex(m)}`),
    last: (w) => out.push(`last ${hex(w)}`),
    acked: (tag) => out.push(`acked ${tag}`),
  });
  const commands = replay("channel/testdata/transcript.txt", (command) => {
    out = [];
    const [time, verb, data, tag] = command.split(" ");
    const bytes = unhex(data ?? "");
    if (verb === "queue") channel.queue(bytes);
    else if (verb === "receive") channel.receive(Number(time), bytes);
    else channel.flush(Number(time), bytes, Number(tag), (d) => out.push(`datagram ${hex(d)}`));
    return out;
  });
  assert.ok(commands > 900);
  assert.ok(channel.trip > 85 && channel.trip < 160, `round trip ${channel.trip}`);
});

test("what makes no sense is invalid", () => {
  for (const bad of ["", "10", "06", "08", "01", "0100", "01010000", "010100000902", "0101000003", "00aa", "0101000082800100"]) {
    assert.throws(() => parseFrame(unhex(bad)), { name: "WireError", code: "invalid" }, bad);
  }
});

test("a server that takes no messages is not waited for", () => {
  const channel = new Channel({ state: () => true, message: () => undefined, last: () => undefined, acked: () => undefined });
  for (let i = 0; i < 4; i++) channel.queue(new Uint8Array(16 << 10).fill(i).subarray(0, 16000));
  assert.throws(() => channel.queue(new Uint8Array(16000)), { code: "invalid" });
  assert.ok(channel.error !== undefined);
  const other = new Channel({ state: () => true, message: () => undefined, last: () => undefined, acked: () => undefined });
  other.queue(new Uint8Array(3));
  let bytes = 0;
  for (let now = 0; now < 12_000 && other.error === undefined; now += 33) other.flush(now, new Uint8Array(10), 1, (d) => (bytes += d.length));
  assert.match(other.error!.message, /acknowledged no message/);
  assert.ok(bytes < 20_000);
});
