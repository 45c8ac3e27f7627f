import { matchmake, type Place, type Session, type Wish } from "@throng-gg/client";
import type { Account } from "./account.ts";
import { action, announce, count, h } from "./dom.ts";
import type { Plan } from "./game.ts";
import type { Link } from "./link.ts";
import { PartyPanel } from "./party.ts";
import { doorWords } from "./words.ts";

const EVERY = 2000; // ms
const MOST_PAGES = 5;

/** Where a player chooses what to play. */
export class Lobby {
  readonly element: HTMLElement;
  readonly party: PartyPanel;
  readonly #account: Account;
  readonly #play: (plan: Plan) => void;
  readonly #list = h("ul", { class: "places" });
  readonly #fault = h("p", { class: "fault", role: "alert" });
  readonly #places = h("select", { id: "code-place", required: true });
  #cards = new Map<string, Card>();
  #stop = new AbortController();

  constructor(account: Account, play: (plan: Plan) => void, out: () => void) {
    this.#account = account;
    this.#play = play;
    this.party = new PartyPanel(account, (plan) => this.#go(plan));
    this.#fault.hidden = true;
    this.element = h("main", { class: "lobby" },
      h("header", { class: "top" },
        h("span", { class: "brand" }, h("img", { src: new URL("../icon.svg", import.meta.url).href, alt: "", width: 28, height: 28 }), "Throng"),
        h("span", { class: "who" }, "You are ", h("b", {}, account.player), action("Change", { class: "plain small" }, out)),
      ),
      h("div", { class: "columns" },
        h("section", { "aria-labelledby": "places-title" }, h("h1", { id: "places-title" }, "Places"), this.#fault, this.#list),
        h("aside", {}, this.party.element, this.#friendForm(), this.#codeForm()),
      ),
    );
  }

  /** Begins to show live numbers; close ends that. */
  open(): void {
    this.#stop = new AbortController();
    const { signal } = this.#stop;
    const round = async (): Promise<void> => {
      if (document.visibilityState === "visible") await this.#refresh();
      if (!signal.aborted) setTimeout(() => void round(), EVERY);
    };
    void round();
  }

  /** Ends what open began. The party goes on. */
  close(): void {
    this.#stop.abort();
  }

  /** Follows a link to this page. */
  follow(link: Link): void {
    switch (link.kind) {
      case "party":
        void this.party.join(link.id, link.invite);
        return;
      case "session":
        this.#start(link.place, { place: link.place, mode: "session", session: link.session });
        return;
      case "friend":
        void this.#friend(link.friend);
        return;
      case "private":
        this.#start(link.place, { place: link.place, mode: "private", code: link.code });
    }
  }

  /** Asks for seats as the wish says, for the whole party if this player leads one. */
  seatsOf(wish: Wish): Plan["seats"] {
    return async (o) => await matchmake(this.#account.door, this.party.withParty(wish), o);
  }

  #go(plan: Plan): void {
    this.close();
    this.#play(plan);
  }

  /** Plays as the wish says, with the party if this player leads one. */
  #start(title: string, wish: Omit<Wish, "party">): void {
    this.#go({ title, seats: this.seatsOf({ ...wish, party: [this.#account.player] }) });
  }

  async #refresh(): Promise<void> {
    const { door } = this.#account;
    try {
      const places: Place[] = [];
      let after: string | undefined;
      for (let i = 0; i < MOST_PAGES; i++) {
        const page = await door.places({ after, limit: 200 }, this.#stop.signal);
        places.push(...page.places);
        after = page.next;
        if (after === undefined || after === "") break;
      }
      this.#fault.hidden = true;
      this.#show(places);
      await Promise.all([...this.#cards.values()].filter((c) => c.open).map((c) => c.refresh()));
    } catch (err) {
      if (this.#stop.signal.aborted) return;
      this.#fault.textContent = doorWords(err);
      this.#fault.hidden = false;
    }
  }

  /** Brings the list up to date without moving the focus. */
  #show(places: readonly Place[]): void {
    const sorted = [...places].sort((a, b) => b.players - a.players || (a.name < b.name ? -1 : 1));
    const ids = new Set(sorted.map((p) => p.id));
    for (const [id, card] of this.#cards) {
      if (ids.has(id)) continue;
      card.element.remove();
      this.#cards.delete(id);
    }
    let changed = this.#places.options.length !== sorted.length;
    for (const p of sorted) {
      let card = this.#cards.get(p.id);
      if (card === undefined) {
        card = new Card(this.#account, p.id, (title, wish) => this.#start(title, wish));
        this.#cards.set(p.id, card);
        this.#list.append(card.element);
        changed = true;
      }
      card.update(p);
    }
    if (changed) {
      const was = this.#places.value;
      this.#places.replaceChildren(...sorted.map((p) => h("option", { value: p.id }, p.name)));
      if (ids.has(was)) this.#places.value = was;
    }
  }

  #friendForm(): HTMLElement {
    const name = h("input", { id: "friend", name: "friend", autocomplete: "off", spellcheck: "false", maxlength: 64, required: true });
    const fault = h("p", { class: "fault", role: "alert" });
    fault.hidden = true;
    const form = h("form", { class: "panel" },
      h("h2", {}, "Join a friend"),
      h("label", { for: "friend" }, "Your friend's name"),
      h("div", { class: "row" }, name, h("button", { class: "primary" }, "Join")),
      fault,
    );
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      fault.hidden = true;
      this.#friend(name.value.trim()).catch((err: unknown) => {
        fault.textContent = err instanceof Error ? err.message : String(err);
        fault.hidden = false;
      });
    });
    return form;
  }

  /** Throws an Error with words for people. */
  async #friend(friend: string): Promise<void> {
    let place: string | undefined;
    try {
      place = (await this.#account.door.presence(friend)).place;
    } catch (err) {
      throw new Error(doorWords(err), { cause: err });
    }
    if (place === undefined || place === "") {
      const words = `${friend} is not playing, or does not let you see where.`;
      announce(words);
      throw new Error(words);
    }
    this.#start(`${friend}'s session`, { place, mode: "friend", friend });
  }

  #codeForm(): HTMLElement {
    const code = h("input", { id: "code", name: "code", autocomplete: "off", spellcheck: "false", maxlength: 64, required: true });
    const form = h("form", { class: "panel" },
      h("h2", {}, "Private session"),
      h("label", { for: "code-place" }, "Place"), this.#places,
      h("label", { for: "code" }, "Code that you were given"),
      h("div", { class: "row" }, code, h("button", { class: "primary" }, "Join")),
      h("p", { class: "soft" }, "Or ", action("open one of your own", { class: "link" }, () => {
        if (this.#places.value !== "") this.#start(this.#title(), { place: this.#places.value, mode: "private" });
      }), "."),
    );
    form.addEventListener("submit", (e) => {
      e.preventDefault();
      this.#start(this.#title(), { place: this.#places.value, mode: "private", code: code.value.trim() });
    });
    return form;
  }

  #title(): string {
    return this.#places.selectedOptions[0]?.textContent ?? this.#places.value;
  }
}

/** One place with its live numbers and, once opened, its sessions. */
class Card {
  readonly element: HTMLLIElement;
  readonly #account: Account;
  readonly #id: string;
  readonly #start: (title: string, wish: Omit<Wish, "party">) => void;
  readonly #name = h("h2", {});
  readonly #players = h("b", {});
  readonly #rest = h("span", { class: "soft" });
  readonly #details: HTMLDetailsElement;
  readonly #rows = h("ul", { class: "sessions" });
  #sessions = new Map<string, HTMLLIElement>();
  #place: Place | undefined;

  constructor(account: Account, id: string, start: (title: string, wish: Omit<Wish, "party">) => void) {
    this.#account = account;
    this.#id = id;
    this.#start = start;
    this.#details = h("details", {}, h("summary", {}, "Sessions"), this.#rows);
    this.#details.addEventListener("toggle", () => {
      if (this.#details.open) void this.refresh();
    });
    this.element = h("li", { class: "card place", "data-place": id },
      h("div", { class: "head" },
        h("div", {}, this.#name, h("p", {}, this.#players, this.#rest)),
        h("div", { class: "row" },
          action("New session", { class: "plain" }, () => start(this.#title(), { place: id, mode: "new" })),
          action("Play", { class: "primary" }, () => start(this.#title(), { place: id })),
        ),
      ),
      this.#details,
    );
  }

  get open(): boolean {
    return this.#details.open;
  }

  update(p: Place): void {
    this.#place = p;
    this.#name.textContent = p.name;
    this.#players.textContent = count(p.players, "player");
    this.#rest.textContent = ` in ${count(p.sessions, "session")} of up to ${p.capacity} · version ${p.version}`;
  }

  #title(): string {
    return this.#place?.name ?? this.#id;
  }

  /** Brings the sessions up to date without moving the focus. */
  async refresh(): Promise<void> {
    let sessions: Session[];
    try {
      ({ sessions } = await this.#account.door.sessions(this.#id, { limit: 100 }));
    } catch (err) {
      this.#rows.replaceChildren(h("li", { class: "soft" }, doorWords(err)));
      this.#sessions.clear();
      return;
    }
    const shown = sessions.filter((s) => s.state === "open" || s.state === "starting").sort((a, b) => b.players - a.players);
    const ids = new Set(shown.map((s) => s.id));
    for (const [id, row] of this.#sessions) {
      if (ids.has(id)) continue;
      row.remove();
      this.#sessions.delete(id);
    }
    if (shown.length === 0) this.#rows.replaceChildren(h("li", { class: "soft" }, "Nobody plays here now. Be the first!"));
    else this.#rows.querySelector("li.soft")?.remove();
    for (const s of shown) this.#row(s);
  }

  #row(s: Session): void {
    let row = this.#sessions.get(s.id);
    if (row === undefined) {
      row = h("li", {},
        h("code", {}, s.id.split("_").at(-1)!.slice(-6)),
        h("progress", { max: s.capacity, value: 0, "aria-label": "Seats taken" }),
        h("span", { class: "seats" }),
        action("Join", { class: "plain small", "aria-label": `Join session ${s.id.slice(-6)}` }, () =>
          this.#start(this.#title(), { place: this.#id, mode: "session", session: s.id })),
      );
      this.#sessions.set(s.id, row);
      this.#rows.append(row);
    }
    row.querySelector("progress")!.value = s.players;
    row.querySelector(".seats")!.textContent = `${s.players} of ${s.capacity}`;
    row.querySelector("button")!.disabled = s.players >= s.capacity;
  }
}
