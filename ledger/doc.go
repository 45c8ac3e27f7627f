// Package ledger keeps who owned what when, and now: double entry, by transfers
// whose IDs their callers make.
//
//	Post ─▶ Check, Catalog ─▶ Store.Change: read ─▶ decide (pure) ─▶ write, all or nothing
//	                            accounts, the transfer with this ID, unique items
//
// What a player owns is his account: a balance for each currency and stackable
// item, and his unique items. What players get comes out of the game's own
// account, the house, and what they pay goes there, so each item's balances sum
// to zero. The house is spread over Stripes accounts, because every transfer
// touches it.
//
// A transfer's record carries its content and its receipt: the same ID again gets
// the same receipt, and with other content a Conflict. A transfer counts only
// while each player's epoch is his account's fence, which a checkout sets.
// Entries, one for each account that a transfer touched, are what the auditor
// (audit.go) holds balances against, and from which events are made later.
//
// Neighbours: api calls Ledger for game servers, players and creators; profile
// sets fences; bolt and dynamo are the Store.
//
// A transfer answers Denied: the player's fence is another session's. Conflict:
// the ID was used for something else. Full: he has not enough, or would have too
// much. Unavailable: it is not known yet what became of
// it; the same ID will tell.
package ledger
