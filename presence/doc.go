// Package presence knows where players of all regions are: a copy of what every other
// region says, in each process, so that nobody has to be asked.
//
//	the regions' Kafkas ─▶ follow ─▶ Table: others, own ─▶ Elsewhere, Highest
//	                                   └─ an older seat here ─▶ evict ─▶ registry
//
// Pure: a Table (table.go) merges what is said of players, in any order and however
// often: the higher epoch counts, and of one epoch and session that the player left. No server's clock decides; it
// says only for how long something is kept. Acting: Presence (presence.go) follows
// the log of each region by itself, and has seats of its own region evicted of whose
// players another region knows a higher epoch (evict.go).
//
// What players set (who may see them, their lists of friends) comes in the same logs, the
// own region's too, and is handed to package friend (settings.go), which keeps the newest.
//
// Of its own region the session registry knows better. What that region's log says is
// followed only to know without asking whose seats there may be older.
//
// Neighbours are in needs.go: package kafka reads the logs, package session evicts,
// gives later epochs than Highest, and confirms no earlier ones; cmd/throng connects (presence.go).
//
// When it misbehaves: throng_presence_age_seconds says how old a region's copy is, the
// log why; throng_presence_changes_total what became of what was said.
package presence
