/** The kinds of errors of a door, for programs. */
export type ErrorCode =
  | "internal" | "invalid" | "denied" | "not_found" | "exists" | "conflict" | "full" | "no_capacity"
  | "contention" | "rate_limited" | "unavailable" | "unsupported";

const codes: readonly string[] = [
  "internal", "invalid", "denied", "not_found", "exists", "conflict", "full", "no_capacity",
  "contention", "rate_limited", "unavailable", "unsupported",
] satisfies ErrorCode[];

/** An answer of a door that is an error, or no answer (`unavailable`). */
export class DoorError extends Error {
  /** For programs. A code that is not known here is `internal`. */
  readonly code: ErrorCode;
  /** In words; the same as message. */
  readonly detail: string;
  /** Where the fault is, like `party[2]`; "" if it is nowhere. */
  readonly field: string;
  /** Seconds to wait before the call is repeated; 0: not said. */
  readonly retryAfter: number;

  constructor(code: ErrorCode, detail: string, more: { field?: string | undefined; retryAfter?: number | undefined } = {}) {
    super(detail);
    this.name = "DoorError";
    this.code = code;
    this.detail = detail;
    this.field = more.field ?? "";
    this.retryAfter = more.retryAfter ?? 0;
  }

  /**
   * Says whether the same call may go through later: it is safe to repeat. `no_capacity` without a time to come again is
   * final: the ticket's session never started, and it takes a new ticket.
   */
  get passes(): boolean {
    if (this.code === "no_capacity") return this.retryAfter > 0;
    return ["unavailable", "contention", "rate_limited"].includes(this.code);
  }
}

/** Makes the error again that the door had. @internal */
export async function problemOf(resp: Response): Promise<DoorError> {
  const header = Number(resp.headers.get("Retry-After") ?? 0);
  const retryAfter = header >= 0 && header <= 3600 ? header : 0;
  // What is no JSON is no door's answer, but a proxy's.
  const p = (await resp.json().catch(() => undefined)) as Partial<Record<"code" | "detail" | "field" | "retry_after", unknown>> | undefined;
  if (typeof p?.code !== "string") {
    return new DoorError(codeOf(resp.status), `the answer is HTTP status ${resp.status}`, { retryAfter });
  }
  const field = typeof p.field === "string" ? p.field : "";
  const detail = typeof p.detail === "string" ? p.detail : p.code;
  return new DoorError(codes.includes(p.code) ? (p.code as ErrorCode) : "internal", detail, {
    field,
    retryAfter: typeof p.retry_after === "number" && p.retry_after > 0 ? p.retry_after : retryAfter,
  });
}

function codeOf(status: number): ErrorCode {
  switch (status) {
    case 502: case 503: case 504: return "unavailable";
    case 429: return "rate_limited";
    case 401: case 403: return "denied";
    case 404: return "not_found";
    default: return status >= 400 && status < 500 ? "invalid" : "internal";
  }
}
