package redis

import (
	"context"
	"sync"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// Bounds of the reported seats that wait for one shard.
const (
	restoreBlock = 32      // players of one call
	restoreQueue = 1 << 15 // players that wait
)

// restores are the reported seats of a shard's players that wait for their
// fences: as many go in one call as came while the last one was under way.
type restores struct {
	mu      sync.Mutex
	waiting []*restoring
	busy    bool
}

// restoring is one of them.
type restoring struct {
	request session.FenceRequest
	keys    [2]string
	args    [7]string
	result  *session.Restored
	done    *sync.WaitGroup
}

// Restore makes reported seats their players' only ones.
func (st *Store) Restore(ctx context.Context, list []session.FenceRequest) ([]session.Restored, error) {
	var out []session.Restored
	err := st.around(ctx, "Restore", func() error {
		results := make([]session.Restored, len(list))
		var done sync.WaitGroup
		for i, r := range list {
			if err := st.restore(ctx, r, &results[i], &done); err != nil {
				results[i].Err = err
			}
		}
		over := make(chan struct{})
		go func() {
			done.Wait()
			close(over)
		}()
		select {
		case <-over:
			out = results
			return nil
		case <-ctx.Done():
			return away(ctx.Err())
		}
	})
	return out, err
}

// restore queues one.
func (st *Store) restore(ctx context.Context, r session.FenceRequest, result *session.Restored, done *sync.WaitGroup) error {
	args, err := st.fencing(r, reported)
	if err != nil {
		return err
	}
	name := playerName(r.Player)
	shard, keys := st.names.playerKeys(r.Player, name, "")
	s := &st.restores[shard]
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.waiting) >= restoreQueue {
		return session.Rebuilding(session.TickTime)
	}
	done.Add(1)
	one := &restoring{request: r, keys: [2]string{keys[0], keys[1]}, result: result, done: done}
	one.args[0] = name
	copy(one.args[1:], args)
	s.waiting = append(s.waiting, one)
	if !s.busy {
		s.busy = true
		go st.restoreAll(context.WithoutCancel(ctx), shard) // for others, too
	}
	return nil
}

// restoreAll works until nobody waits for the shard.
func (st *Store) restoreAll(ctx context.Context, shard uint8) {
	s := &st.restores[shard]
	for {
		s.mu.Lock()
		n := min(len(s.waiting), restoreBlock)
		block := s.waiting[:n:n]
		s.waiting = s.waiting[n:]
		if n == 0 {
			s.waiting, s.busy = nil, false
		}
		s.mu.Unlock()
		if n == 0 {
			return
		}
		st.restoreSome(ctx, shard, block)
	}
}

func (st *Store) restoreSome(ctx context.Context, shard uint8, block []*restoring) {
	ctx, cancel := context.WithTimeout(ctx, st.config.Timeout)
	defer cancel()
	start := st.names.shard[shard]
	keys, args := make([]string, 0, 3+2*len(block)), make([]string, 0, 7*len(block))
	for i, one := range block {
		keys, args = append(keys, one.keys[:]...), append(args, one.args[:]...)
		if i == 0 {
			keys = append(keys, start+"w", start+"n", start+"g")
		}
	}
	got, err := st.run(ctx, call{link: st.bulk, shard: shard, script: scriptRestore, keys: keys, args: args})
	for i, one := range block {
		if err != nil {
			one.result.Err = err
		} else {
			one.result.Older, one.result.Err = st.restored(one.request, got, i+1)
		}
		one.done.Done()
	}
}

func (st *Store) restored(r session.FenceRequest, got []rueidis.RedisMessage, i int) ([]session.Eviction, error) {
	if i >= len(got) {
		return nil, throng.Errorf(throng.Internal, "redis answered for %d players only", len(got)-1)
	}
	if got[i].IsInt64() {
		return nil, nil
	}
	answer, err := got[i].ToArray()
	if err != nil || len(answer) == 0 {
		return nil, throng.Errorf(throng.Internal, "redis answered nothing for %s", r.Player)
	}
	if err := errTooMany(answer); err != nil {
		return nil, err
	}
	return st.fenced(r, answer)
}
