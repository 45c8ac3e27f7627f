package api

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/singleflight"

	"github.com/throng-gg/throng"
)

const (
	censusAge  = time.Second
	censusTime = 5 * time.Second // for one count
	censusPage = 1000
	censusMost = 200_000 // sessions; a region has 30,000 at its peak
)

type count struct{ players, sessions int }

// census counts a region's players and sessions by place, at most once a
// second however many ask.
type census struct {
	directory Directory
	flight    singleflight.Group

	mu    sync.Mutex
	at    time.Time
	known map[throng.PlaceID]count // never changed once set
}

// counts returns numbers that are up to a second old.
func (c *census) counts(ctx context.Context) (map[throng.PlaceID]count, error) {
	c.mu.Lock()
	known, fresh := c.known, time.Since(c.at) < censusAge
	c.mu.Unlock()
	if fresh && known != nil {
		return known, nil
	}
	done := c.flight.DoChan("", func() (any, error) {
		// The count serves all who wait, so it does not end with the first.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), censusTime)
		defer cancel()
		return c.take(ctx)
	})
	select {
	case <-ctx.Done():
		return nil, throng.Errorf(throng.Unavailable, "count sessions: %w", ctx.Err())
	case r := <-done:
		counted, _ := r.Val.(map[throng.PlaceID]count)
		return counted, r.Err
	}
}

func (c *census) take(ctx context.Context) (map[throng.PlaceID]count, error) {
	counted := make(map[throng.PlaceID]count)
	after := throng.SessionID("")
	for seen := 0; seen < censusMost; {
		page, err := c.directory.Sessions(ctx, "", after, censusPage)
		if err != nil {
			return nil, err
		}
		for _, s := range page {
			n := counted[s.Place]
			n.players += s.Seated
			n.sessions++
			counted[s.Place] = n
			after = s.ID
		}
		seen += len(page)
		if len(page) < censusPage {
			break
		}
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.known, c.at = counted, time.Now()
	return counted, nil
}
