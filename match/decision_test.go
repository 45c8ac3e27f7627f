package match

import (
	"cmp"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// sent sends a decision as JSON, as people who ask get it.
func sent(t *testing.T, d throng.Decision) throng.Decision {
	t.Helper()
	text, err := json.Marshal(d)
	if err != nil {
		t.Fatal(err)
	}
	var out throng.Decision
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// TestReplayOfABusyPool makes 4,000 recorded choices again, of pools with and
// without own signals, while sessions fill and empty.
func TestReplayOfABusyPool(t *testing.T) {
	random := rand.New(rand.NewPCG(21, 4))
	others := 0
	for _, attributes := range []bool{false, true} {
		p := NewPool()
		p.recorded = true
		put := func(i int) {
			s := throng.Session{
				ID:    throng.SessionID(fmt.Sprintf("ses_%s_%03d", []string{"eu", "us"}[i%2], i)),
				State: throng.SessionOpen, Capacity: 10 + i%3*10, Seated: random.IntN(12),
			}
			if attributes && i%5 > 0 {
				s.Attributes = randomAttributes(random)
			}
			p.Put(s)
		}
		for i := range 200 {
			put(i)
		}
		for round := range 2000 {
			put(random.IntN(200))
			w := &Want{
				Seats:     1 + random.IntN(3),
				Weights:   throng.Weights{Fill: float64(random.IntN(3)), Latency: float64(random.IntN(3)), Friends: float64(random.IntN(16))},
				Latencies: map[throng.RegionID]float64{"eu": random.Float64() * 300},
				Keep:      random.IntN(3),
				Random:    random.Uint64(),
			}
			if random.IntN(3) > 0 {
				w.Wishes = []throng.Wish{{Signal: language, Category: "en"}, {Signal: skill, Number: 700 + 600*random.Float64()}, {Signal: throng.Signal{Name: "unsaid", Kind: throng.SignalCategory, Weight: 1}, Category: "x"}}
			}
			for n := random.IntN(8); n > 0; n-- {
				w.Friends = append(w.Friends, throng.SessionFriends{Session: throng.SessionID(fmt.Sprintf("ses_eu_%03d", 2*random.IntN(100))), Friends: 1 + random.IntN(2)})
			}
			slices.SortFunc(w.Friends, func(a, b throng.SessionFriends) int { return cmp.Compare(a.Session, b.Session) })
			w.Friends = slices.CompactFunc(w.Friends, func(a, b throng.SessionFriends) bool { return a.Session == b.Session })
			w.Refused = []throng.SessionID{throng.SessionID(fmt.Sprintf("ses_us_%03d", 1+2*random.IntN(100)))}
			id, ok := p.Choose(w)
			if !ok {
				continue
			}
			d := sent(t, p.decision(w, id))
			p.Take(id, w.Seats)
			others += d.Before + d.After
			got, err := Replay(d)
			if err != nil || got != id {
				t.Fatalf("round %d: got %s, %v, want %s: %+v", round, got, err, id, d)
			}
			if d.Counts.Ties < 1 || d.Counts.Ties > d.Counts.Scored || len(d.Candidates) > throng.MaxJoinCandidates ||
				!slices.IsSortedFunc(d.Candidates, func(a, b throng.Candidate) int { return cmp.Compare(b.Score, a.Score) }) {
				t.Fatalf("round %d: got %+v", round, d)
			}
		}
	}
	if others == 0 {
		t.Error("no choice was drawn among more than were recorded: the test is too easy")
	}
}

func TestReplayRefusesNonsense(t *testing.T) {
	good := throng.Decision{
		Seats: 1, Chosen: "ses_eu_1", Candidates: []throng.Candidate{{Session: "ses_eu_1", Capacity: 2, Free: 1}},
	}
	if got, err := Replay(good); err != nil || got != "ses_eu_1" {
		t.Errorf("got %s, %v, want ses_eu_1", got, err)
	}
	for name, spoil := range map[string]func(*throng.Decision){
		"none":      func(d *throng.Decision) { d.Candidates = nil },
		"no room":   func(d *throng.Decision) { d.Seats = 2 },
		"too many":  func(d *throng.Decision) { d.After = 1 << 40 },
		"less":      func(d *throng.Decision) { d.Before = -1 },
		"elsewhere": func(d *throng.Decision) { d.Chosen = "ses_eu_2" },
	} {
		d := good
		spoil(&d)
		if got, err := Replay(d); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%s: got %s, %v, want Invalid", name, got, err)
		}
	}
	// Whatever else was as good, another score is another choice.
	d := good
	d.Candidates = append(d.Candidates, throng.Candidate{Session: "ses_eu_2", Capacity: 4, Free: 1})
	d.Weights.Fill = 1
	if got, _ := Replay(d); got != "ses_eu_2" {
		t.Errorf("got %s, want the fuller ses_eu_2", got)
	}
}

// records keeps what a matchmaker records.
type records struct {
	mu   sync.Mutex
	list []throng.JoinRecord
}

func (r *records) Record(j throng.JoinRecord) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.list = append(r.list, j)
}

func (r *records) all() []throng.JoinRecord {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.list)
}

func stepsOf(r throng.JoinRecord) (list []string) {
	for _, s := range r.Steps {
		word := s.Step
		if s.Code != "" {
			word += " " + s.Code
		}
		list = append(list, word)
	}
	return list
}

// TestReplayOfABusyRun: two matchmakers race for the same sessions; every choice
// that they recorded comes out the same again.
func TestReplayOfABusyRun(t *testing.T) {
	kept := &records{}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(3, 12)
		w.signals = []throng.Signal{language, skill}
		w.attributes = func(i int) throng.SessionAttributes {
			return throng.SessionAttributes(fmt.Sprintf(`{"skill":%d}`, 800+i%5*100))
		}
		random := rand.New(rand.NewPCG(5, 5))
		recorded := func(c *Config) { c.Joins, c.Process = kept, "here" }
		a, b := w.run(t, recorded), w.run(t, recorded)
		var tickets []throng.Ticket
		for i := range 2500 {
			tk := ticket(fmt.Sprint(i), 1+i%7/5)
			if i%3 > 0 {
				tk.Attributes = [][]throng.Attribute{{{Name: "skill", Number: 800 + 400*random.Float64()}}}
			}
			tickets = append(tickets, tk)
		}
		var both sync.WaitGroup
		for i, m := range []*Matchmaker{a, b} {
			both.Go(func() {
				for from := 0; from < len(tickets); from += 50 { // bursts, with other tickets here than there
					part := slices.Clone(tickets[from : from+50])
					for j := range part {
						part[j].Key.Caller = throng.PlayerID(fmt.Sprintf("%s.%d", part[j].Key.Caller, i))
						part[j].Party = slices.Clone(part[j].Party)
						part[j].Party[0] = part[j].Key.Caller
					}
					all(t, m, part)
				}
			})
		}
		both.Wait()
		w.audit(t)
	})
	made, refusals, lots := 0, 0, 0
	for _, r := range kept.all() {
		if r.Code == "ok" && (r.Session == "" || r.Process != "here" || r.Steps[len(r.Steps)-1].Step != throng.StepAnswered) {
			t.Fatalf("got %+v", r)
		}
		for _, s := range r.Steps {
			if s.Step == throng.StepHeld && s.Code != "" {
				refusals++
			}
		}
		for _, d := range r.Decisions {
			got, err := Replay(sent(t, d))
			if err != nil || got != d.Chosen {
				t.Fatalf("ticket %s: got %s, %v, want %s: %+v", r.Ticket, got, err, d.Chosen, d)
			}
			made++
			if d.Lots {
				lots++
			}
		}
	}
	if made < 1000 || refusals == 0 || lots == 0 {
		t.Errorf("got %d choices, %d by lots, and %d refusals, want over 1,000 and some", made, lots, refusals)
	}
}

// TestRecordsTellTheStory: the steps of joins, as they went.
func TestRecordsTellTheStory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, kept := newWorld(1, 4), &records{}
		m := w.run(t, func(c *Config) { c.Joins = kept })
		all(t, m, []throng.Ticket{ticket("first", 2)})
		all(t, m, []throng.Ticket{ticket("second", 1)})
		alone := ticket("alone", 1)
		alone.Mode = throng.ModeNew
		all(t, m, []throng.Ticket{alone})
		nowhere := ticket("nowhere", 1)
		nowhere.Place = "none"
		if _, err := m.Place(t.Context(), nowhere, time.Minute); throng.KindOf(err) != throng.NotFound {
			t.Fatalf("got %v, want NotFound", err)
		}
		list := kept.all()
		for i, want := range [][]string{
			{"admitted", "resolved", "claimed", "asked", "opened", "held", "settled", "bound", "answered"},
			{"admitted", "resolved", "claimed", "asked", "offered", "held", "settled", "bound", "answered"},
			{"admitted", "resolved", "claimed", "opened", "settled", "bound", "answered"},
			{"admitted", "resolved not_found", "answered"},
		} {
			if got := stepsOf(list[i]); !slices.Equal(got, want) {
				t.Errorf("%s: got %q, want %q", list[i].Ticket, got, want)
			}
		}
		if held := list[0].Steps[5]; len(list[0].Decisions) != 0 || held.Detail != "as number 1 in line, after 1 openings" {
			t.Errorf("first: got %+v, want no choice and one opening waited for", list[0])
		}
		second := list[1].Decisions[0]
		if second.Openings != 0 || second.Candidates[0].Free != 2 || second.Candidates[0].Signals.Fill != 0.5 {
			t.Errorf("second: got %+v, want a session with 2 of 4 seats free", second)
		}
		if list[3].Code != "not_found" || list[3].Detail == "" || len(list[3].Decisions) != 0 {
			t.Errorf("nowhere: got %+v", list[3])
		}
		for i := 1; i < len(list[0].Steps); i++ {
			if list[0].Steps[i].AfterMs < list[0].Steps[i-1].AfterMs {
				t.Errorf("got %+v, want times that go on", list[0].Steps)
			}
		}
	})
}

// BenchmarkRecorded is a choice in 20,000 sessions without and with what is
// recorded of it at the desk.
func BenchmarkRecorded(b *testing.B) {
	for _, signals := range []int{0, 2} {
		for _, record := range []bool{false, true} {
			b.Run(fmt.Sprintf("signals=%d/record=%v", signals, record), func(b *testing.B) {
				p, _ := crowdWithSignals(20_000, signals)
				p.recorded = record
				wants := someWants(signals)
				for i := range wants {
					p.Choose(&wants[i])
				}
				b.ReportAllocs()
				i := 0
				for b.Loop() {
					w := &wants[i%len(wants)]
					i++
					id, _ := p.Choose(w)
					if record {
						p.decision(w, id)
					}
				}
			})
		}
	}
}
