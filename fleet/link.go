package fleet

import (
	"sync"

	"github.com/throng-gg/throng"
)

// links is the connections for those who may not wait for the table.
type links struct {
	mu  sync.Mutex
	all map[throng.ServerID]Link
}

func (l *links) put(id throng.ServerID, link Link) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all[id] = link
}

func (l *links) drop(id throng.ServerID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	delete(l.all, id)
}

func (l *links) count() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.all)
}

func (l *links) get(id throng.ServerID) Link {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.all[id]
}

// Deliver sends an order to a session's server at once, through a peer if it is
// not connected here. It does not block. An order that finds no connection is
// dropped: heartbeat answers carry it.
func (o *Orchestrator) Deliver(s throng.SessionID, id throng.ServerID, order throng.Order) {
	result := o.deliver(s, id, order)
	if result == "no_link" && o.peers != nil {
		o.peers.Relay(s, id, order)
		result = "relayed"
	}
	o.metrics.orders.WithLabelValues(order.Kind.String(), result).Inc()
}

// Relayed is Deliver for an order that a peer has. All peers get it, and only
// the one with the connection delivers it.
func (o *Orchestrator) Relayed(s throng.SessionID, id throng.ServerID, order throng.Order) {
	if result := o.deliver(s, id, order); result != "no_link" {
		o.metrics.orders.WithLabelValues(order.Kind.String(), result).Inc()
	}
}

func (o *Orchestrator) deliver(s throng.SessionID, id throng.ServerID, order throng.Order) (result string) {
	link := o.links.get(id)
	if link == nil {
		return "no_link"
	}
	if err := link.Order(s, order); err != nil {
		return "lost"
	}
	return "sent"
}
