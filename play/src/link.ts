/** What a link to this page asks for. */
export type Link =
  | { readonly kind: "party"; readonly id: string; readonly invite: string }
  | { readonly kind: "session"; readonly place: string; readonly session: string }
  | { readonly kind: "friend"; readonly friend: string }
  | { readonly kind: "private"; readonly place: string; readonly code: string };

/** Reads the part of the page's address after #, and takes it away. */
export function takeLink(): Link | undefined {
  const [name, value] = decodeURIComponent(location.hash.slice(1)).split("=", 2);
  if (name === undefined || value === undefined || value === "") return undefined;
  history.replaceState(null, "", location.pathname + location.search);
  const cut = (by: string): [string, string] => {
    const i = value.indexOf(by);
    return i < 0 ? [value, ""] : [value.slice(0, i), value.slice(i + 1)];
  };
  switch (name) {
    case "party": {
      const [id, invite] = cut(".");
      return { kind: "party", id, invite };
    }
    case "session": {
      const [place, session] = cut("/");
      return { kind: "session", place, session };
    }
    case "friend":
      return { kind: "friend", friend: value };
    case "private": {
      const [place, code] = cut(".");
      return { kind: "private", place, code };
    }
    default:
      return undefined;
  }
}

/** Makes the address that takeLink understands. */
export function linkTo(l: Link): string {
  const page = location.origin + location.pathname;
  switch (l.kind) {
    case "party":
      return `${page}#party=${l.id}.${l.invite}`;
    case "session":
      return `${page}#session=${l.place}/${l.session}`;
    case "friend":
      return `${page}#friend=${encodeURIComponent(l.friend)}`;
    case "private":
      return `${page}#private=${l.place}.${l.code}`;
  }
}
