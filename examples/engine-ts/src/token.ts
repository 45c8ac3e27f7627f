// The join token that every player brings: a netcode 1.02 connect token, sealed
// with the session's key by XChaCha20-Poly1305. Its user data says who he is.

import { createDecipheriv } from "node:crypto";

export const TOKEN_SIZE = 2048;
const VERSION = Buffer.from("NETCODE 1.02\0");
const PRIVATE_AT = 13 + 8 + 8 + 8 + 24;
const PRIVATE_SIZE = 1024;
const TAG_SIZE = 16;
const USER_DATA = 256;

/** What a join token says of its bearer. */
export interface Claims {
  epoch: number;
  expires: number; // Unix milliseconds by the registry's clock
  version: number;
  partySize: number;
  session: string;
  player: string;
  ticket: { caller: string; ticket: string };
  reconnect: boolean;
}

/** Opens a token with the session's key. It throws when the token is no good. */
export function openToken(token: Buffer, key: Buffer): Claims {
  if (token.length !== TOKEN_SIZE || !token.subarray(0, 13).equals(VERSION)) throw new Error("this is no join token");
  const nonce = token.subarray(37, 61);
  const sealed = token.subarray(PRIVATE_AT, PRIVATE_AT + PRIVATE_SIZE);
  // The seal covers the version, the protocol's number and the expiry, too.
  const covered = Buffer.concat([VERSION, token.subarray(13, 21), token.subarray(29, 37)]);
  const cipher = createDecipheriv("chacha20-poly1305", hchacha20(key, nonce.subarray(0, 16)),
    Buffer.concat([Buffer.alloc(4), nonce.subarray(16)]), { authTagLength: TAG_SIZE });
  cipher.setAAD(covered, { plaintextLength: PRIVATE_SIZE - TAG_SIZE });
  cipher.setAuthTag(sealed.subarray(PRIVATE_SIZE - TAG_SIZE));
  const open = Buffer.concat([cipher.update(sealed.subarray(0, PRIVATE_SIZE - TAG_SIZE)), cipher.final()]);
  return parseClaims(userData(open));
}

/** Finds the user data, after the client's number, its timeout, the addresses and two keys. */
function userData(open: Buffer): Buffer {
  let at = 12;
  const servers = open.readUInt32LE(at);
  at += 4;
  if (servers < 1 || servers > 32) throw new Error("the token's addresses make no sense");
  for (let i = 0; i < servers; i++) at += open[at] === 1 ? 1 + 4 + 2 : 1 + 16 + 2;
  at += 64;
  return open.subarray(at, at + USER_DATA);
}

/** Reads bits, the least significant first. */
class Bits {
  private at = 0;
  constructor(private readonly data: Buffer) {}

  bits(n: number): number {
    let value = 0;
    for (let i = 0; i < n; i++, this.at++) {
      const byte = this.data[this.at >> 3];
      if (byte === undefined) throw new Error("the claims end too early");
      value += ((byte >> (this.at & 7)) & 1) * 2 ** i;
    }
    return value;
  }

  name(): string {
    const length = this.bits(7);
    return Array.from({ length }, () => String.fromCharCode(this.bits(7))).join("");
  }
}

/** Reads claims; what a place's signals need is left out. */
export function parseClaims(data: Buffer): Claims {
  const r = new Bits(data);
  if (r.bits(8) !== 1) throw new Error("the claims have a format that is not known");
  const long = (): number => r.bits(32) + r.bits(32) * 2 ** 32; // below 2^53
  const epoch = long();
  const expires = long();
  const version = r.bits(32);
  const partySize = r.bits(8);
  const session = r.name();
  const player = r.name();
  const caller = r.bits(1) === 1 ? player : r.name();
  const ticket = r.name();
  const reconnect = r.bits(1) === 1;
  return { epoch, expires, version, partySize, session, player, ticket: { caller, ticket }, reconnect };
}

/** HChaCha20 makes the key of XChaCha20's inner cipher (draft-irtf-cfrg-xchacha, section 2.2). */
export function hchacha20(key: Buffer, nonce: Buffer): Buffer {
  const s = new Uint32Array(16);
  s.set([0x61707865, 0x3320646e, 0x79622d32, 0x6b206574]);
  for (let i = 0; i < 8; i++) s[4 + i] = key.readUInt32LE(4 * i);
  for (let i = 0; i < 4; i++) s[12 + i] = nonce.readUInt32LE(4 * i);
  const turn = (x: number, n: number): number => (x << n) | (x >>> (32 - n));
  const quarter = (a: number, b: number, c: number, d: number): void => {
    s[a] = s[a]! + s[b]!; s[d] = turn(s[d]! ^ s[a]!, 16);
    s[c] = s[c]! + s[d]!; s[b] = turn(s[b]! ^ s[c]!, 12);
    s[a] = s[a]! + s[b]!; s[d] = turn(s[d]! ^ s[a]!, 8);
    s[c] = s[c]! + s[d]!; s[b] = turn(s[b]! ^ s[c]!, 7);
  };
  for (let i = 0; i < 10; i++) {
    quarter(0, 4, 8, 12); quarter(1, 5, 9, 13); quarter(2, 6, 10, 14); quarter(3, 7, 11, 15);
    quarter(0, 5, 10, 15); quarter(1, 6, 11, 12); quarter(2, 7, 8, 13); quarter(3, 4, 9, 14);
  }
  const out = Buffer.alloc(32);
  [0, 1, 2, 3, 12, 13, 14, 15].forEach((word, i) => out.writeUInt32LE(s[word]!, 4 * i));
  return out;
}
