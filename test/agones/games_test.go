package agones_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/throng-gg/throng/test/agones/control"
)

// games are game server processes that do what recorded ones did: they say
// that they are ready and healthy, until the test says otherwise.
type games struct {
	mu   sync.Mutex
	game map[string]*game
	// shy games never say that they are ready.
	shy atomic.Bool
	// loading holds up games that begin; nil holds up none.
	loading atomic.Pointer[chan struct{}]
}

type game struct {
	sdk  string
	exit chan int
	mute atomic.Bool // no more /health
}

func newGames() *games { return &games{game: map[string]*game{}} }

func (gs *games) play(ctx context.Context, p control.Player) error {
	g := &game{sdk: p.SDK, exit: make(chan int, 1)}
	gs.mu.Lock()
	gs.game[p.GameServer.Name] = g
	gs.mu.Unlock()
	if loading := gs.loading.Load(); loading != nil {
		select {
		case <-ctx.Done():
			return nil
		case <-*loading:
		}
	}
	if !gs.shy.Load() {
		if err := post(ctx, p.SDK+"/ready"); err != nil {
			return err
		}
	}
	beat := time.NewTicker(time.Second)
	defer beat.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case code := <-g.exit:
			if code != 0 {
				return fmt.Errorf("exit code %d", code)
			}
			return nil
		case <-beat.C:
			if !g.mute.Load() {
				if err := post(ctx, p.SDK+"/health"); err != nil && ctx.Err() == nil {
					return err
				}
			}
		}
	}
}

func post(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, res.Status)
	}
	return nil
}

// of waits for a server's game.
func (gs *games) of(t *testing.T, name string) *game {
	t.Helper()
	deadline := time.Now().Add(20 * time.Second)
	for {
		gs.mu.Lock()
		g := gs.game[name]
		gs.mu.Unlock()
		if g != nil {
			return g
		}
		if time.Now().After(deadline) {
			t.Fatalf("no game of %s runs", name)
		}
		select {
		case <-t.Context().Done():
		case <-time.After(10 * time.Millisecond):
		}
	}
}
