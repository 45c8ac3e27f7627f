type Child = Node | string | false | undefined;
type Props = Readonly<Record<string, string | number | boolean | EventListener | undefined>>;

/**
 * Makes an element. Strings become text, never markup. Props that start with
 * "on" are listeners; all others are attributes, true and false as with booleans.
 */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, props: Props = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const el = document.createElement(tag);
  for (const [name, v] of Object.entries(props)) {
    if (typeof v === "function") el.addEventListener(name.slice(2), v);
    else if (v === true) el.setAttribute(name, "");
    else if (v !== false && v !== undefined) el.setAttribute(name, String(v));
  }
  el.append(...children.filter((c) => c !== false && c !== undefined));
  return el;
}

/** Tells people who do not see the page what changed. */
export function announce(text: string): void {
  document.querySelector("#news")!.textContent = text;
}

/** A button that does one thing at a time. */
export function action(label: string, props: Props, run: () => Promise<void> | void): HTMLButtonElement {
  const button = h("button", { type: "button", ...props }, label);
  button.addEventListener("click", () => {
    if (button.getAttribute("aria-disabled") === "true") return;
    button.setAttribute("aria-disabled", "true");
    void Promise.resolve(run()).finally(() => button.removeAttribute("aria-disabled"));
  });
  return button;
}

/** Copies text, and says on the button that it did. */
export async function copy(button: HTMLButtonElement, text: string): Promise<void> {
  const was = button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    announce("Copied");
  } catch {
    // Pages without https may not: let people copy by hand.
    window.prompt("Copy this:", text);
  }
  setTimeout(() => (button.textContent = was), 1500);
}

/** A number with its noun: 1 player, 2 players. */
export function count(n: number, noun: string): string {
  return `${n.toLocaleString("en")} ${noun}${n === 1 ? "" : "s"}`;
}
