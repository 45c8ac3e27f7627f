package control

import (
	"context"
	"sync"
	"time"

	"github.com/throng-gg/throng/test/agones/object"
)

// Plays are the pretended game server processes. They outlive a controller, as
// Pods do. It is safe for concurrent use.
type Plays struct {
	mu      sync.Mutex
	wg      sync.WaitGroup
	stopped bool
	running map[string]*play // by namespace/name
	ended   func(key string) // tells the controller of the moment
}

type play struct {
	since  time.Time
	cancel context.CancelFunc // nil when nothing runs
	exit   *exit
}

// exit is how a process ended.
type exit struct {
	code int
	at   time.Time
}

// NewPlays returns none.
func NewPlays() *Plays { return &Plays{running: map[string]*play{}} }

// Stop ends all and waits for them.
func (ps *Plays) Stop() {
	ps.mu.Lock()
	ps.stopped = true
	for _, p := range ps.running {
		p.stop()
	}
	ps.mu.Unlock()
	ps.wg.Wait()
}

func (p *play) stop() {
	if p.cancel != nil {
		p.cancel()
	}
}

func (ps *Plays) tell(ended func(key string)) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	ps.ended = ended
}

// since is when the server was seen scheduled first.
func (ps *Plays) since(key string) time.Time {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	return ps.known(key).since
}

func (ps *Plays) known(key string) *play {
	p, ok := ps.running[key]
	if !ok {
		p = &play{since: time.Now()}
		ps.running[key] = p
	}
	return p
}

// start runs f unless it runs or ran already.
func (ps *Plays) start(ctx context.Context, key string, f func(context.Context) (code int)) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p, ok := ps.running[key]; ok && (p.cancel != nil || p.exit != nil) || ps.stopped {
		return
	}
	playing, cancel := context.WithCancel(context.WithoutCancel(ctx))
	ps.known(key).cancel = cancel
	ps.wg.Go(func() {
		defer cancel()
		code := f(playing)
		if playing.Err() == nil {
			ps.kill(key, code)
		}
	})
}

// kill ends the process of a server and remembers how.
func (ps *Plays) kill(key string, code int) {
	ps.mu.Lock()
	p := ps.known(key)
	p.stop()
	if p.exit == nil {
		p.exit = &exit{code: code, at: time.Now()}
	}
	ended := ps.ended
	ps.mu.Unlock()
	if ended != nil {
		ended(key)
	}
}

// exit tells how a server's process ended, nil if it did not.
func (ps *Plays) exit(key string) *exit {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p, ok := ps.running[key]; ok {
		return p.exit
	}
	return nil
}

// forget stops what a server that is gone runs.
func (ps *Plays) forget(key string) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	if p, ok := ps.running[key]; ok {
		p.stop()
		delete(ps.running, key)
	}
}

// play runs Config.Play beside a sidecar.
func (c *Controller) play(ctx context.Context, gs *object.GameServer) {
	c.cfg.Plays.start(ctx, key(gs), func(ctx context.Context) int {
		url, err := c.cfg.Sidecar(ctx, gs.Namespace, gs.Name)
		if err == nil {
			err = c.cfg.Play(ctx, Player{GameServer: gs, SDK: url})
		}
		if err == nil {
			return 0
		}
		if ctx.Err() == nil {
			c.cfg.Log.InfoContext(ctx, "game server process ended", "server", gs.Name, "err", err)
		}
		return 1
	})
}
