// Package copies keeps what the home region writes, profiles and the ledger of all
// games, in the stores of another region, so that it can be read there while the home
// is away, and so that the region can become the home.
//
//	the regions' Kafkas ─▶ follower ─▶ Judge ─▶ profile.Mirror, ledger.Copy
//	                          │ not yet             └─ late: is it here? no: a loss
//	                          ▼
//	                       waiting (consumer.Store)
//
// Each region publishes what it writes in its own log, under the term in which it is
// the home (profile.Copier, ledger.Relay). The others follow it there, in a group of
// their own name: their control planes share the partitions, and offsets are committed
// behind the effect. So everything comes at least once, that of a player in its order,
// and comes to the same however often it does.
//
// A transfer that another one has to come before, by a player of another partition,
// waits in the store (part.go), and is tried again. What a region published that is the
// home no more, and that the next one never got, is lost (losses.go): it is told, and
// kept for people.
//
// Neighbours are in needs.go; cmd/throng connects (copies.go).
//
// When it misbehaves: throng_copies_age_seconds says how old a copy is,
// throng_copies_waiting what waits for something that does not come,
// throng_copies_applied_total what became of all, the log why.
package copies
