import { utf8Of } from "./bits.ts";
import { invalid, Message, messageOf } from "./message.ts";

const MAX_BYE_TEXT = 200; // bytes

/** Why a server ends a connection. */
export type ByeReason = "ended" | "kicked" | "evicted" | "full" | "denied" | "draining" | "behind" | "unknown";

const reasons: readonly ByeReason[] = ["unknown", "ended", "kicked", "evicted", "full", "denied", "draining", "behind"];

/** The last that a server says. */
export interface Bye {
  /**
   * `ended`: the session is over. `kicked`: the place or an operator put the
   * player out. `evicted`: a newer join of the player took the seat. `full`: no
   * free seat. `denied`: the join token is not good here any more. `draining`:
   * the session takes no more players. `behind`: the client took nothing of what
   * it was sent.
   */
  readonly reason: ByeReason;
  /** For people. */
  readonly text: string;
}

/** Reads the message. @internal */
export function parseBye(payload: Uint8Array): Bye {
  if (messageOf(payload) !== Message.Bye || payload.length < 2 || payload.length > 2 + MAX_BYE_TEXT) {
    throw invalid(`not a bye of ${payload.length} bytes`);
  }
  return { reason: reasons[payload[1]!] ?? "unknown", text: utf8Of(payload.subarray(2)) };
}
