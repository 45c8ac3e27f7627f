import type { Connection } from "@throng-gg/client";
import { h } from "./dom.ts";

const keys: Readonly<Record<string, readonly [number, number]>> = {
  KeyW: [0, -1], ArrowUp: [0, -1],
  KeyS: [0, 1], ArrowDown: [0, 1],
  KeyA: [-1, 0], ArrowLeft: [-1, 0],
  KeyD: [1, 0], ArrowRight: [1, 0],
};

const REACH = 56; // px that the stick moves

/** Keyboard and touch. It says where to go whenever that changes. */
export class Controls {
  /** The stick and the button for thumbs; hidden where there is a mouse. */
  readonly element: HTMLElement;
  readonly #connection: () => Connection | undefined;
  #down = new Set<string>();
  #stick = { x: 0, y: 0 };
  #button = false;
  #abort = new AbortController();

  constructor(connection: () => Connection | undefined) {
    this.#connection = connection;
    const knob = h("div", { class: "knob" });
    const stick = h("div", { class: "stick", "aria-hidden": "true" }, knob);
    const button = h("button", { type: "button", class: "act", "aria-label": "Action" }, "●");
    this.element = h("div", { class: "touch" }, stick, button);
    const signal = this.#abort.signal;
    addEventListener("keydown", (e) => this.#key(e, true), { signal });
    addEventListener("keyup", (e) => this.#key(e, false), { signal });
    addEventListener("blur", () => this.#release(), { signal });
    document.addEventListener("visibilitychange", () => this.#release(), { signal });
    this.#thumb(stick, knob);
    button.addEventListener("pointerdown", () => this.#press(true));
    for (const up of ["pointerup", "pointercancel", "pointerleave"]) button.addEventListener(up, () => this.#press(false));
    button.addEventListener("contextmenu", (e) => e.preventDefault());
  }

  /** Stops listening. */
  close(): void {
    this.#abort.abort();
  }

  #key(e: KeyboardEvent, down: boolean): void {
    const known = e.code in keys || e.code === "Space";
    const onControl = e.target instanceof Element && e.target.closest("button, a, input, select") !== null;
    if (!known || e.ctrlKey || e.metaKey || e.altKey || (onControl && e.code === "Space")) return;
    e.preventDefault();
    if (down) this.#down.add(e.code);
    else this.#down.delete(e.code);
    this.#say();
  }

  #release(): void {
    this.#down.clear();
    this.#stick = { x: 0, y: 0 };
    this.#button = false;
    this.#say();
  }

  #press(down: boolean): void {
    this.#button = down;
    this.#say();
  }

  #thumb(stick: HTMLElement, knob: HTMLElement): void {
    let from: { x: number; y: number; id: number } | undefined;
    const move = (x: number, y: number): void => {
      const far = Math.hypot(x, y);
      const cut = far > REACH ? REACH / far : 1;
      this.#stick = { x: (x * cut) / REACH, y: (y * cut) / REACH };
      knob.style.transform = `translate(${x * cut}px, ${y * cut}px)`;
      this.#say();
    };
    stick.addEventListener("pointerdown", (e) => {
      const box = stick.getBoundingClientRect();
      from = { x: box.x + box.width / 2, y: box.y + box.height / 2, id: e.pointerId };
      stick.setPointerCapture(e.pointerId);
      move(e.clientX - from.x, e.clientY - from.y);
    });
    stick.addEventListener("pointermove", (e) => {
      if (from?.id === e.pointerId) move(e.clientX - from.x, e.clientY - from.y);
    });
    for (const up of ["pointerup", "pointercancel"]) {
      stick.addEventListener(up, () => {
        from = undefined;
        move(0, 0);
      });
    }
  }

  #say(): void {
    let { x, y } = this.#stick;
    for (const code of this.#down) {
      x += keys[code]?.[0] ?? 0;
      y += keys[code]?.[1] ?? 0;
    }
    const far = Math.hypot(x, y);
    if (far > 1) [x, y] = [x / far, y / far];
    this.#connection()?.input(x, y, this.#button || this.#down.has("Space") ? 1 : 0);
  }
}
