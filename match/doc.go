// Package match places tickets: it chooses a session for a party, holds its
// seats in the registry, opens a session when none has room, and answers once
// that session's game server is bound.
//
// Pure: Pool (pool.go) is an index of one version of a place, Choose (score.go)
// picks from it (by the place's own signals: signal.go, tree.go, search.go),
// decision.go says how it did and makes it again, line (line.go) says who of those that wait is seated first and
// who fill a new session together; queue (queue.go) says who is worked on, who
// stands in line for that, where and for how long.
// Acting: Matchmaker (matchmaker.go, admission.go) admits tickets; each that is
// worked on has a goroutine of its own (work.go) that walks the steps claim,
// hold, settle, bound; the desk (desk.go), run by one goroutine, owns every Pool
// and line; opening.go opens sessions with their first players in them; feed.go
// keeps the desk current. linetoken.go lets places in line survive their
// matchmaker. Tickets that name
// a session, a friend or a code go past the lines (named.go, private.go), and so
// do those that want one of their own (alone.go). handoff.go makes a ticket of a
// group that moves from one session to another. brake.go slows
// the openings of a version whose sessions fail at start, diary.go writes down
// what is to be explained, summary.go says what other regions are told.
//
// Neighbours are in needs.go: the registry decides, this package only proposes.
//
// When it misbehaves: throng_placements_total by code says how tickets end.
// throng_line_estimate_ratio far from 1: the line does not move steadily, look at
// what the works wait for. Many "contention": the index is behind, look at the feed's warnings. More
// sessions than players need: Pool counts seats that nobody has, see
// throng_openings_total and the entry type; many
// openings with code "others" are replicas that find each other's sessions in time. "no_capacity": the fleet,
// or a version that fails at start, which the place's log says.
package match
