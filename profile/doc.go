// Package profile keeps what a player has in a game from one session to the next:
// one document, written by one session at a time.
//
//	Checkout ─▶ older holder asked to flush, at most FlushTime ─▶ wallet's fence ─▶ profile's fence, document
//	Save     ─▶ on condition of fence and holder ─▶ next revision
//	Return   ─▶ the same, with the last document; the next session needs to ask nobody
//
// The fence is the player's epoch, which only the registry gives and which never
// goes back: a session that was fenced cannot take the profile again. There is no
// lease and nothing to renew.
//
// Documents are stored compressed (codec.go). The newest Kept saves are kept; a
// creator may restore one, as a save under a fence of its own.
//
// Neighbours: api calls Profiles for game servers, players and creators; ledger
// has the wallets; bolt and dynamo are the Store.
//
// A save answers Denied: another session has the player now, or had him last;
// what it would have saved is lost, as it should be. Conflict: its revision is
// not the next one, so one of its saves is not known to it. A checkout takes two
// seconds: the older session did not answer.
package profile
