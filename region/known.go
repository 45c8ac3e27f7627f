package region

import (
	"cmp"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// Known returns what each of the other regions told last, however old, by ID: of one
// that told nothing yet, its ID alone. It is for what changes rarely.
func (p *Peers) Known() []throng.RegionSummary {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := make([]throng.RegionSummary, len(p.peers))
	for i, r := range p.peers {
		out[i] = r.summary
		out[i].Region = r.id
	}
	return out
}

// Heard says whether a region's summary is fresh.
func (p *Peers) Heard(id throng.RegionID) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	i, found := slices.BinarySearchFunc(p.peers, id, func(r *peer, id throng.RegionID) int { return cmp.Compare(r.id, id) })
	return found && p.peers[i].age(time.Now()) <= FreshFor
}
