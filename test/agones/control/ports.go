package control

import (
	"errors"
	"math/rand/v2"
	"sync"

	"github.com/throng-gg/throng/test/agones/object"
)

// ports gives out host ports and nodes. A port is given once for each node
// that there is. It is safe for concurrent use.
type ports struct {
	first, last int32
	nodes       []Node

	mu    sync.Mutex
	taken map[string]lease // by namespace/name
	used  map[slot]bool
	load  map[string]int // servers by node
}

type slot struct {
	node string
	port int32
}

type lease struct {
	node  Node
	ports []int32
}

var errNoPort = errors.New("no host port is free")

func newPorts(bounds [2]int32, nodes []Node) *ports {
	return &ports{
		first: bounds[0], last: bounds[1], nodes: nodes,
		taken: map[string]lease{}, used: map[slot]bool{}, load: map[string]int{},
	}
}

// lease gives n ports on a node; a second call gives the same. Servers are
// packed: the fullest node that has ports left.
func (p *ports) lease(key string, n int) (lease, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l, ok := p.taken[key]; ok {
		return l, nil
	}
	size := int(p.last - p.first + 1)
	share := max(1, size/2) // a node is full at half of its ports
	for _, limit := range []int{share, size} {
		for _, node := range p.nodes {
			if (p.load[node.Name]+1)*max(n, 1) > limit {
				continue
			}
			l := lease{node: node, ports: p.free(node.Name, n)}
			p.keep(key, l)
			return l, nil
		}
	}
	return lease{}, errNoPort
}

// free finds n ports of a node that has them.
func (p *ports) free(node string, n int) []int32 {
	var out []int32
	size := p.last - p.first + 1
	at := rand.Int32N(size) //nolint:gosec // no secret
	for i := int32(0); i < size && len(out) < n; i++ {
		port := p.first + (at+i)%size
		if !p.used[slot{node, port}] {
			out = append(out, port)
		}
	}
	return out
}

func (p *ports) keep(key string, l lease) {
	p.taken[key] = l
	p.load[l.node.Name]++
	for _, port := range l.ports {
		p.used[slot{l.node.Name, port}] = true
	}
}

// adopt remembers the ports of a server that was there before we started.
func (p *ports) adopt(gs *object.GameServer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, ok := p.taken[key(gs)]; ok || len(p.nodes) == 0 {
		return
	}
	l := lease{node: p.nodes[0]}
	for _, n := range p.nodes {
		if n.Name == gs.Status.NodeName {
			l.node = n
		}
	}
	for _, port := range gs.Spec.Ports {
		if port.HostPort != 0 {
			l.ports = append(l.ports, port.HostPort)
		}
	}
	p.keep(key(gs), l)
}

// release gives a server's ports back.
func (p *ports) release(key string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	l, ok := p.taken[key]
	if !ok {
		return
	}
	delete(p.taken, key)
	p.load[l.node.Name]--
	for _, port := range l.ports {
		delete(p.used, slot{l.node.Name, port})
	}
}
