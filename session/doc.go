// Package session is the registry: which sessions there are, who holds and who
// has a seat in them, and where each player is.
//
// A join is a few steps, each of one shard and each repeatable: Claim (an
// epoch in each member's record), Hold (seats for the whole party), Settle (the
// ticket's answer, in the caller's record), and, once a member has arrived,
// Confirm (the hold becomes a seat, and the player's older seat is evicted). A
// crash between two steps is finished by repeating the ticket or the confirm,
// or lapses by itself; nothing is locked across shards.
//
// Neighbours: match claims, holds and settles; game servers heartbeat, report
// and confirm through the door (package api); fleet ends sessions whose server
// died. Below is a Store (needs.go): package memory on one machine. Orders to
// servers go out through a Courier.
//
// Where to look when it misbehaves. All joins answer "the registry is
// rebuilding": Run is not running, or its stamps take over 2 s (tick.go).
// Sessions end with "no heartbeat": the lease, decided in tick.go. A player is
// sent out of a session: throng_registry_evictions_total and Confirm in seat.go.
// Seats that never come free: throng_registry_holds, and the store's holds.
package session
