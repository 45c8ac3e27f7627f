// Solid things, and what becomes of a circle that moves among them: script/physics in
// Go, to the same numbers.

const SKIN = 1 / 4096; // what a moved circle keeps from what it ran against
const MAX_SLIDES = 4;
const MAX_PUSHES = 4;
const MAX_COORD = 1e6;
const MIN_EXTENT = 1e-3;

/** A box of half extents hx and hy around x, y, with corners rounded by r. @internal */
export interface Shape {
  readonly x: number;
  readonly y: number;
  readonly hx: number;
  readonly hy: number;
  readonly r: number;
}

interface Hit {
  t: number;
  nx: number;
  ny: number;
}

/** Whether a shape has a place and an extent, as a space asks for. @internal */
export function isShape(s: Shape): boolean {
  const extent = (v: number): boolean => v >= MIN_EXTENT && v <= MAX_COORD;
  return Math.abs(s.x) <= MAX_COORD && Math.abs(s.y) <= MAX_COORD && (s.r > 0 ? extent(s.r) : extent(2 * s.hx) && extent(2 * s.hy));
}

/** Moves a circle by dx, dy; it slides along solid shapes, and is pushed out of those that it is in. @internal */
export function slide(solid: readonly Shape[], x: number, y: number, r: number, dx: number, dy: number): { x: number; y: number } {
  const at = { x, y };
  push(solid, at, r);
  [dx, dy] = [clamp(dx), clamp(dy)];
  let lastX = 0;
  let lastY = 0;
  for (let i = 0; i < MAX_SLIDES; i++) {
    if (Math.sqrt(dx * dx + dy * dy) < SKIN / 16) break;
    const h = sweep(solid, at, r, dx, dy);
    if (h === undefined) {
      at.x += dx;
      at.y += dy;
      break;
    }
    // Stop a skin before it, measured against its face.
    const toward = -(dx * h.nx + dy * h.ny);
    const t = Math.max(h.t - SKIN / Math.max(toward, SKIN), 0);
    at.x += dx * t;
    at.y += dy * t;
    [dx, dy] = [dx * (1 - t), dy * (1 - t)];
    const into = dx * h.nx + dy * h.ny;
    [dx, dy] = [dx - h.nx * into, dy - h.ny * into];
    if (dx * lastX + dy * lastY < 0) break; // back into what it slid along: a corner
    [lastX, lastY] = [h.nx, h.ny];
  }
  return { x: clamp(at.x), y: clamp(at.y) };
}

function clamp(v: number): number {
  return Math.max(-MAX_COORD, Math.min(v, MAX_COORD));
}

/** Takes a circle out of what it is in, the deepest first. */
function push(solid: readonly Shape[], at: { x: number; y: number }, r: number): void {
  for (let i = 0; i < MAX_PUSHES; i++) {
    let worst: [number, number, number] = [0, 0, 0];
    for (const s of solid) {
      if (far(s, at, r, 0, 0)) continue;
      const d = depth(s, r, at.x, at.y);
      if (d[0] > worst[0]) worst = d;
    }
    if (worst[0] === 0) return;
    at.x += worst[1] * (worst[0] + SKIN);
    at.y += worst[2] * (worst[0] + SKIN);
  }
}

/** The first shape that a circle on its way runs against. */
function sweep(solid: readonly Shape[], at: { x: number; y: number }, r: number, dx: number, dy: number): Hit | undefined {
  let best: Hit | undefined;
  for (const s of solid) {
    // What it is inside of could not be pushed out of, and may be left.
    if (far(s, at, r, dx, dy) || depth(s, r, at.x, at.y)[0] > 0) continue;
    const h = ray(s, r, at.x, at.y, dx, dy);
    if (h.t <= 1 && (best === undefined || h.t < best.t)) best = h;
  }
  return best;
}

/** Whether a shape is nowhere near a circle's way. */
function far(s: Shape, at: { x: number; y: number }, r: number, dx: number, dy: number): boolean {
  const reach = s.r + r + 2 * SKIN;
  return s.x + s.hx + reach < Math.min(at.x, at.x + dx) || s.x - s.hx - reach > Math.max(at.x, at.x + dx) ||
    s.y + s.hy + reach < Math.min(at.y, at.y + dy) || s.y - s.hy - reach > Math.max(at.y, at.y + dy);
}

function sign(v: number): number {
  return v < 0 || Object.is(v, -0) ? -1 : 1;
}

/** How deep a circle's middle is inside of where it must not be, and the shortest way out; 0: it is not. */
function depth(s: Shape, more: number, x: number, y: number): [number, number, number] {
  const r = s.r + more;
  const px = x - s.x;
  const py = y - s.y;
  const qx = Math.abs(px) - s.hx;
  const qy = Math.abs(py) - s.hy;
  if (qx > 0 && qy > 0) { // beside a corner
    const length = Math.sqrt(qx * qx + qy * qy);
    return length >= r ? [0, 0, 0] : [r - length, sign(px) * (qx / length), sign(py) * (qy / length)];
  }
  if (r - Math.max(qx, qy) <= 0) return [0, 0, 0];
  return qx > qy ? [r - qx, sign(px), 0] : [r - qy, 0, sign(py)];
}

/** Where a way first enters a shape that is so much larger; t is above 1: nowhere. */
function ray(s: Shape, more: number, x: number, y: number, dx: number, dy: number): Hit {
  const r = s.r + more;
  const best: Hit = { t: 2, nx: 0, ny: 0 };
  slab(best, x - s.x, y - s.y, dx, dy, s.hx + r, s.hy);
  slab(best, x - s.x, y - s.y, dx, dy, s.hx, s.hy + r);
  corner(best, x - (s.x + s.hx), y - (s.y + s.hy), dx, dy, r);
  if (s.hx > 0) corner(best, x - (s.x - s.hx), y - (s.y + s.hy), dx, dy, r);
  if (s.hy > 0) corner(best, x - (s.x + s.hx), y - (s.y - s.hy), dx, dy, r);
  if (s.hx > 0 && s.hy > 0) corner(best, x - (s.x - s.hx), y - (s.y - s.hy), dx, dy, r);
  return best;
}

/** Takes where a ray enters a box around 0, if that is earlier. */
function slab(best: Hit, x: number, y: number, dx: number, dy: number, hx: number, hy: number): void {
  if (hx <= 0 || hy <= 0) return;
  let from = 0;
  let to = 1;
  let t = -1;
  let nx = 0;
  let ny = 0;
  for (let axis = 0; axis < 2; axis++) {
    const [p, d, e] = axis === 0 ? [x, dx, hx] : [y, dy, hy];
    if (d === 0) {
      if (Math.abs(p) >= e) return;
      continue;
    }
    const [a, b] = [(-e - p) / d, (e - p) / d];
    const near = Math.min(a, b);
    if (near >= from) {
      from = t = near;
      [nx, ny] = axis === 0 ? [-sign(dx), 0] : [0, -sign(dy)];
    }
    to = Math.min(to, Math.max(a, b));
  }
  if (t >= 0 && from < to && from < best.t) [best.t, best.nx, best.ny] = [t, nx, ny];
}

/** Takes where a ray enters a circle around 0, if that is earlier. */
function corner(best: Hit, x: number, y: number, dx: number, dy: number, r: number): void {
  const a = dx * dx + dy * dy;
  const b = x * dx + y * dy;
  const c = x * x + y * y - r * r;
  if (a === 0 || b >= 0 || c < 0) return; // stands, leaves, or is inside
  const under = b * b - a * c;
  if (under < 0) return;
  const t = Math.max((-b - Math.sqrt(under)) / a, 0);
  if (t >= best.t || t > 1) return;
  const nx = x + dx * t;
  const ny = y + dy * t;
  const length = Math.sqrt(nx * nx + ny * ny);
  [best.t, best.nx, best.ny] = [t, nx / length, ny / length];
}
