import { awaitTicket, DoorError, type Party, type Wish } from "@throng-gg/client";
import type { Account } from "./account.ts";
import { action, announce, copy, h } from "./dom.ts";
import type { Plan } from "./game.ts";
import { linkTo } from "./link.ts";
import { doorWords } from "./words.ts";

const KEY = "throng.party";
const PAUSE = 2000; // ms, after an error

/** The party that a player is in: shown, kept current, and followed into its leader's games. */
export class PartyPanel {
  readonly element: HTMLElement;
  readonly #account: Account;
  readonly #go: (plan: Plan) => void;
  readonly #fault = h("p", { class: "fault", role: "alert" });
  readonly #body = h("div", {});
  #party: Party | undefined;
  #followed = ""; // the ticket that was followed last
  #watch = new AbortController();

  constructor(account: Account, go: (plan: Plan) => void) {
    this.#account = account;
    this.#go = go;
    this.#fault.hidden = true;
    this.element = h("section", { class: "panel party", "aria-labelledby": "party-title" },
      h("h2", { id: "party-title" }, "Party"), this.#fault, this.#body);
    this.#show();
    const kept = sessionStorage.getItem(KEY);
    if (kept !== null) void this.#try(async () => this.#enter(await account.door.party(kept)), true);
  }

  /** Joins a party by its link. */
  async join(id: string, invite: string): Promise<void> {
    await this.#try(async () => {
      this.#enter(await this.#account.door.joinParty(id, invite));
      announce("You are in the party.");
    });
  }

  /** The wish for all who are in the party, if this player leads one. */
  withParty(wish: Wish): Wish {
    if (this.#party === undefined || this.#party.members.length < 2 || this.#party.leader !== this.#account.player) return wish;
    const { party: _, ...rest } = wish;
    return { ...rest, party_id: this.#party.id };
  }

  /** Stops watching; the player stays in the party. */
  close(): void {
    this.#watch.abort();
  }

  async #try(run: () => Promise<void>, quiet = false): Promise<void> {
    this.#fault.hidden = true;
    try {
      await run();
    } catch (err) {
      if (quiet) {
        sessionStorage.removeItem(KEY);
        return;
      }
      this.#fault.textContent = err instanceof DoorError && err.code === "not_found"
        ? "This invite is not good any more. Ask for a new link." : doorWords(err);
      this.#fault.hidden = false;
    }
  }

  #enter(party: Party): void {
    this.#watch.abort();
    this.#watch = new AbortController();
    sessionStorage.setItem(KEY, party.id);
    // A game that began before is offered, not forced on whoever comes.
    this.#followed = party.ticket?.ticket ?? "";
    this.#take(party);
    void this.#poll(party.id, this.#watch.signal);
  }

  async #poll(id: string, signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      try {
        const party = await this.#account.door.party(id, this.#party?.revision, signal);
        if (!signal.aborted) this.#take(party);
      } catch (err) {
        if (signal.aborted) return;
        if (err instanceof DoorError && err.code === "not_found") {
          announce("You are not in the party any more.");
          this.#out();
          return;
        }
        await new Promise((resolve) => setTimeout(resolve, PAUSE));
      }
    }
  }

  #take(party: Party): void {
    const changed = party.revision !== this.#party?.revision;
    this.#party = party;
    if (!changed) return;
    this.#show();
    const t = party.ticket;
    if (t === undefined || t.ticket === this.#followed) return;
    this.#followed = t.ticket;
    if (t.caller !== this.#account.player && t.members.includes(this.#account.player)) this.#follow(t.caller, t.ticket);
  }

  #follow(caller: string, ticket: string): void {
    const { door } = this.#account;
    this.#go({ title: `With ${caller}`, caller, seats: async (o) => await awaitTicket(door, ticket, caller, o) });
  }

  #out(): void {
    this.#watch.abort();
    this.#party = undefined;
    sessionStorage.removeItem(KEY);
    this.#show();
  }

  #show(): void {
    const { door, player } = this.#account;
    const party = this.#party;
    if (party === undefined) {
      this.#body.replaceChildren(
        h("p", { class: "soft" }, "Play together: whatever the leader plays, everybody is seated in it."),
        action("Make a party", { class: "plain" }, () => this.#try(async () => this.#enter(await door.makeParty()))),
      );
      return;
    }
    const leads = party.leader === player;
    const link = linkTo({ kind: "party", id: party.id, invite: party.invite });
    const field = h("input", { readonly: true, value: link, "aria-label": "Invite link", class: "invite" });
    field.addEventListener("focus", () => field.select());
    const button = h("button", { type: "button", class: "primary" }, "Copy");
    button.addEventListener("click", () => void copy(button, link));
    const t = party.ticket;
    const joinable = t !== undefined && t.caller !== player && t.members.includes(player);
    this.#body.replaceChildren(
      h("ul", { class: "members" }, ...party.members.map((m) => h("li", {},
        h("span", { class: "name" }, m, m === player ? h("span", { class: "soft" }, " (you)") : undefined),
        m === party.leader ? h("span", { class: "tag" }, "leads") : undefined,
        leads && m !== player
          ? action("Remove", { class: "plain small", "aria-label": `Remove ${m}` }, () => this.#try(async () => door.removeMember(party.id, m)))
          : undefined,
      ))),
      h("p", { class: "soft" }, "Whoever opens this link is in:"),
      h("div", { class: "row" }, field, button),
      h("div", { class: "row" },
        joinable ? action("Join their game", { class: "primary" }, () => this.#follow(t.caller, t.ticket)) : undefined,
        leads ? action("New link", { class: "plain small" }, () => this.#try(async () => this.#take(await door.inviteToParty(party.id)))) : undefined,
        action("Leave party", { class: "plain small" }, () => this.#try(async () => {
          await door.leaveParty(party.id);
          this.#out();
        })),
      ),
    );
  }
}
