package sdk

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

const (
	boardEvery = time.Second // between two rounds of writes
	boardRest  = 30 * time.Second
	roundCalls = 64 // of one round; the rest is for the next
	valuesMost = 1000
)

// PlayersName is the name of the counter or list that a Fleet has for the number,
// or the names, of a server's players.
const PlayersName = "players"

// Board keeps the server's GameServer telling people what it does: labels,
// annotations, and the list or counter of players where the Fleet has one. What
// it shows is for people only, so it is written rarely, in rounds, the newest
// state each time, and what fails is written in a later round.
type Board struct {
	client *Client
	every  time.Duration
	// told holds one: there is something to write.
	told chan struct{}

	mu      sync.Mutex
	labels  map[string]string // guarded by mu; as they should be
	notes   map[string]string // guarded by mu; annotations as they should be
	players []string          // guarded by mu; as they should be, sorted
	seats   int               // guarded by mu

	shown shown // owned by Run
}

// shown is what was written.
type shown struct {
	labels, notes map[string]string
	counter, list bool // the GameServer has such; false: not that is known
	asked         bool
	count         Counter
	values        map[string]bool
}

// NewBoard makes an empty one that writes once it is Run, a round every so often;
// 0: a second.
func NewBoard(c *Client, every time.Duration) *Board {
	if every <= 0 {
		every = boardEvery
	}
	return &Board{
		client: c, every: every, told: make(chan struct{}, 1),
		labels: map[string]string{}, notes: map[string]string{},
		shown: shown{labels: map[string]string{}, notes: map[string]string{}, values: map[string]bool{}, count: Counter{Count: -1}},
	}
}

// Label shows a label. It does not wait.
func (b *Board) Label(key, value string) { b.set(func() { b.labels[key] = value }) }

// Annotate shows an annotation. It does not wait.
func (b *Board) Annotate(key, value string) { b.set(func() { b.notes[key] = value }) }

// Players shows who is there, of how many seats. It does not wait.
func (b *Board) Players(names []string, seats int) {
	sorted := slices.Compact(slices.Sorted(slices.Values(names)))
	b.set(func() { b.players, b.seats = sorted[:min(len(sorted), valuesMost)], seats })
}

func (b *Board) set(change func()) {
	b.mu.Lock()
	change()
	b.mu.Unlock()
	select {
	case b.told <- struct{}{}:
	default: // the round to come shows it
	}
}

// Run writes until ctx ends, which is its only error.
func (b *Board) Run(ctx context.Context) error {
	for {
		if err := pause(ctx, b.every); err != nil {
			return err
		}
		if b.round(ctx) {
			continue // more to write, or something failed
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-b.told:
		case <-time.After(boardRest):
			b.shown.asked = false // others may have changed it
		}
	}
}

// round writes what differs. It says whether some of it still does.
func (b *Board) round(ctx context.Context) (more bool) {
	b.mu.Lock()
	labels, notes := maps.Clone(b.labels), maps.Clone(b.notes)
	players, seats := b.players, b.seats
	b.mu.Unlock()
	left := roundCalls
	ok := b.write(ctx, labels, b.shown.labels, b.client.SetLabel, &left)
	ok = b.write(ctx, notes, b.shown.notes, b.client.SetAnnotation, &left) && ok
	return !b.writePlayers(ctx, players, seats, &left) || !ok
}

// write sets what differs. A value that is refused is not tried again.
func (b *Board) write(
	ctx context.Context, want, have map[string]string, set func(context.Context, string, string) error, left *int,
) bool {
	for _, key := range slices.Sorted(maps.Keys(want)) {
		if old, ok := have[key]; ok && old == want[key] {
			continue
		}
		if *left--; *left < 0 {
			return false
		}
		if err := set(ctx, key, want[key]); err != nil && !b.refused(ctx, key, err) {
			return false
		}
		have[key] = want[key]
	}
	return true
}

// refused says whether an error will not go away.
func (b *Board) refused(ctx context.Context, what string, err error) bool {
	if away(err) || ctx.Err() != nil {
		return false
	}
	b.client.logger.WarnContext(ctx, "GameServer not written", "what", what, "err", err)
	return true
}

// writePlayers brings the list or counter of players up to date.
func (b *Board) writePlayers(ctx context.Context, players []string, seats int, left *int) bool {
	s := &b.shown
	if !s.asked {
		g, err := b.client.GameServer(ctx)
		if err != nil {
			return false
		}
		list, hasList := g.Status.Lists[PlayersName]
		_, hasCounter := g.Status.Counters[PlayersName]
		s.list, s.counter, s.asked = hasList, hasCounter, true
		clear(s.values)
		for _, v := range list.Values {
			s.values[v] = true
		}
		s.count = Counter{Count: -1}
	}
	if s.counter {
		to := Counter{Count: Int(len(players)), Capacity: Int(max(seats, len(players)))}
		if to != s.count {
			if _, err := b.client.SetCounter(ctx, PlayersName, to); err != nil && !b.refused(ctx, PlayersName, err) {
				return false
			}
			s.count = to
		}
	}
	return !s.list || b.writeList(ctx, players, left)
}

// writeList takes off the list who left, and puts on it who came. One that is on
// it, or not on it, already is what we want.
func (b *Board) writeList(ctx context.Context, players []string, left *int) bool {
	s := &b.shown
	for _, v := range slices.Sorted(maps.Keys(s.values)) {
		if _, here := slices.BinarySearch(players, v); here {
			continue
		}
		if *left--; *left < 0 {
			return false
		}
		_, err := b.client.RemoveValue(ctx, PlayersName, v)
		if err != nil && throng.KindOf(err) != throng.NotFound && !b.refused(ctx, PlayersName, err) {
			return false
		}
		delete(s.values, v)
	}
	for _, v := range players {
		if s.values[v] {
			continue
		}
		if *left--; *left < 0 {
			return false
		}
		_, err := b.client.AddValue(ctx, PlayersName, v)
		switch {
		case err != nil && throng.KindOf(err) == throng.Full:
			return true // the list is shorter than the session; who fits is on it
		case err != nil && throng.KindOf(err) != throng.Exists && !b.refused(ctx, PlayersName, err):
			return false
		}
		s.values[v] = true
	}
	return true
}
