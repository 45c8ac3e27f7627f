package region

import "github.com/throng-gg/throng"

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
