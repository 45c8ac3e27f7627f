/** The number of the language that this client speaks; the welcome says the server's. */
export const PROTOCOL = 5;

/** Bytes of one message at most. */
export const MAX_PAYLOAD = 1150;
/** Ticks that both sides keep for later snapshots to refer to. */
export const HISTORY = 32;

/** The first byte of a state, a message or a last word. Receivers ignore those that they do not know. */
export const Message = {
  None: 0,
  Welcome: 1,
  Snapshot: 2,
  Bye: 3,
  Input: 4,
  Reconnect: 5,
  Handoff: 6,
  Place: 7,
} as const;

/** Says which message a payload is. */
export function messageOf(payload: Uint8Array): number {
  return payload.length === 0 ? Message.None : payload[0]!;
}

/**
 * A payload that makes no sense (`invalid`), or is of another protocol than
 * this client's (`unsupported`): reload the page to get the newer client.
 */
export class WireError extends Error {
  readonly code: "invalid" | "unsupported";

  constructor(code: "invalid" | "unsupported", message: string) {
    super(message);
    this.name = "WireError";
    this.code = code;
  }
}

/** @internal */
export function invalid(message: string): WireError {
  return new WireError("invalid", message);
}

/** @internal */
export function unsupported(message: string): WireError {
  return new WireError("unsupported", message);
}
