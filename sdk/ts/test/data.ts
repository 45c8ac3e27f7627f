import { fileURLToPath } from "node:url";
import type { Hash } from "../src/wire/view.ts";

/** A file of wire/testdata; tests run from sdk/ts/build/test. */
export function wireFile(name: string): string {
  return fileURLToPath(new URL(`../../../../wire/testdata/${name}`, import.meta.url));
}

export function hex(b: Uint8Array): string {
  return Buffer.from(b).toString("hex");
}

export function unhex(s: string): Uint8Array {
  return new Uint8Array(Buffer.from(s, "hex"));
}

export function hashText(h: Hash): string {
  return h.upper.toString(16).padStart(8, "0") + h.lower.toString(16).padStart(8, "0");
}
