package memory

import (
	"bytes"
	"context"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer/analytics"
)

// mostPosts is how many summaries are kept: of places times partitions.
const mostPosts = 1 << 17

// Board keeps the newest summaries of places while this process lives. It is
// analytics.Board, and safe for concurrent use.
type Board struct {
	mu    sync.Mutex
	posts map[throng.PlaceID]map[string][]byte // guarded by mu
	count int                                  // guarded by mu
}

var _ analytics.Board = (*Board)(nil)

// NewBoard makes an empty board.
func NewBoard() *Board { return &Board{posts: map[throng.PlaceID]map[string][]byte{}} }

// Post replaces a shard's summary of a place. Unavailable: there is no room.
func (b *Board) Post(_ context.Context, place throng.PlaceID, shard string, summary []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	of := b.posts[place]
	if of == nil {
		of = map[string][]byte{}
		b.posts[place] = of
	}
	if of[shard] == nil {
		if b.count >= mostPosts {
			return throng.RetryLater(throng.Unavailable, time.Minute, "%d summaries are kept, which is the most", mostPosts)
		}
		b.count++
	}
	of[shard] = bytes.Clone(summary)
	return nil
}

// Posts returns all summaries of a place.
func (b *Board) Posts(_ context.Context, place throng.PlaceID) ([][]byte, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	out := make([][]byte, 0, len(b.posts[place]))
	for _, s := range b.posts[place] {
		out = append(out, s)
	}
	return out, nil
}
