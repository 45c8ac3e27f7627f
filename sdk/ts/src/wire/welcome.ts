import { ByteReader, utf8Of } from "./bits.ts";
import { invalid, Message, messageOf, PROTOCOL, unsupported } from "./message.ts";
import { parseSchema, type Schema } from "./schema.ts";

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

/** Reads the message. @internal */
export function parseWelcome(b: Uint8Array): Welcome {
  if (messageOf(b) !== Message.Welcome) throw invalid(`not a welcome of ${b.length} bytes`);
  const r = new ByteReader(b);
  r.byte();
  const protocol = r.uint16();
  if (!r.short && protocol !== PROTOCOL) {
    throw unsupported(`the server speaks protocol ${protocol}, this client ${PROTOCOL}`);
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
