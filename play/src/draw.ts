import type { Kind, SmoothEntity } from "@throng-gg/client";

// How much of the world's shorter side is seen, so that things are large enough
// to follow, and what a thing without a radius of its own has, of that side.
const SEEN = 0.6;
const RADIUS = 1 / 128;
const LEAST_RADIUS = 9; // px
const LINES = 16; // across the world

/** The fields that a kind is drawn by, as indexes; -1: it has none such. */
interface Look {
  x: number; y: number; width: number; height: number; angle: number; radius: number; name: number; it: number; score: number; health: number;
}

interface Bounds {
  left: number; top: number; width: number; height: number;
}

interface Colours {
  ground: string; field: string; line: string; ink: string; soft: string; it: string; thing: string; own: string;
}

/**
 * Draws any world whose things have an x and a y: things with an owner are
 * people, others are scenery. It uses the fields angle, radius, width and height
 * (a box around x and y), name, it, score and health where a kind has them.
 */
export class Painter {
  readonly #canvas: HTMLCanvasElement;
  readonly #paper: CanvasRenderingContext2D;
  #looks = new Map<Kind, Look>();
  #bounds: Bounds = { left: 0, top: 0, width: 1, height: 1 };
  #camera: { x: number; y: number } | undefined;
  #colours: Colours;
  #dark = matchMedia("(prefers-color-scheme: dark)");
  #hues = new Map<string, string>();

  constructor(canvas: HTMLCanvasElement) {
    this.#canvas = canvas;
    this.#paper = canvas.getContext("2d", { alpha: false })!;
    this.#colours = this.#readColours();
    this.#dark.addEventListener("change", () => {
      this.#colours = this.#readColours();
      this.#hues.clear();
    });
  }

  /** Learns the kinds of a world. */
  kinds(kinds: readonly Kind[]): void {
    this.#looks.clear();
    this.#camera = undefined;
    const f = kinds.flatMap((k) => {
      const look = {
        x: k.field("x"), y: k.field("y"), width: k.field("width"), height: k.field("height"), angle: k.field("angle"), radius: k.field("radius"),
        name: k.field("name"), it: k.field("it"), score: k.field("score"), health: k.field("health"),
      };
      if (look.x < 0 || look.y < 0) return [];
      this.#looks.set(k, look);
      return [{ x: k.fields[look.x]!, y: k.fields[look.y]! }];
    });
    if (f.length === 0) return;
    const left = Math.min(...f.map((v) => v.x.min));
    const top = Math.min(...f.map((v) => v.y.min));
    this.#bounds = {
      left, top,
      width: Math.max(...f.map((v) => v.x.max)) - left || 1,
      height: Math.max(...f.map((v) => v.y.max)) - top || 1,
    };
  }

  /** Draws the things; own is the player whose view it is. */
  draw(entities: readonly SmoothEntity[], own: string): void {
    const scale = this.#fit();
    const things = entities.filter((e) => this.#looks.has(e.kind));
    const me = things.find((e) => e.owner === own && own !== "");
    this.#follow(me, scale);
    const p = this.#paper;
    const c = this.#colours;
    const b = this.#bounds;
    const at = this.#camera!;
    const ratio = devicePixelRatio || 1;
    p.setTransform(ratio, 0, 0, ratio, 0, 0);
    p.fillStyle = c.ground;
    p.fillRect(0, 0, this.#canvas.width, this.#canvas.height);
    const width = this.#canvas.width / ratio;
    const height = this.#canvas.height / ratio;
    const toX = (x: number): number => (x - at.x) * scale + width / 2;
    const toY = (y: number): number => (y - at.y) * scale + height / 2;
    this.#field(toX(b.left), toY(b.top), b.width * scale, b.height * scale);
    // Scenery first, then others, then oneself on top.
    for (const e of things) if (e.owner === "") this.#thing(e, toX, toY, scale);
    for (const e of things) if (e.owner !== "" && e !== me) this.#person(e, toX, toY, scale, false);
    if (me !== undefined) this.#person(me, toX, toY, scale, true);
  }

  /** Pixels of a unit; the canvas is made as large as it is shown. */
  #fit(): number {
    const ratio = devicePixelRatio || 1;
    const { clientWidth, clientHeight } = this.#canvas;
    const w = Math.round(clientWidth * ratio);
    const h = Math.round(clientHeight * ratio);
    if (this.#canvas.width !== w || this.#canvas.height !== h) {
      this.#canvas.width = w;
      this.#canvas.height = h;
    }
    return Math.min(clientWidth, clientHeight) / (Math.min(this.#bounds.width, this.#bounds.height) * SEEN);
  }

  /** Looks at the player, but not far past the world's edge. */
  #follow(me: SmoothEntity | undefined, scale: number): void {
    const b = this.#bounds;
    if (me === undefined && this.#camera !== undefined) return;
    const look = me && this.#looks.get(me.kind)!;
    const margin = 24 / scale;
    const within = (v: number, low: number, size: number, seen: number): number =>
      seen >= size + 2 * margin ? low + size / 2 : Math.max(low - margin + seen / 2, Math.min(low + size + margin - seen / 2, v));
    this.#camera = {
      x: within(look ? me.number(look.x) : b.left + b.width / 2, b.left, b.width, this.#canvas.clientWidth / scale),
      y: within(look ? me.number(look.y) : b.top + b.height / 2, b.top, b.height, this.#canvas.clientHeight / scale),
    };
  }

  #field(x: number, y: number, w: number, h: number): void {
    const p = this.#paper;
    p.fillStyle = this.#colours.field;
    p.beginPath();
    p.roundRect(x - 6, y - 6, w + 12, h + 12, 10);
    p.fill();
    p.strokeStyle = this.#colours.line;
    p.lineWidth = 1;
    p.beginPath();
    const step = Math.max(w, h) / LINES;
    for (let i = step; i < w - 1; i += step) {
      p.moveTo(x + i, y);
      p.lineTo(x + i, y + h);
    }
    for (let i = step; i < h - 1; i += step) {
      p.moveTo(x, y + i);
      p.lineTo(x + w, y + i);
    }
    p.stroke();
    p.lineWidth = 2;
    p.beginPath();
    p.roundRect(x - 6, y - 6, w + 12, h + 12, 10);
    p.stroke();
  }

  #radius(e: SmoothEntity, look: Look, scale: number): number {
    if (look.radius >= 0) return Math.max(1, e.number(look.radius) * scale);
    return Math.max(LEAST_RADIUS, Math.min(this.#bounds.width, this.#bounds.height) * RADIUS * scale);
  }

  #thing(e: SmoothEntity, toX: (x: number) => number, toY: (y: number) => number, scale: number): void {
    const look = this.#looks.get(e.kind)!;
    const p = this.#paper;
    const [x, y] = [toX(e.number(look.x)), toY(e.number(look.y))];
    p.fillStyle = this.#colours.thing;
    p.beginPath();
    if (look.width >= 0 && look.height >= 0) {
      const [w, h] = [e.number(look.width) * scale, e.number(look.height) * scale];
      p.rect(x - w / 2, y - h / 2, w, h);
    } else p.arc(x, y, this.#radius(e, look, scale), 0, 2 * Math.PI);
    p.fill();
    this.#label(e.text(look.name), x, y - this.#radius(e, look, scale) - 6, this.#colours.soft, 11);
  }

  #person(e: SmoothEntity, toX: (x: number) => number, toY: (y: number) => number, scale: number, own: boolean): void {
    const look = this.#looks.get(e.kind)!;
    const p = this.#paper;
    const c = this.#colours;
    const [x, y] = [toX(e.number(look.x)), toY(e.number(look.y))];
    const r = this.#radius(e, look, scale);
    const it = look.it >= 0 && e.number(look.it) === 1;
    if (it) {
      p.fillStyle = c.it;
      p.globalAlpha = 0.22;
      p.beginPath();
      p.arc(x, y, r * 2.1, 0, 2 * Math.PI);
      p.fill();
      p.globalAlpha = 1;
    }
    if (look.angle >= 0) {
      const a = e.number(look.angle);
      p.strokeStyle = it ? c.it : own ? c.own : c.ink;
      p.lineWidth = Math.max(2.5, r / 3);
      p.lineCap = "round";
      p.beginPath();
      p.moveTo(x + Math.cos(a) * r, y + Math.sin(a) * r);
      p.lineTo(x + Math.cos(a) * r * 1.55, y + Math.sin(a) * r * 1.55);
      p.stroke();
    }
    p.fillStyle = it ? c.it : this.#hue(e.owner);
    p.beginPath();
    p.arc(x, y, r, 0, 2 * Math.PI);
    p.fill();
    p.lineWidth = own ? 3 : 1.5;
    p.strokeStyle = own ? c.own : c.field;
    p.stroke();
    if (look.health >= 0) this.#bar(x, y + r + 5, r * 2, e.number(look.health) / (e.kind.fields[look.health]!.max || 1));
    const name = (look.name >= 0 && e.text(look.name)) || e.owner;
    this.#label(it ? `${name} is it` : name, x, y - r - 7, it ? c.it : own ? c.own : c.ink, own ? 13 : 12, own || it);
  }

  #bar(x: number, y: number, width: number, part: number): void {
    const p = this.#paper;
    p.fillStyle = this.#colours.line;
    p.fillRect(x - width / 2, y, width, 3);
    p.fillStyle = this.#colours.own;
    p.fillRect(x - width / 2, y, width * Math.max(0, Math.min(1, part)), 3);
  }

  #label(text: string, x: number, y: number, colour: string, size: number, bold = false): void {
    if (text === "") return;
    const p = this.#paper;
    p.font = `${bold ? 700 : 500} ${size}px system-ui, sans-serif`;
    p.textAlign = "center";
    p.lineJoin = "round";
    p.lineWidth = 3.5;
    p.strokeStyle = this.#colours.field;
    p.strokeText(text, x, y);
    p.fillStyle = colour;
    p.fillText(text, x, y);
  }

  /** A colour of one's own, the same for everybody who looks. */
  #hue(owner: string): string {
    let hue = this.#hues.get(owner);
    if (hue === undefined) {
      let sum = 7;
      for (let i = 0; i < owner.length; i++) sum = (Math.imul(sum, 31) + owner.charCodeAt(i)) >>> 0;
      // Not the reds, which say "it".
      hue = `hsl(${45 + (sum % 270)} ${this.#dark.matches ? "55% 62%" : "52% 46%"})`;
      if (this.#hues.size > 500) this.#hues.clear();
      this.#hues.set(owner, hue);
    }
    return hue;
  }

  #readColours(): Colours {
    const css = getComputedStyle(document.documentElement);
    const read = (name: string): string => css.getPropertyValue(`--${name}`).trim();
    return {
      ground: read("ground"), field: read("field"), line: read("line"), ink: read("ink"),
      soft: read("soft"), it: read("it"), thing: read("thing"), own: read("own"),
    };
  }
}
