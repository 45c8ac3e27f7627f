package memory

import (
	"context"
	"maps"
	"slices"
	"sync"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
)

// Shards keeps what consumers make of events while this process lives. It is
// consumer.Store, and safe for concurrent use.
type Shards struct {
	mu     sync.Mutex
	shards map[consumer.Shard]*shardState // guarded by mu
}

type shardState struct {
	mark  consumer.Mark
	pages map[uint64]consumer.Page
	rows  map[string][]byte
}

var _ consumer.Store = (*Shards)(nil)

// NewShards makes an empty store.
func NewShards() *Shards { return &Shards{shards: map[consumer.Shard]*shardState{}} }

// Load shows a shard; see consumer.Store.
func (s *Shards) Load(_ context.Context, id consumer.Shard, visit func(consumer.Row) error) (consumer.Mark, []consumer.Page, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.shards[id]
	if st == nil {
		return consumer.Mark{}, nil, nil
	}
	pages := make([]consumer.Page, 0, len(st.pages))
	for _, n := range slices.Sorted(maps.Keys(st.pages)) {
		pages = append(pages, st.pages[n])
	}
	for _, k := range slices.Sorted(maps.Keys(st.rows)) {
		if err := visit(consumer.Row{Key: k, Value: slices.Clone(st.rows[k])}); err != nil {
			return consumer.Mark{}, nil, err
		}
	}
	return st.mark, pages, nil
}

// Commit writes the next commit of a shard; see consumer.Store.
func (s *Shards) Commit(_ context.Context, id consumer.Shard, c consumer.Commit) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.shards[id]
	if st == nil {
		st = &shardState{pages: map[uint64]consumer.Page{}, rows: map[string][]byte{}}
		s.shards[id] = st
	}
	if st.mark.Number+1 != c.Number {
		return throng.Errorf(throng.Conflict, "a commit was made meanwhile: the last one is %d, this one %d", st.mark.Number, c.Number)
	}
	st.mark = c.Mark
	if len(c.Page.IDs) > 0 {
		st.pages[c.Number] = c.Page
	}
	for _, n := range c.Forget {
		delete(st.pages, n)
	}
	for _, r := range c.Rows {
		if r.Value == nil {
			delete(st.rows, r.Key)
		} else {
			st.rows[r.Key] = slices.Clone(r.Value)
		}
	}
	return nil
}
