package agones

import (
	"fmt"
	"net/url"
	"syscall"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

// death is that a GameServer's process is over.
type death struct{ uid, reason string }

// mirrorPods follows the pods of GameServers. That a process is over is seen
// there seconds before Agones makes its GameServer Unhealthy, and how it ended is
// seen nowhere else. Where pods may not be seen, Agones' word has to do.
func (b *Backend) mirrorPods(c *cluster) *mirror[kind.Pod] {
	name, blind := c.cfg.Name, false
	return &mirror[kind.Pod]{
		server: c.server, path: "/api/v1/namespaces/" + c.cfg.Namespace + "/pods",
		query: url.Values{"labelSelector": {kind.LabelRole + "=gameserver"}},
		meta:  func(p *kind.Pod) kind.Meta { return p.Metadata.Meta },
		replace: func(all []kind.Pod, _ uint64) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.table.unbury(name)
			for _, p := range all {
				b.pod(name, p)
			}
		},
		changed: func(p kind.Pod) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.pod(name, p)
		},
		deleted: func(p kind.Pod) {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.pod(name, p) // it may say at last how it ended
			delete(b.table.dead, place{name, p.Metadata.Name})
		},
		opened: func() { blind = false },
		lost: func(err error) {
			if err != nil && !blind {
				blind = true
				b.log.Warn("pods not watched: crashes are told when Agones notices them", "cluster", name, "err", err)
			}
		},
	}
}

// pod takes in a pod as it is now; mu is held.
func (b *Backend) pod(cluster string, p kind.Pod) {
	end, uid := p.Ended(), p.Server()
	if end == nil || uid == "" {
		return
	}
	b.saw(b.table.died(place{cluster, p.Metadata.Name}, death{uid, howEnded(*end)}))
}

// howEnded says it as a process's parent would.
func howEnded(t kind.Terminated) string {
	switch {
	case t.Reason == "OOMKilled":
		return "signal: killed, it hit its memory limit"
	case t.ExitCode > 128 && t.ExitCode < 128+64:
		return fmt.Sprintf("signal: %s", syscall.Signal(t.ExitCode-128))
	}
	return fmt.Sprintf("exit status %d", t.ExitCode)
}

// died takes in that a GameServer's process is over, whatever its state says.
func (t *table) died(at place, d death) []throng.ServerExit {
	t.dead[at] = d
	r := t.records[at]
	if r == nil || r.uid != d.uid {
		return nil // nobody's yet: Agones hands out dead ones too, see settle
	}
	return t.bury(r, d)
}

// bury ends the record of a GameServer whose process is over.
func (t *table) bury(r *record, d death) []throng.ServerExit {
	if r.over {
		return nil
	}
	exits := t.end(r, d.reason)
	t.doom(r, doomDead)
	return exits
}

// unbury forgets which processes of a cluster are over.
func (t *table) unbury(cluster string) {
	for at := range t.dead {
		if at.cluster == cluster {
			delete(t.dead, at)
		}
	}
}
