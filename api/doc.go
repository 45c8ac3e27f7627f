// Package api is the door of a region: HTTP for players, creators, operators
// and game servers, and the WebSockets over which game servers are told what to
// do. openapi.yaml is its contract; gen/ is made from it.
//
// A request goes through serve.go (metrics, panics), routes.go (who may call
// what, how large, how long), guard.go (token, limits, body; auth.go asks the
// Authenticator who brings it), the generated strict server, and one method of
// calls: matchmake.go, browse.go, publish.go, key.go, operate.go, session.go, party.go, friend.go. Whom a ticket may bring along is
// decided in company.go. control.go keeps the connections of game servers;
// the process that starts servers injects the handler of nodes. Errors become
// HTTP in problem.go and nowhere else.
//
// Its neighbours are in needs.go: the matchmaker, the registry (three views of
// it), what is published, the fleet. client/ speaks to it.
//
// When it misbehaves: throng_door_requests_total by route and code says who is
// refused, throng_door_refused_total why before the call was looked at. "call
// failed" and "call panicked" in the log are ours. A game server that hears no
// orders: throng_door_controls and "control connection lost".
package api
