// Package economy holds what servers reported against what the ledger committed,
// and both against the catalog. It posts nothing.
//
//	ledger.posted ───┬──▶ days: sources and sinks of each item      ─▶ Files, by day
//	                 ├──▶ impossible: not what the catalog allows   ─▶ flags, with evidence
//	ledger.reported ─┴──▶ pairs: the same transfer, told by both    ─▶ flags, with evidence
//
// A transfer is told twice: by the ledger, which committed it, and by the game server
// that posted it. Both have to say the same. What one of them says alone is a
// difference once a while has passed, and none any more when the other one comes.
//
// Many "posted, not reported": game servers crashed, or their events wait on their
// disks. "reported, not posted" is a server that makes things up.
package economy
