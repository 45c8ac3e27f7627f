package memory

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/replica"
)

// mostReplicas bounds a Replicas.
const mostReplicas = 1024

// Replicas is a replica.Store in memory, for replicas in one process.
type Replicas struct {
	mu    sync.Mutex
	until map[throng.Replica]time.Time // guarded by mu
}

var _ replica.Store = (*Replicas)(nil)

// NewReplicas makes an empty store.
func NewReplicas() *Replicas { return &Replicas{until: map[throng.Replica]time.Time{}} }

// Announce is replica.Store's.
func (s *Replicas) Announce(_ context.Context, r throng.Replica, lease time.Duration) ([]throng.Replica, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	var list []throng.Replica
	for other, until := range s.until {
		if other.ID == r.ID || !now.Before(until) {
			delete(s.until, other)
			continue
		}
		list = append(list, other)
	}
	if lease > 0 {
		if len(s.until) >= mostReplicas {
			return nil, throng.Errorf(throng.Unavailable, "there are %d replicas already", len(s.until))
		}
		s.until[r] = now.Add(lease)
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b throng.Replica) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list, nil
}
