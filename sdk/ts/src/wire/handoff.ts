import { ByteReader, utf8Of } from "./bits.ts";
import { invalid, Message, messageOf } from "./message.ts";
import { checkToken, TOKEN_SIZE } from "./reconnect.ts";

const MAX_CERTIFICATES = 4;

/** A seat in another session, see wire/handoff.go. */
export interface Handoff {
  readonly session: string;
  readonly place: string;
  readonly version: number;
  /** Whose ticket the seat is held under, and its name. */
  readonly caller: string;
  readonly ticket: string;
  /** Of a private session. */
  readonly code: string | undefined;
  readonly webTransport: { readonly url: string; readonly certificates: readonly Uint8Array[] } | undefined;
  /** Whether the door relays WebSockets to it. */
  readonly socket: boolean;
  /** 2048 bytes. */
  readonly token: Uint8Array;
}

/** Reads the message. @internal */
export function parseHandoff(b: Uint8Array): Handoff {
  if (messageOf(b) !== Message.Handoff) throw invalid(`not a handoff of ${b.length} bytes`);
  const r = new ByteReader(b);
  r.byte();
  const session = utf8Of(r.word());
  const place = utf8Of(r.word());
  const version = r.uint32();
  const caller = utf8Of(r.word());
  const ticket = utf8Of(r.word());
  const code = utf8Of(r.word());
  const socket = (r.byte() & 1) !== 0;
  const url = utf8Of(r.take(r.uint16()));
  const certificates: Uint8Array[] = [];
  const count = r.byte();
  if (count > MAX_CERTIFICATES) throw invalid(`a handoff has ${count} certificates`);
  for (let i = 0; i < count; i++) certificates.push(r.take(32).slice());
  const used = r.take(r.uint16());
  if (r.short || used.length > TOKEN_SIZE) throw invalid(`a handoff of ${b.length} bytes ends too early`);
  if (url !== "" && !url.startsWith("https://")) throw invalid("a handoff's URL is none of WebTransport");
  const token = new Uint8Array(TOKEN_SIZE);
  token.set(used);
  checkToken(token);
  return {
    session, place, version, caller, ticket, code: code === "" ? undefined : code, socket, token,
    webTransport: url === "" ? undefined : { url, certificates },
  };
}
