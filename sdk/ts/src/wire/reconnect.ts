import { ByteReader } from "./bits.ts";
import { invalid, Message, messageOf } from "./message.ts";

const SIZE = 1 + 3 * 8 + 24 + 1024 + 4 + 2 * 32;
/** Bytes of a connect token. @internal */
export const TOKEN_SIZE = 2048;
const TOKEN_VERSION = "NETCODE 1.02\0";
const HEAD = 3 * 8 + 24 + 1024 + 4; // what stands before a token's addresses, after its version
const MAX_SERVERS = 32;

/**
 * A token with which a player whose connection was lost comes back into the seat,
 * without the server's addresses; see wire/reconnect.go.
 */
export interface Reconnect {
  /** Unix seconds, by the registry's clock. */
  readonly expire: number;
  /** What stands before a token's addresses, and after them. @internal */
  readonly head: Uint8Array;
  /** @internal */
  readonly keys: Uint8Array;
}

/** Reads the message. @internal */
export function parseReconnect(payload: Uint8Array): Reconnect {
  if (messageOf(payload) !== Message.Reconnect || payload.length !== SIZE) {
    throw invalid(`not a reconnect of ${payload.length} bytes`);
  }
  const r = new ByteReader(payload.subarray(9));
  const create = r.uint64();
  const expire = r.uint64();
  if (create > expire) throw invalid("a reconnect token expires before it was made");
  return { expire, head: payload.slice(1, 1 + HEAD), keys: payload.slice(1 + HEAD) };
}

/** Makes the connect token, 2048 bytes, for the addresses of the one that the client came with. */
export function reconnectToken(r: Reconnect, first: Uint8Array): Uint8Array {
  const addresses = addressesOf(first);
  const out = new Uint8Array(TOKEN_SIZE);
  out.set(Uint8Array.from(TOKEN_VERSION, (c) => c.charCodeAt(0)));
  out.set(r.head, TOKEN_VERSION.length);
  out.set(addresses, TOKEN_VERSION.length + HEAD);
  out.set(r.keys, TOKEN_VERSION.length + HEAD + addresses.length);
  return out;
}

/** Throws when these bytes are no connect token. @internal */
export function checkToken(token: Uint8Array): void {
  addressesOf(token);
}

/** The addresses of a connect token as they stand in it. */
function addressesOf(token: Uint8Array): Uint8Array {
  for (let i = 0; i < TOKEN_VERSION.length; i++) {
    if (token.length !== TOKEN_SIZE || token[i] !== TOKEN_VERSION.charCodeAt(i)) {
      throw invalid(`${token.length} bytes are not a connect token of netcode 1.02`);
    }
  }
  const rest = token.subarray(TOKEN_VERSION.length + HEAD);
  const count = new ByteReader(rest).uint32();
  if (count < 1 || count > MAX_SERVERS) throw invalid(`a connect token names ${count} server addresses`);
  let n = 4;
  for (let i = 0; i < count; i++) {
    if (rest[n] === 1) n += 1 + 4 + 2;
    else if (rest[n] === 2) n += 1 + 16 + 2;
    else throw invalid("a server address of a connect token is neither IPv4 nor IPv6");
  }
  return rest.subarray(0, n);
}
