package dns

import (
	"context"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/errgroup"
)

// health is whether a region takes players, by what it answered. It changes only
// after so many answers of the other kind in a row, so that one that was lost
// moves nobody. The zero value is up.
type health struct {
	down   bool
	streak int // answers in a row that say the other thing
}

// saw takes an answer's HTTP status in, 0: none came, and says whether that changed
// anything.
func (h *health) saw(status int, c *Config) bool {
	ready := status == http.StatusOK
	if ready != h.down {
		h.streak = 0
		return false
	}
	need := c.DownAfter
	if h.down {
		need = c.UpAfter
	}
	if h.streak++; h.streak < need {
		return false
	}
	h.down, h.streak = !ready, 0
	return true
}

// view is all that answers depend on. It doesn't change.
type view struct {
	table *Table
	down  []bool // by region
}

// best is the nearest region that is up and has addresses of so many bits; if none is
// up, the nearest, as more likely it is we who don't reach them. -1: none has
// such addresses.
func (v *view) best(order []uint8, bits int) int {
	fallback := -1
	for _, n := range order {
		switch {
		case len(v.table.regions[n].kind(bits)) == 0:
		case !v.down[n]:
			return int(n)
		case fallback < 0:
			fallback = int(n)
		}
	}
	return fallback
}

// place is a region as it is polled: one whose URL changed is another.
type place struct{ id, url string }

// SetTable makes another table that answers come from. Regions that it has in
// common with the last keep their health.
func (s *Server) SetTable(t *Table) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kept := map[place]health{}
	s.metrics.up.Reset()
	for _, r := range t.regions {
		at := place{r.ID, r.Ready}
		kept[at] = s.health[at]
		s.metrics.region(r.ID, kept[at])
	}
	s.health = kept
	s.metrics.networks.Set(float64(len(t.networks)))
	s.show(t)
}

// show publishes a table with what is known of its regions. s.mu is held.
func (s *Server) show(t *Table) {
	v := &view{table: t}
	for _, r := range t.regions {
		v.down = append(v.down, s.health[place{r.ID, r.Ready}].down)
	}
	s.view.Store(v)
}

// heard takes in what a region answered.
func (s *Server) heard(ctx context.Context, at place, status int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	h, known := s.health[at]
	if !known { // the table has changed meanwhile
		return
	}
	changed := h.saw(status, &s.config)
	s.health[at] = h
	if !changed {
		return
	}
	s.metrics.region(at.id, h)
	s.show(s.view.Load().table)
	if h.down {
		s.config.Logger.WarnContext(ctx, "region is down, players are sent elsewhere", "region", at.id)
	} else {
		s.config.Logger.InfoContext(ctx, "region is up again", "region", at.id)
	}
}

// poll asks every region at intervals until ctx ends.
func (s *Server) poll(ctx context.Context) error {
	ticker := time.NewTicker(s.config.Poll)
	defer ticker.Stop()
	for {
		var group errgroup.Group
		for _, r := range s.view.Load().table.regions {
			if r.Ready == "" {
				continue
			}
			group.Go(func() error {
				status := s.ask(ctx, r.Ready)
				if ctx.Err() == nil {
					s.heard(ctx, place{r.ID, r.Ready}, status)
				}
				return nil
			})
		}
		_ = group.Wait() // they return none
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
		}
	}
}

// ask returns the HTTP status of a region's answer; 0: none came.
func (s *Server) ask(ctx context.Context, url string) int {
	ctx, cancel := context.WithTimeout(ctx, s.config.PollWait)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0
	}
	resp, err := s.config.HTTP.Do(req)
	if err != nil {
		return 0
	}
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, 4096)) // so that the connection is kept
	_ = resp.Body.Close()
	if err != nil {
		return 0
	}
	return resp.StatusCode
}
