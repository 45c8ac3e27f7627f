package bot

import (
	"context"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/client"
)

// Config is a crowd.
type Config struct {
	Door Door
	Way  Way // nil: over UDP
	// Socket is where the door relays WebSockets to a session, for players who
	// are handed off; nil: nowhere.
	Socket   func(throng.SessionID) string
	Place    throng.PlaceID
	Capacity int           // of the place's sessions
	Players  int           // 1 to 10,000
	Party    int           // how many come in together; 0 and 1: each for himself
	For      time.Duration // how long all play, once all were placed
	Seed     uint64        // of how they walk, and of their names
	Name     string        // what their names begin with; default "bot"

	Progress io.Writer     // a line every few seconds; nil: none
	Every    time.Duration // between lines; default 2 s
}

const (
	joinWithin   = 30 * time.Second // one try to get from a ticket to a world
	settleWithin = 60 * time.Second // for all to be placed, before For begins all the same
	dialAtOnce   = 64               // joins under way at once; more only wait for each other
)

// Run sends the crowd in, lets it play, takes it out again, and says what it
// saw. Errors are of the configuration only; what goes wrong for a player is in
// the report.
func Run(ctx context.Context, cfg Config) (Report, error) {
	walk, err := parseWalk(walkTrace)
	switch {
	case err != nil:
		return Report{}, err
	case cfg.Players < 1 || cfg.Players > 10_000:
		return Report{}, throng.AtField(throng.Invalid, "--players", "%d is not 1 to 10000", cfg.Players)
	case cfg.Party < 0 || cfg.Party > max(1, cfg.Capacity):
		return Report{}, throng.AtField(throng.Invalid, "--party", "%d is not 1 to %d, which a session seats", cfg.Party, cfg.Capacity)
	case cfg.For <= 0:
		return Report{}, throng.AtField(throng.Invalid, "--for", "%s is not a time to play", cfg.For)
	}
	if cfg.Name == "" {
		cfg.Name = "bot"
	}
	if cfg.Way == nil {
		cfg.Way = func(Seat) client.Dial { return dialUDP }
	}
	cfg.Party = max(1, cfg.Party)
	if cfg.Every == 0 {
		cfg.Every = 2 * time.Second
	}
	c := &crowd{cfg: cfg, walk: walk, tally: newTally(cfg.Players, cfg.Party, cfg.Capacity), doors: make(chan struct{}, dialAtOnce)}
	c.run(ctx)
	return c.tally.report(cfg.Place), nil
}

// crowd is one run.
type crowd struct {
	cfg   Config
	walk  []stretch
	tally *tally
	doors chan struct{} // bounds the joins under way
}

func (c *crowd) run(ctx context.Context) {
	playing, stop := context.WithCancel(ctx)
	defer stop()
	var players, settled sync.WaitGroup
	names := make([]throng.PlayerID, c.cfg.Players)
	for i := range names {
		names[i] = throng.PlayerID(fmt.Sprintf("%s-%d-%d", c.cfg.Name, c.cfg.Seed, i))
	}
	var together *party
	for i := range names {
		if i%c.cfg.Party == 0 {
			together = newParty(names[i:min(i+c.cfg.Party, len(names))])
		}
		p := &player{
			crowd: c,
			index: i,
			party: together,
			id:    names[i],
			rng:   rand.New(rand.NewPCG(c.cfg.Seed, uint64(i))),
		}
		settled.Add(1)
		p.settled = sync.OnceFunc(settled.Done)
		players.Go(func() { p.live(playing) })
	}
	all := make(chan struct{})
	go func() {
		settled.Wait()
		close(all)
	}()
	c.watch(ctx, all)
	stop()
	players.Wait()
	<-all
}

// watch reports progress until the crowd has played for long enough.
func (c *crowd) watch(ctx context.Context, all <-chan struct{}) {
	begun := time.Now()
	lines := time.NewTicker(c.cfg.Every)
	defer lines.Stop()
	end := time.NewTimer(settleWithin + c.cfg.For)
	defer end.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-all:
			all = nil
			end.Reset(c.cfg.For)
			c.say("all placed after %s, playing for %s", time.Since(begun).Round(10*time.Millisecond), c.cfg.For)
		case <-lines.C:
			c.say("%4.0fs  %s", time.Since(begun).Seconds(), c.tally.progress())
		case <-end.C:
			return
		}
	}
}

func (c *crowd) say(format string, args ...any) {
	if c.cfg.Progress != nil {
		fmt.Fprintf(c.cfg.Progress, format+"\n", args...)
	}
}
