import { lastName, nameFault, needsToken, signIn, signOut, type Account } from "./account.ts";
import { h } from "./dom.ts";
import { Game, takeSeat, type Plan } from "./game.ts";
import { takeLink } from "./link.ts";
import { Lobby } from "./lobby.ts";
import { doorWords } from "./words.ts";

const app = document.querySelector("#app")!;

/** Asks for a name, unless this window has one already. */
function welcome(): void {
  const last = lastName();
  const name = h("input", {
    id: "name", name: "name", value: last.name, autocomplete: "username", spellcheck: "false", autocapitalize: "off",
    maxlength: 64, "aria-describedby": "fault",
  });
  const token = h("input", { id: "token", type: "password", autocomplete: "off" });
  const tokenRow = h("div", {}, h("label", { for: "token" }, "Access token of your studio's sign-in"), token);
  tokenRow.hidden = true;
  const fault = h("p", { id: "fault", class: "fault", role: "alert" });
  fault.hidden = true;
  const form = h("form", { class: "card" },
    h("img", { src: new URL("../icon.svg", import.meta.url).href, alt: "", width: 56, height: 56 }),
    h("h1", {}, "Throng"),
    h("p", { class: "soft" }, "Pick a name, pick a place, and you are in."),
    h("label", { for: "name" }, "Your name"), name, tokenRow, fault,
    h("button", { class: "primary" }, "Continue"),
  );
  const submit = async (): Promise<void> => {
    fault.hidden = true;
    const wrong = tokenRow.hidden ? nameFault(name.value.trim()) : "";
    try {
      if (wrong !== "") throw new Error(wrong);
      enter(await signIn(name.value.trim(), token.value.trim()));
    } catch (err) {
      if (needsToken(err) && token.value === "") tokenRow.hidden = false;
      fault.textContent = needsToken(err) ? "This region hands out no names of its own." : doorWords(err);
      fault.hidden = false;
      name.setAttribute("aria-invalid", "true");
    }
  };
  form.addEventListener("submit", (e) => {
    e.preventDefault();
    void submit();
  });
  app.replaceChildren(h("main", { class: "welcome" }, form));
  if (last.here) void submit();
  else name.select();
}

/** Shows the places to whoever signed in, and goes where the page's link leads. */
function enter(account: Account): void {
  let game: Game | undefined;
  const back = (): void => {
    game = undefined;
    document.title = "Throng";
    app.replaceChildren(lobby.element);
    lobby.open();
  };
  const show = (plan: Plan): Game => {
    game?.close();
    game = new Game(account, plan, back);
    document.title = `${plan.title} · Throng`;
    app.replaceChildren(game.element);
    return game;
  };
  const lobby = new Lobby(account, (plan) => void show(plan).start(), () => {
    lobby.close();
    lobby.party.close();
    signOut();
    welcome();
  });
  const seat = takeSeat(account.player);
  if (seat !== undefined) {
    const { seats, title } = seat;
    const wish = { place: seats.place, party: [account.player] };
    show({ title, seats: lobby.seatsOf(wish) }).resume(seat);
    return;
  }
  back();
  const link = takeLink();
  if (link !== undefined) lobby.follow(link);
  addEventListener("hashchange", () => {
    const next = takeLink();
    if (next !== undefined && game === undefined) lobby.follow(next);
  });
}

welcome();
