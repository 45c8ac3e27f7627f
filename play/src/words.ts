import { DoorError, type End } from "@throng-gg/client";

/** What went wrong at the door, for people. */
export function doorWords(err: unknown): string {
  if (!(err instanceof DoorError)) return err instanceof Error ? err.message : String(err);
  switch (err.code) {
    case "full":
      return "It is full. Try another session, or Play to be seated where there is room.";
    case "no_capacity":
      return "All game servers are busy. Try again in a moment.";
    case "contention":
    case "unavailable":
      return "The servers do not answer just now. Try again in a moment.";
    case "rate_limited":
      return `That was a little too often. Try again in ${Math.max(1, Math.ceil(err.retryAfter))} s.`;
    case "not_found":
      return `It is not there any more. (${err.detail})`;
    case "denied":
      return `You may not do that: ${err.detail}.`;
    case "unsupported":
      return `This region does not do that: ${err.detail}.`;
    case "invalid":
    case "exists":
    case "conflict":
      return sentence(err.detail);
    case "internal":
      return `Something broke on our side. (${err.detail})`;
  }
}

/** Why a connection ended, for people: a headline and a sentence. */
export function endWords(end: End): { title: string; text: string } {
  const said = end.text === "" ? "" : ` It said: “${end.text}”.`;
  switch (end.reason) {
    case "ended":
      return { title: "The session is over", text: `Play again to be seated in another one.${said}` };
    case "kicked":
      return { title: "You were put out", text: `The place or an operator ended your game.${said}` };
    case "evicted":
      return { title: "You play elsewhere now", text: "You joined again, in another window or on another device, and that one took the seat." };
    case "full":
      return { title: "The session is full", text: "All its seats were taken before you came in." };
    case "denied":
      return { title: "The server did not let you in", text: `Your ticket is not good there any more. Play again to get a new one.${said}` };
    case "draining":
      return { title: "The session is closing", text: "It takes no more players. Play again to be seated in another one." };
    case "behind":
      return { title: "The connection was too slow", text: "Nothing of what the server sent has arrived for 10 seconds. Play again." };
    case "outdated":
      return { title: "This page is out of date", text: "The server speaks a newer language. Reload the page to go on." };
    case "lost":
      return { title: "The connection was lost", text: "It did not come back within 30 seconds, so your seat is free again." };
    case "unreachable":
      return { title: "The game server cannot be reached", text: `Your network may block it. (${end.text})` };
    case "unknown":
      return { title: "The server ended your game", text: said.trim() };
    case "closed":
      return { title: "You left", text: "" };
  }
}

function sentence(s: string): string {
  return s === "" ? "That did not work." : `${s[0]!.toUpperCase()}${s.slice(1)}.`;
}
