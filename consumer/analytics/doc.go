// Package analytics counts what happens in places: by minute, as it is now, and
// for good in Parquet files.
//
//	player.joined, player.left, session.opened, session.ended ─▶ seats, sessions ─┐
//	match.placed, ledger.posted, place.* ───────────────────────────────────────────┼▶ counts of a place and a minute
//	presence.changed ─▶ days on which a player was there ─▶ cohorts               ─┘     │ live: Board   │ for good: Files
//
// A seat's part in the counts follows from what is known of it (when it began, when
// it ended, when its session did), whatever was heard first: when something is
// heard its old part is taken out and the new one put in. An event counts in the
// minute in which it happened, however late it comes.
//
// What was counted since the last file is frozen into a row, written to files whose
// names follow from the shard and a number, and then the row goes. Written again
// after a crash, a file is the same. A file has what was added to minutes, so sums
// over all files are right, also with late events.
//
// "players" stays too high: a session's end was never announced; see session.ended.
package analytics
