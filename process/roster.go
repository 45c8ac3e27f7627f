package process

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/fleet/endings"
)

// roster is what the control plane believes of its nodes and their servers. It
// does no I/O and reads no clock; Nodes guards it.
//
// A server's life as the control plane sees it:
//
//	asked ──▶ alive ──▶ ended ──▶ (told)
//	            └─ away ─▶ (told) ─▶ alive again, when its node is back with it
//
// Only its node's word makes a server ended. Silence makes it away, which is
// told late and with caution (overdue): a node that is cut off keeps running its
// game servers, and players may be in them.
type roster struct {
	nodes   map[throng.NodeID]*machine
	servers map[throng.ServerID]*placed
	// over are servers that were released, or that their node said are over.
	over *endings.Recent
	// avoid are nodes that get no more servers.
	avoid map[throng.NodeID]bool
}

// machine is one node.
type machine struct {
	id      throng.NodeID
	link    *link // nil: away
	max     int
	since   time.Time // when it went away
	servers map[throng.ServerID]*placed
	// lost are servers that were told as away, and not heard of since.
	lost map[throng.ServerID]bool
}

// placed is one server on a machine.
type placed struct {
	on    *machine
	state placedState
}

type placedState uint8

const (
	placedAsked placedState = iota // the node was asked and has not answered: it may be alive
	placedAlive                    // the node said so
	placedEnded                    // released; its exit is to be told
)

// maxRecent is how many servers that are over are remembered, so that a call
// which comes late starts nothing again.
const maxRecent = 8192

func newRoster() *roster {
	return &roster{
		nodes: make(map[throng.NodeID]*machine), servers: make(map[throng.ServerID]*placed), over: endings.NewRecent(maxRecent),
	}
}

// alive is how many servers a machine has.
func (m *machine) alive() int {
	count := 0
	for _, p := range m.servers {
		if p.state != placedEnded {
			count++
		}
	}
	return count
}

// list returns all servers that are believed alive, sorted.
func (r *roster) list() []throng.ServerID {
	ids := make([]throng.ServerID, 0, len(r.servers))
	for id, p := range r.servers {
		if p.state != placedEnded {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

// arrival is what follows from a hello.
type arrival struct {
	exits    []throng.ServerExit
	release  []throng.ServerID // alive on the node, and released
	replaced *link             // an older connection of the same node
	foreign  []throng.ServerID // claimed, and known on another node: passed over
}

// arrive takes a node's hello, which is all that there is on the node.
func (r *roster) arrive(l *link, hello message) arrival {
	m := r.nodes[hello.Node]
	if m == nil {
		m = &machine{id: hello.Node, servers: make(map[throng.ServerID]*placed), lost: make(map[throng.ServerID]bool)}
		r.nodes[hello.Node] = m
	}
	a := arrival{replaced: m.link}
	m.link, m.max, m.since = l, hello.Max, time.Time{}
	reasons := make(map[throng.ServerID]string, len(hello.Exits))
	for _, e := range hello.Exits {
		reasons[e.Server] = e.Reason
		if r.exited(m, e.Server) {
			a.exits = append(a.exits, throng.ServerExit{Server: e.Server, Reason: e.Reason})
		}
	}
	claimed := make(map[throng.ServerID]bool, len(hello.Servers))
	for _, id := range hello.Servers {
		claimed[id] = true
		switch p := r.servers[id]; {
		case p != nil && p.on != m:
			a.foreign = append(a.foreign, id)
		case r.over.Has(id):
			r.put(id, m, placedEnded)
			a.release = append(a.release, id)
		default:
			r.put(id, m, placedAlive)
		}
	}
	for id := range m.servers {
		if !claimed[id] && r.exited(m, id) {
			a.exits = append(a.exits, throng.ServerExit{Server: id, Reason: fmt.Sprintf("node %s came back without it", m.id)})
		}
	}
	clear(m.lost)
	sortExits(a.exits)
	return a
}

// leave takes that a connection is lost. An older connection says nothing.
func (r *roster) leave(node throng.NodeID, l *link, now time.Time) {
	if m := r.nodes[node]; m != nil && m.link == l {
		m.link, m.since = nil, now
	}
}

func (r *roster) put(id throng.ServerID, m *machine, state placedState) {
	p := &placed{on: m, state: state}
	r.servers[id] = p
	m.servers[id] = p
}

func (r *roster) drop(id throng.ServerID, m *machine) {
	delete(r.servers, id)
	delete(m.servers, id)
}

// exited takes a node's word that a server is over, and says whether that is
// news to be told: it is once, also for a server that was not known, which an
// earlier control plane may have started.
func (r *roster) exited(m *machine, id throng.ServerID) bool {
	p := r.servers[id]
	if p != nil && p.on != m {
		return false
	}
	news := p != nil || !r.over.Has(id) && !m.lost[id]
	if p != nil {
		r.drop(id, m)
	}
	delete(m.lost, id)
	r.over.Add(id, "")
	return news
}

// began takes a node's word that another replica of the control plane had it
// start a server.
func (r *roster) began(m *machine, id throng.ServerID) {
	if m != nil && r.servers[id] == nil && !r.over.Has(id) {
		r.put(id, m, placedAlive)
	}
}

// allocated takes a node's answer to an allocation.
func (r *roster) allocated(m *machine, id throng.ServerID, err error) {
	p := r.servers[id]
	switch {
	case err == nil && p == nil && !r.over.Has(id):
		r.put(id, m, placedAlive)
	case p == nil || p.on != m || p.state != placedAsked:
	case err == nil:
		p.state = placedAlive
	default:
		r.drop(id, m)
	}
}

// released takes a node's word that a release is done. The exit follows, or has
// come; but not if the server was never known to run: then it is to be told now.
func (r *roster) released(m *machine, id throng.ServerID) (exited bool) {
	p := r.servers[id]
	if p == nil || p.on != m {
		return false
	}
	if p.state == placedAsked {
		r.drop(id, m)
		return true
	}
	p.state = placedEnded
	return false
}

// pick returns the machine with the most room in proportion that is not avoided,
// ties by ID; nil
// when none has room.
func (r *roster) pick(except map[*machine]bool) *machine {
	var best *machine
	bestLoad := 0.0
	for _, m := range r.nodes {
		alive := m.alive()
		if m.link == nil || except[m] || r.avoid[m.id] || alive >= m.max {
			continue
		}
		load := float64(alive) / float64(m.max)
		if best == nil || load < bestLoad || load == bestLoad && m.id < best.id {
			best, bestLoad = m, load
		}
	}
	return best
}

// caution is how much longer than the grace one waits when most nodes are away:
// then it is rather the control plane that was cut off.
const caution = 10

// overdue returns the servers of machines that are away for longer than grace,
// and forgets machines that are away for long and have none.
func (r *roster) overdue(now time.Time, grace time.Duration) []throng.ServerID {
	gone := 0
	for _, m := range r.nodes {
		if m.link == nil {
			gone++
		}
	}
	if 2*gone > len(r.nodes) {
		grace *= caution
	}
	var ids []throng.ServerID
	for _, m := range r.nodes {
		if m.link != nil || now.Sub(m.since) < grace {
			continue
		}
		for id := range m.servers {
			ids = append(ids, id)
		}
		if len(m.servers) == 0 && now.Sub(m.since) > forgetTime {
			delete(r.nodes, m.id)
		}
	}
	return ids
}

// giveUp drops servers whose machine is still away, and returns their exits.
func (r *roster) giveUp(ids []throng.ServerID) []throng.ServerExit {
	var exits []throng.ServerExit
	for _, id := range ids {
		p := r.servers[id]
		if p == nil || p.on.link != nil {
			continue
		}
		r.drop(id, p.on)
		p.on.lost[id] = true
		exits = append(exits, throng.ServerExit{Server: id, Reason: fmt.Sprintf("node %s is away", p.on.id)})
	}
	sortExits(exits)
	return exits
}

func sortExits(exits []throng.ServerExit) {
	slices.SortFunc(exits, func(a, b throng.ServerExit) int { return strings.Compare(string(a.Server), string(b.Server)) })
}

// forgetTime is how long a node is known that is away and has nothing.
const forgetTime = 24 * time.Hour
