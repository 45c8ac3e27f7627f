import { ByteReader, utf8Of } from "./bits.ts";
import { invalid, Message, PROTOCOL, WireError } from "./message.ts";
import { joinParts, parsePart, type Part } from "./part.ts";
import { parseSchema, type Schema } from "./schema.ts";

const MAX_WELCOME_PARTS = 8;

/** What the server says first. */
export interface Welcome {
  readonly protocol: number;
  /** Ticks a second. */
  readonly tickRate: number;
  /** Seats of the session. */
  readonly capacity: number;
  readonly player: string;
  readonly session: string;
  readonly place: string;
  readonly version: number;
  readonly schema: Schema;
}

/** Reads one payload of the message. @internal */
export function parseWelcomePart(payload: Uint8Array): Part {
  return parsePart(payload, Message.Welcome, MAX_WELCOME_PARTS);
}

/** Puts the content together from all parts' data, in order. @internal */
export function joinWelcome(sum: number, data: readonly Uint8Array[]): Welcome {
  return parseWelcome(joinParts(sum, data));
}

function parseWelcome(b: Uint8Array): Welcome {
  const r = new ByteReader(b);
  const protocol = r.uint16();
  if (!r.short && protocol !== PROTOCOL) {
    throw new WireError("unsupported", `the server speaks protocol ${protocol}, this client ${PROTOCOL}`);
  }
  const tickRate = r.byte();
  const capacity = r.uint16();
  const player = utf8Of(r.word());
  const session = utf8Of(r.word());
  const place = utf8Of(r.word());
  const version = r.uint32();
  if (r.short) throw invalid(`a welcome of ${b.length} bytes ends too early`);
  return { protocol, tickRate, capacity, player, session, place, version, schema: parseSchema(b.subarray(r.at)) };
}
