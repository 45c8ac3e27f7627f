import { Door, DoorError } from "@throng-gg/client";

const KEY = "throng.name";
const shape = /^[A-Za-z0-9_.:-]{1,64}$/;

/** Who plays here. */
export interface Account {
  readonly player: string;
  readonly door: Door;
}

/** Says what is wrong with a name, "" if nothing is. */
export function nameFault(name: string): string {
  if (name === "") return "Choose a name.";
  return shape.test(name) ? "" : "Use letters, digits and _ . : - only, up to 64 of them, without spaces.";
}

/** The name of this window, or the one that was used last. */
export function lastName(): { name: string; here: boolean } {
  const here = sessionStorage.getItem(KEY);
  return { name: here ?? localStorage.getItem(KEY) ?? suggestion(), here: here !== null };
}

/** Signs in with a name, or an access token where the region hands out none. */
export async function signIn(name: string, token: string): Promise<Account> {
  const door = new Door();
  if (token !== "") {
    const player = subject(token);
    remember(player);
    return { player, door: door.as(token) };
  }
  const made = await door.devToken(name);
  remember(name);
  return { player: name, door: door.as(made.access_token) };
}

/** Says whether an error of signIn means that a token is needed. */
export function needsToken(err: unknown): boolean {
  return err instanceof DoorError && (err.code === "not_found" || err.code === "unsupported");
}

/** Forgets the name of this window. */
export function signOut(): void {
  sessionStorage.removeItem(KEY);
}

function remember(name: string): void {
  // Each window has a name of its own, so that two of them are two players.
  sessionStorage.setItem(KEY, name);
  localStorage.setItem(KEY, name);
}

/** Whose access token it is; the door checks it, this only reads it. */
function subject(token: string): string {
  try {
    const part = token.split(".")[1]!.replaceAll("-", "+").replaceAll("_", "/");
    const { sub } = JSON.parse(atob(part)) as { sub?: unknown };
    if (typeof sub === "string") return sub;
  } catch {
    // said below
  }
  throw new DoorError("denied", "that is no access token");
}

function suggestion(): string {
  const first = ["swift", "calm", "brave", "quiet", "merry", "bold", "keen", "lucky"];
  const second = ["otter", "heron", "fox", "lynx", "wren", "badger", "hare", "finch"];
  const pick = (list: string[]): string => list[Math.floor(Math.random() * list.length)]!;
  return `${pick(first)}-${pick(second)}-${Math.floor(Math.random() * 90 + 10)}`;
}
