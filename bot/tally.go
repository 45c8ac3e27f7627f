package bot

import (
	"cmp"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

// Report is what a crowd counted. Times are in milliseconds.
type Report struct {
	Place        string         `json:"place"`
	Players      int            `json:"players"`
	Joined       int            `json:"joined"`          // players who saw their world at least once
	Failed       int            `json:"failed"`          // players who never joined, or lost their session and found no other
	Rejoined     int            `json:"rejoined"`        // times that a player lost a session and found another
	Reconnected  int            `json:"reconnected"`     // times that a player lost its connection and came back into its seat
	HandedOff    int            `json:"handed_off"`      // times that a player went along to another session that it was handed off to
	HandedSeen   int            `json:"handed_off_seen"` // of those, times that its world there was proven right
	Mismatched   int            `json:"mismatched"`      // times that a player's world was not what the server's hash says
	JoinMS       Spread         `json:"join_ms"`         // from sending the ticket to the first complete snapshot
	PlaceMS      Spread         `json:"place_ms"`        // from sending the ticket to the address of a server
	RTTMS        Spread         `json:"rtt_ms"`          // input to the snapshot that answers it, less the server's hold time
	HandoffMS    Spread         `json:"handoff_ms"`      // from the last look at the world before a handoff to the first after it
	SnapshotsS   Rate           `json:"snapshots_per_s"`
	KbitPlayer   Spread         `json:"kbit_per_player"` // downlink with IP, UDP and encryption
	Sessions     int            `json:"sessions"`        // different ones that players were placed into
	OverCapacity int            `json:"over_capacity"`   // sessions that seated more at once than their place allows
	Parties      int            `json:"parties"`         // of two and more players
	Parted       int            `json:"parties_parted"`  // of those, how many were not all in the same session in the end
	Errors       map[string]int `json:"errors"`          // by code
	// Examples has the first error of each code, in words.
	Examples map[string]string `json:"examples,omitempty"`
}

// Spread is a distribution's middle and its tail.
type Spread struct {
	P50 float64 `json:"p50"`
	P99 float64 `json:"p99"`
}

// Rate is what the middle and the worst player got.
type Rate struct {
	Median float64 `json:"median"`
	Min    float64 `json:"min"`
}

// OK says whether every player joined and saw the right world.
func (r Report) OK() bool {
	return r.Failed == 0 && r.Mismatched == 0 && r.OverCapacity == 0 && r.Joined == r.Players
}

// WriteText writes the report for people.
func (r Report) WriteText(w io.Writer) {
	row := func(name, format string, args ...any) {
		fmt.Fprintf(w, "%-18s %s\n", name, fmt.Sprintf(format, args...))
	}
	row("joined", "%d of %d", r.Joined, r.Players)
	row("failed", "%d", r.Failed)
	row("rejoined", "%d", r.Rejoined)
	row("reconnected", "%d", r.Reconnected)
	if r.HandedOff > 0 {
		row("handed off", "%d, %d saw the world there, without one for p50 %.0f ms, p99 %.0f ms", r.HandedOff, r.HandedSeen, r.HandoffMS.P50, r.HandoffMS.P99)
	}
	if r.Parties > 0 {
		row("parties", "%d, parted %d", r.Parties, r.Parted)
	}
	row("mismatched", "%d", r.Mismatched)
	row("sessions", "%d, over capacity %d", r.Sessions, r.OverCapacity)
	row("join", "p50 %.0f ms, p99 %.0f ms", r.JoinMS.P50, r.JoinMS.P99)
	row("round trip", "p50 %.1f ms, p99 %.1f ms", r.RTTMS.P50, r.RTTMS.P99)
	row("snapshots", "median %.1f/s, min %.1f/s", r.SnapshotsS.Median, r.SnapshotsS.Min)
	row("downlink", "p50 %.1f kbit/s, p99 %.1f kbit/s", r.KbitPlayer.P50, r.KbitPlayer.P99)
	for _, code := range slices.Sorted(maps.Keys(r.Errors)) {
		row("error", "%s: %d, like: %s", code, r.Errors[code], r.Examples[code])
	}
}

// tally is what the players of a crowd report to. Safe for concurrent use.
type tally struct {
	capacity int
	party    int // players of one

	mu       sync.Mutex
	players  []playerTally
	sessions map[throng.SessionID]*seated
	errors   map[string]int
	examples map[string]string // first of each code
}

type seated struct{ now, most int }

// playerTally is what one player counted. Written under tally.mu.
type playerTally struct {
	session     throng.SessionID // that it was in last
	joined      bool
	playing     bool // sees a world now
	failed      bool
	rejoined    int
	reconnected int
	handedOff   int
	// handedProven counts the handoffs after which a view was proven right.
	handedProven int
	gaps         []time.Duration // without a world, one for each handoff
	mismatched   int
	join         []time.Duration // one for each time it joined
	place        []time.Duration
	rtt          []time.Duration
	snapshots    int           // that were proven right
	bytes        int           // downlink
	inside       time.Duration // with a world in sight
	proven       time.Duration // with a world in sight that was proven right
}

func newTally(players, party, capacity int) *tally {
	return &tally{
		capacity: capacity,
		party:    party,
		players:  make([]playerTally, players),
		sessions: map[throng.SessionID]*seated{},
		errors:   map[string]int{},
		examples: map[string]string{},
	}
}

// edit changes one player's tally.
func (t *tally) edit(player int, f func(*playerTally)) {
	t.mu.Lock()
	defer t.mu.Unlock()
	f(&t.players[player])
}

// sit counts a player into a session; the returned func counts him out, once.
func (t *tally) sit(player int, s throng.SessionID) (leave func()) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.players[player].session = s
	in := t.sessions[s]
	if in == nil {
		in = &seated{}
		t.sessions[s] = in
	}
	in.now++
	in.most = max(in.most, in.now)
	return sync.OnceFunc(func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		in.now--
	})
}

// failure counts an error by its code.
func (t *tally) failure(code string, err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.errors[code] == 0 {
		t.examples[code] = err.Error()
	}
	t.errors[code]++
}

// progress is one line on how the crowd does.
func (t *tally) progress() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	joined, rejoined, reconnected, failed, mismatched, playing, handed := 0, 0, 0, 0, 0, 0, 0
	for i := range t.players {
		p := &t.players[i]
		joined += countIf(p.joined)
		rejoined += p.rejoined
		reconnected += p.reconnected
		handed += p.handedOff
		playing += countIf(p.playing)
		failed += countIf(p.failed)
		mismatched += p.mismatched
	}
	return fmt.Sprintf("joined %d of %d, rejoined %d, playing %d, sessions %d, failed %d, mismatched %d, reconnected %d, handed off %d",
		joined, len(t.players), rejoined, playing, len(t.sessions), failed, mismatched, reconnected, handed)
}

// countIf is 1 for what holds.
func countIf[B ~bool](holds B) int {
	if holds {
		return 1
	}
	return 0
}

// report sums up.
func (t *tally) report(place throng.PlaceID) Report {
	t.mu.Lock()
	defer t.mu.Unlock()
	r := Report{Place: string(place), Players: len(t.players), Sessions: len(t.sessions), Errors: t.errors, Examples: t.examples}
	var join, placed, rtt, gaps []time.Duration
	var rates, kbits []float64
	for i := range t.players {
		p := &t.players[i]
		r.Joined += countIf(p.joined)
		r.Failed += countIf(p.failed)
		r.Rejoined += p.rejoined
		r.Reconnected += p.reconnected
		r.HandedOff += p.handedOff
		r.HandedSeen += p.handedProven
		gaps = append(gaps, p.gaps...)
		r.Mismatched += p.mismatched
		join = append(join, p.join...)
		placed = append(placed, p.place...)
		rtt = append(rtt, p.rtt...)
		if s := p.proven.Seconds(); s > 0 {
			rates = append(rates, float64(p.snapshots)/s)
		}
		if s := p.inside.Seconds(); s > 0 {
			kbits = append(kbits, float64(p.bytes)*8/1000/s)
		}
	}
	r.Parties, r.Parted = t.parties()
	for _, s := range t.sessions {
		r.OverCapacity += countIf(s.most > t.capacity)
	}
	r.JoinMS, r.PlaceMS, r.RTTMS = spread(millis(join)), spread(millis(placed)), spread(millis(rtt))
	r.HandoffMS = spread(millis(gaps))
	r.KbitPlayer = spread(kbits)
	slices.Sort(rates)
	r.SnapshotsS = Rate{Median: quantile(rates, 0.5), Min: quantile(rates, 0)}
	return r
}

// parties counts those of two and more, and those whose players are not
// together.
func (t *tally) parties() (all, parted int) {
	for together := range slices.Chunk(t.players, t.party) {
		if len(together) < 2 {
			continue
		}
		all++
		apart := func(p playerTally) bool { return p.session == "" || p.session != together[0].session }
		parted += countIf(slices.ContainsFunc(together, apart))
	}
	return all, parted
}

func millis(ds []time.Duration) []float64 {
	out := make([]float64, len(ds))
	for i, d := range ds {
		out[i] = float64(d) / float64(time.Millisecond)
	}
	return out
}

func spread(values []float64) Spread {
	slices.SortFunc(values, cmp.Compare[float64])
	return Spread{P50: quantile(values, 0.5), P99: quantile(values, 0.99)}
}

// quantile takes sorted values, by nearest rank; of none it is 0.
func quantile(sorted []float64, q float64) float64 {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(int(q*float64(len(sorted))), len(sorted)-1)]
}
