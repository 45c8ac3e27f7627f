// Package fleet gives game servers to sessions: it keeps a small stock of idle
// servers connected, hands sessions over to them, and sees to it that every
// server that was allocated is used once and ends.
//
// Orchestrator (orchestrator.go) is the door: Start for matching, Attach for
// the servers' control connections, Deliver for the registry's orders. Behind
// it one goroutine owns the table (table.go) of servers and openings:
// opening.go walks an opening from Start to bound, life.go a server from
// Allocate to gone, attach.go takes connections, feed.go hears from the
// registry, reconcile.go finds what was lost. plan.go decides, purely, how many
// servers are allocated and which are released; plan_demand.go and
// plan_target.go how large the stock is, from what was opened lately and how long
// a server takes to come (stock.go).
//
// Neighbours are in needs.go: the backend that runs servers and the registry.
//
// When it misbehaves: throng_servers by phase shows where servers get stuck
// ("started" for long: they cannot reach the door; "handed": they do not bind,
// look into their logs), throng_server_openings_total how openings end,
// throng_servers_gone_total why servers end, throng_stock_draws_total whether the
// stock is large enough.
package fleet
