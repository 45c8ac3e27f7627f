package match

import (
	"cmp"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

var update = flag.Bool("update", false, "rewrite what testdata expects")

// TestPool plays the transcripts in testdata. A block of commands is followed
// by ---- and by all that must come out of it, up to an empty line.
//
//	open    ID [capacity=50] [seated=0] [held=0] [state=open]   the feed tells of a session
//	choose  [party=1] [fill=1] [latency=0] [friendly=0] [random=0] [keep=0] [friends=ID:N,ID:N] [refused=ID,ID] [REGION=MS...]
//	take    ID [party=1]          promise seats
//	held    ID [party=1] seated=  the hold came through
//	refuse  ID [party=1]          the registry had no room
//	gone    ID [party=1]          the registry knows no such session
//	return  ID [party=1]          not held after all
//	file    NAME [party=1]        a ticket joins the line
//	leave   NAME                  and gives up
//	seat                          all who fit are seated
//	line                          who waits, with positions
func TestPool(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("got %d transcripts (%v), want some", len(files), err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { play(t, file) })
	}
}

func play(t *testing.T, file string) {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	stage := newStage()
	var all strings.Builder
	lines := strings.Split(strings.TrimRight(string(text), "\n"), "\n")
	var out strings.Builder
	for i := 0; i < len(lines); i++ {
		all.WriteString(lines[i] + "\n")
		if lines[i] != "----" {
			if lines[i] != "" && !strings.HasPrefix(lines[i], "#") {
				out.WriteString(stage.do(t, lines[i]))
			}
			continue
		}
		from := i + 1
		for i+1 < len(lines) && lines[i+1] != "" {
			i++
		}
		want := strings.Join(lines[from:i+1], "\n")
		got := strings.TrimRight(out.String(), "\n")
		if got != want && !*update {
			t.Errorf("%s:%d: got\n%s\nwant\n%s", file, from, got, want)
		}
		all.WriteString(got + "\n")
		out.Reset()
	}
	if *update {
		if err := os.WriteFile(file, []byte(all.String()), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// stage is what a transcript acts on.
type stage struct {
	line  *line
	names map[*ask]string
	asks  map[string]*ask
	marks map[throng.SessionID]uint64
}

func newStage() *stage {
	return &stage{
		line:  newLine(poolKey{"arena", 1}),
		names: map[*ask]string{},
		asks:  map[string]*ask{},
		marks: map[throng.SessionID]uint64{},
	}
}

func (s *stage) waiting() []*ask { return slices.Concat(s.line.block, s.line.rest) }

func (s *stage) do(t *testing.T, command string) string {
	t.Helper()
	words := strings.Fields(command)
	name, pairs := "", map[string]string{}
	for _, w := range words[1:] {
		if k, v, ok := strings.Cut(w, "="); ok {
			pairs[k] = v
		} else {
			name = w
		}
	}
	id := throng.SessionID(name)
	party := number(t, pairs, "party", 1)
	pool := s.line.pool
	switch words[0] {
	case "open":
		pool.Put(sessionOf(t, id, pairs))
	case "choose":
		got, ok := pool.Choose(wantOf(t, pairs))
		if !ok {
			return "none\n"
		}
		return string(got) + "\n"
	case "take":
		s.marks[id] = pool.Take(id, party)
	case "held":
		pool.Held(sessionOf(t, id, pairs), party, s.marks[id])
	case "refuse":
		pool.Refuse(id, party, s.marks[id])
	case "gone":
		pool.Gone(id, party, s.marks[id])
	case "return":
		pool.Return(id, party)
	case "file":
		a := &ask{want: *wantOf(t, pairs)}
		s.asks[name], s.names[a] = a, name
		s.line.join(a)
	case "leave":
		s.line.leave(s.asks[name])
	case "seat":
		var b strings.Builder
		s.line.seat(func(a *ask, id throng.SessionID) {
			pool.Take(id, a.want.Seats)
			fmt.Fprintf(&b, "%s -> %s\n", s.names[a], id)
		})
		return b.String()
	case "line":
		var b strings.Builder
		for _, a := range s.waiting() {
			before := 0
			for _, other := range s.waiting() {
				if other.number < a.number {
					before++
				}
			}
			fmt.Fprintf(&b, "%s waits as number %d\n", s.names[a], before+1)
		}
		return b.String()
	case "pack":
		var b strings.Builder
		aboard, left := s.line.pack(number(t, pairs, "capacity", 50))
		for _, a := range aboard {
			fmt.Fprintf(&b, "%s ", s.names[a])
		}
		fmt.Fprintf(&b, "and %d seats; %d seats are still waited for\n", left, s.line.seats)
		return b.String()
	default:
		t.Fatalf("%q is no command", command)
	}
	return ""
}

func sessionOf(t *testing.T, id throng.SessionID, pairs map[string]string) throng.Session {
	t.Helper()
	state := throng.SessionOpen
	if word := pairs["state"]; word != "" {
		var err error
		if state, err = throng.ParseSessionState(word); err != nil {
			t.Fatal(err)
		}
	}
	return throng.Session{
		ID: id, Place: "arena", Version: 1, State: state,
		Capacity: number(t, pairs, "capacity", 50),
		Seated:   number(t, pairs, "seated", 0),
		Held:     number(t, pairs, "held", 0),
	}
}

func wantOf(t *testing.T, pairs map[string]string) *Want {
	t.Helper()
	w := &Want{
		Seats:     number(t, pairs, "party", 1),
		Weights:   throng.Weights{Fill: 1},
		Latencies: map[throng.RegionID]float64{},
	}
	for k, v := range pairs {
		f, err := strconv.ParseFloat(v, 64)
		switch {
		case k == "friends":
			w.Friends = friendsOf(t, v)
			continue
		case k == "friendly":
			w.Weights.Friends = f
		case k == "keep":
			w.Keep = int(f)
		case k == "refused":
			for id := range strings.SplitSeq(v, ",") {
				w.Refused = append(w.Refused, throng.SessionID(id))
			}
			continue
		case k == "fill":
			w.Weights.Fill = f
		case k == "latency":
			w.Weights.Latency = f
		case k == "random":
			w.Random = uint64(f * (1 << 63) * 2)
		case k != "party":
			w.Latencies[throng.RegionID(k)] = f
		}
		if err != nil {
			t.Fatalf("%s=%s: %v", k, v, err)
		}
	}
	return w
}

// friendsOf reads "ses_eu_a:2,ses_eu_b:1".
func friendsOf(t *testing.T, text string) []throng.SessionFriends {
	t.Helper()
	var list []throng.SessionFriends
	for one := range strings.SplitSeq(text, ",") {
		id, n, _ := strings.Cut(one, ":")
		count, err := strconv.Atoi(n)
		if err != nil {
			t.Fatalf("friends=%s: %v", text, err)
		}
		list = append(list, throng.SessionFriends{Session: throng.SessionID(id), Friends: count})
	}
	return list
}

func number(t *testing.T, pairs map[string]string, key string, otherwise int) int {
	t.Helper()
	text, ok := pairs[key]
	if !ok {
		return otherwise
	}
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s=%s: %v", key, text, err)
	}
	return n
}

// TestChooseIsBest compares the index with the plainest search there is.
func TestChooseIsBest(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	regions := []string{"eu", "us", "asia"}
	for round := range 300 {
		p := NewPool()
		var all []throng.Session
		for i := range 60 {
			s := throng.Session{
				ID:    throng.SessionID(fmt.Sprintf("ses_%s_%03d", regions[random.IntN(3)], i)),
				State: throng.SessionOpen, Capacity: 10 + 10*random.IntN(2),
			}
			s.Seated = random.IntN(s.Capacity + 1)
			all = append(all, s)
			p.Put(s)
		}
		w := &Want{
			Seats:   1 + random.IntN(5),
			Weights: throng.Weights{Fill: float64(random.IntN(3)), Latency: float64(random.IntN(3))},
			Latencies: map[throng.RegionID]float64{
				"eu": random.Float64() * 300, "us": random.Float64() * 300,
			},
			Refused: []throng.SessionID{all[0].ID, all[1].ID},
			Keep:    random.IntN(4),
			Random:  random.Uint64(),
		}
		w.Weights.Friends = float64(random.IntN(20))
		for n := random.IntN(6); n > 0; n-- {
			w.Friends = append(w.Friends, throng.SessionFriends{Session: all[n*7].ID, Friends: n})
		}
		slices.SortFunc(w.Friends, func(a, b throng.SessionFriends) int { return cmp.Compare(a.Session, b.Session) })
		best, scores := math.Inf(-1), map[throng.SessionID]float64{}
		for _, s := range all {
			if s.Free() < w.Seats || slices.Contains(w.Refused, s.ID) {
				continue
			}
			scores[s.ID] = w.Weights.Fill*float64(s.Seated)/float64(s.Capacity) +
				w.Weights.Latency*latencySignal(w.Latencies, s.ID.Region())
			scores[s.ID] += extra(w, s)
			best = max(best, scores[s.ID])
		}
		got, ok := p.Choose(w)
		if ok != (len(scores) > 0) {
			t.Fatalf("round %d: got %v, want %v", round, ok, len(scores) > 0)
		}
		if score, fits := scores[got]; ok && (!fits || score < best-math.Abs(best)*(1-near)-1e-12) {
			t.Fatalf("round %d: got %s with score %v, want one near %v", round, got, score, best)
		}

		// The same sessions in another order: the same choice.
		random.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		q := NewPool()
		for _, s := range all {
			q.Put(throng.Session{ID: s.ID, Capacity: s.Capacity})
			q.Put(s)
		}
		if again, _ := q.Choose(w); again != got {
			t.Fatalf("round %d: got %s in one order, %s in another", round, got, again)
		}
	}
}

// extra is what friends and kept seats add to a session's score.
func extra(w *Want, s throng.Session) float64 {
	for _, f := range w.Friends {
		if f.Session == s.ID {
			return w.Weights.Friends * float64(f.Friends) / float64(f.Friends+1)
		}
	}
	if s.Free()-w.Seats < w.Keep {
		return -max(w.Weights.Fill, 1)
	}
	return 0
}

func TestChooseAllocatesNothing(t *testing.T) {
	p, ids := crowd(1000)
	w := &Want{Seats: 1, Weights: throng.Weights{Fill: 1, Latency: 1}, Refused: ids[:3], Keep: 2}
	for _, id := range ids[2:202] {
		w.Friends = append(w.Friends, throng.SessionFriends{Session: id, Friends: 1})
	}
	p.Choose(w)
	if n := testing.AllocsPerRun(100, func() { p.Choose(w) }); n != 0 {
		t.Errorf("got %v allocations a choice, want 0", n)
	}
}

// crowd is a pool of n sessions of 50, differently full.
func crowd(n int) (*Pool, []throng.SessionID) {
	random := rand.New(rand.NewPCG(3, 4))
	p := NewPool()
	ids := make([]throng.SessionID, n)
	for i := range ids {
		var e throng.Entropy
		for j := range e {
			e[j] = byte(random.Uint32())
		}
		ids[i] = throng.MakeSessionID("eu-west", 7, e)
		p.Put(throng.Session{ID: ids[i], State: throng.SessionOpen, Capacity: 50, Seated: random.IntN(51)})
	}
	return p, ids
}

// BenchmarkPlacement is one whole placement in 20,000 sessions: choose, take,
// held, and the feed's word; and a player who leaves elsewhere, so that there is
// always room. Each core has a pool of its own.
func BenchmarkPlacement(b *testing.B) {
	for _, signals := range []int{0, 2} {
		b.Run(fmt.Sprintf("signals=%d", signals), func(b *testing.B) {
			b.ReportAllocs()
			pools := make(chan *Pool, runtime.GOMAXPROCS(0))
			var sessions []throng.Session
			for range cap(pools) {
				var p *Pool
				p, sessions = crowdWithSignals(20_000, signals)
				for _, w := range someWants(signals) {
					p.Choose(&w) // grows tree and scratch
				}
				pools <- p
			}
			b.ResetTimer()
			cpu := cpuTime(b)
			b.RunParallel(func(pb *testing.PB) {
				p, wants, random := <-pools, someWants(signals), rand.New(rand.NewPCG(5, 6))
				for i := 0; pb.Next(); i++ {
					w := &wants[i%len(wants)]
					w.Random = random.Uint64()
					placeOne(b, p, w)
					other, _ := p.Session(sessions[random.IntN(len(sessions))].ID)
					for other.Seated == 0 {
						other, _ = p.Session(sessions[random.IntN(len(sessions))].ID)
					}
					other.Seated--
					p.Put(other)
				}
			})
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "placements/s")
			b.ReportMetric(float64((cpuTime(b)-cpu).Nanoseconds())/float64(b.N), "cpu-ns/op")
		})
	}
}

func placeOne(b *testing.B, p *Pool, w *Want) {
	b.Helper()
	id, ok := p.Choose(w)
	if !ok {
		b.Error("got no session, want one")
		return
	}
	mark := p.Take(id, 1)
	s, _ := p.Session(id)
	s.Seated++
	p.Held(s, 1, mark)
	p.Put(s)
}
