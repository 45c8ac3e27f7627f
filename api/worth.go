package api

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/edge/shed"
)

// worths says for every call of the document what it is worth when the door has more
// to do than it can, by net/http's pattern. A ticket is worth what is in it, see
// worthOf; here stands the most that it can be.
func worths() map[string]shed.Class {
	table := map[string]shed.Class{}
	for class, patterns := range map[shed.Class][]string{
		shed.Telemetry: {
			"GET /v1/audit", "GET /v1/joins/{ticket}", "GET /v1/places/{id}/logs", "GET /v1/places/{id}/numbers",
			"POST /v1/sessions/{id}/logs", "GET /openapi.yaml",
		},
		shed.Browse: {
			"GET /v1/places", "GET /v1/places/{id}/sessions", "GET /v1/players/{id}/presence", "GET /v1/players/{id}/friends", "GET /v1/players/{id}/privacy",
			"GET /v1/places/{id}/players/{player}/inventory", "GET /v1/places/{id}/players/{player}/transfers",
			"GET /v1/places/{id}/players/{player}/profile", "GET /v1/places/{id}/players/{player}/saves",
			"GET /v1/places/{id}/release", "PUT /v1/places/{id}/versions",
			"GET /v1/places/{id}/owners", "PUT /v1/places/{id}/owners/{player}", "DELETE /v1/places/{id}/owners/{player}",
			"GET /v1/keys", "POST /v1/keys", "GET /v1/bans", "GET /v1/bans/{player}",
		},
		// With what a join needs: a token, the list of doors, a place's package for its server.
		shed.Join: {"POST /v1/dev/token", "GET /v1/regions", "GET /v1/packages/{hash}"},
		shed.Together: {
			"POST /v1/matchmake", "POST /v1/regions/{id}/tickets",
			"POST /v1/parties", "GET /v1/parties/{id}", "POST /v1/parties/{id}/join", "POST /v1/parties/{id}/leave",
			"POST /v1/parties/{id}/invite", "DELETE /v1/parties/{id}/members/{player}",
			"PUT /v1/players/{id}/friends",
		},
		shed.Reconnect: {
			"GET /v1/matchmake/{ticket}", "DELETE /v1/matchmake/{ticket}",
			"GET /v1/regions/{id}/tickets/{ticket}", "DELETE /v1/regions/{id}/tickets/{ticket}",
			"GET /v1/sessions/{id}/socket", "POST /v1/sessions/{id}/handoff", "GET /v1/sessions/{id}/origins/{ticket}",
		},
		shed.Save: {
			"POST /v1/sessions/{id}/profiles/{player}/checkout", "PUT /v1/sessions/{id}/profiles/{player}", "POST /v1/sessions/{id}/profiles/{player}/return",
			"GET /v1/sessions/{id}/inventories/{player}", "POST /v1/transfers", "POST /v1/places/{id}/players/{player}/restore",
			"PUT /v1/players/{id}/privacy", "POST /v1/places/{id}/release", "DELETE /v1/keys/{id}", "DELETE /v1/bans/{player}",
			// Operators, who have to see what goes on, and to end it.
			"GET /v1/sessions", "GET /v1/sessions/{id}", "GET /v1/servers", "GET /v1/servers/{id}", "GET /v1/fleets",
			"POST /v1/servers/{id}/drain", "POST /v1/fleets/{cluster}/drain", "DELETE /v1/fleets/{cluster}/drain",
			"POST /v1/regions/{id}/drain", "DELETE /v1/regions/{id}/drain",
			"GET /v1/home", "POST /v1/home", "GET /v1/home/losses",
			"POST /v1/regions/{id}/owned",
		},
		shed.Lease: {
			"PUT /v1/sessions/{id}/heartbeat", "PUT /v1/sessions/{id}/report", "POST /v1/sessions/{id}/confirm",
			"POST /v1/sessions/{id}/drain", "POST /v1/sessions/{id}/end", "POST /v1/servers/claim",
			"GET /v1/servers/{id}/control", "GET /v1/nodes/{id}/control",
			"POST /v1/replicas/tell", "POST /v1/replicas/ask", "GET /v1/regions/{id}/summary", "PUT /v1/regions/{id}/home",
			// By which the machines that run the door see that it is busy and not gone.
			"GET /healthz", "GET /readyz", "GET /metrics",
		},
	} {
		for _, p := range patterns {
			table[p] = class
		}
	}
	return table
}

// worthOf is what a ticket is worth.
func worthOf(t throng.Ticket) shed.Class {
	if len(t.Party) > 1 || t.PartyID != "" || t.Mode == throng.ModeFriend {
		return shed.Together
	}
	return shed.Join
}

// isTicket says whether a call brings a ticket, whose worth is known when it was read.
func isTicket(pattern string) bool {
	return pattern == "POST /v1/matchmake" || pattern == "POST /v1/regions/{id}/tickets"
}

// overloaded is an error of a door that has more to do than it can.
type overloaded struct{ error }

func (o overloaded) Unwrap() error { return o.error }

// overload tells who is refused to come back in 1 to 3 s, each in another moment.
func overload(c shed.Class) error {
	return overloaded{throng.RetryLater(throng.Unavailable, time.Second+rand.N(2*time.Second), //nolint:gosec // no secret
		"the door is overloaded, calls of class %s are refused for now", c)}
}

// call is what a call is worth, while it goes on. It is used by one goroutine.
type call struct {
	shed  *shed.Shedder
	class shed.Class
	in    bool // it was let in and has not ended
}

type worthKey struct{}

// enter lets the call in as one of a class, if it was not let in yet.
func (c *call) enter(class shed.Class) error {
	if c == nil || c.in {
		return nil
	}
	if !c.shed.Admit(class) {
		return overload(class)
	}
	c.class, c.in = class, true
	return nil
}

func (c *call) end() {
	if c.in {
		c.shed.Done(c.class)
		c.in = false
	}
}

// admitTicketOf lets a call in for the ticket that it brings. Unavailable: the door
// is overloaded.
func admitTicketOf(ctx context.Context, t throng.Ticket) error {
	c, _ := ctx.Value(worthKey{}).(*call)
	return c.enter(worthOf(t))
}

// lease begins to measure a call, if it is a lease's that is answered at once. One
// that fails because a part is away says nothing of how busy it is.
func (a *API) lease(rt route, w http.ResponseWriter) (end func()) {
	if rt.worth != shed.Lease || rt.class == classControl || rt.class == classService {
		return func() {}
	}
	ended := a.shed.Lease()
	return func() {
		rec, ok := w.(*recorder)
		ended(ok && rec.status < http.StatusInternalServerError)
	}
}
