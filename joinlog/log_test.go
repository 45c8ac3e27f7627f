package joinlog

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
)

// open makes a log and runs it until the test, or the returned stop, ends it.
func open(t *testing.T, cfg Config) (l *Log, stop func()) {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	over := make(chan error, 1)
	go func() { over <- l.Run(ctx) }()
	stopped := false
	stop = func() {
		if stopped {
			return
		}
		stopped = true
		cancel()
		if err := <-over; err != nil {
			t.Errorf("run: %v", err)
		}
	}
	t.Cleanup(stop)
	return l, stop
}

func record(ticket, caller string) throng.JoinRecord {
	return throng.JoinRecord{
		Ticket: throng.TicketID(ticket), Caller: throng.PlayerID(caller), Region: "local", Place: "arena", Mode: throng.ModeDropIn,
		At: time.Now(), Code: "ok", Steps: []throng.JoinStep{{Step: throng.StepAdmitted}},
		Decisions: []throng.Decision{{Random: 1<<64 - 1, Candidates: []throng.Candidate{{Session: "ses_local_1", Score: 0.1 + 0.2, Attributes: `{"skill":1}`}}}},
	}
}

func find(t *testing.T, l *Log, ticket, caller string) []throng.JoinRecord {
	t.Helper()
	list, err := l.Find(t.Context(), throng.TicketID(ticket), throng.PlayerID(caller))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestRecordsAreFound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, stop := open(t, Config{})
		defer stop()
		want := record("t1", "ada")
		l.Record(want)
		l.Record(record("t1", "bo"))
		l.Record(record("t2", "ada"))
		got := find(t, l, "t1", "ada")
		if len(got) != 1 || got[0].Decisions[0].Random != 1<<64-1 || got[0].Decisions[0].Candidates[0].Score != 0.1+0.2 ||
			got[0].Decisions[0].Candidates[0].Attributes != `{"skill":1}` || !got[0].At.Equal(want.At) {
			t.Errorf("got %+v, want %+v", got, want)
		}
		if got := find(t, l, "t1", ""); len(got) != 2 || got[0].Caller != "ada" || got[1].Caller != "bo" {
			t.Errorf("of anybody: got %+v, want ada's and bo's", got)
		}
		if got := find(t, l, "t3", ""); len(got) != 0 {
			t.Errorf("got %+v, want nothing", got)
		}
		for range 40 {
			l.Record(record("t1", "ada"))
		}
		if got := find(t, l, "t1", "ada"); len(got) != maxFound {
			t.Errorf("got %d records of one ticket, want %d", len(got), maxFound)
		}
	})
}

func TestBounds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, stop := open(t, Config{Records: 10, Age: time.Minute})
		defer stop()
		for i := range 30 {
			l.Record(record(fmt.Sprint(i), "ada"))
		}
		if len(find(t, l, "19", "")) != 0 || len(find(t, l, "20", "")) != 1 || len(l.shelf.byName) != 10 {
			t.Errorf("got %d tickets, want the newest 10", len(l.shelf.byName))
		}
		time.Sleep(59 * time.Second) //nolint:forbidigo // fake time
		l.Record(record("new", "ada"))
		time.Sleep(3 * time.Second) //nolint:forbidigo // fake time
		if len(find(t, l, "29", "")) != 0 || len(find(t, l, "new", "")) != 1 {
			t.Error("want the old ones forgotten after a minute, and the new one kept")
		}
	})
}

// TestRecordingNeverWaits: what finds no room is dropped.
func TestRecordingNeverWaits(t *testing.T) {
	l, err := New(Config{Queue: 5})
	if err != nil {
		t.Fatal(err)
	}
	for range 100 { // nobody takes them
		l.Record(record("t", "ada"))
	}
	if len(l.queue) != 5 {
		t.Errorf("got %d in the queue, want 5", len(l.queue))
	}
}

func TestShelfBalances(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		s := shelf{records: 7, most: 3000, age: time.Minute, byName: map[throng.TicketID][]uint64{}}
		now := time.Unix(0, 0)
		for range rapid.IntRange(0, 60).Draw(t, "records") {
			now = now.Add(time.Duration(rapid.IntRange(0, 20).Draw(t, "s")) * time.Second)
			name := throng.TicketID(rapid.SampledFrom([]string{"a", "b", "c", "d"}).Draw(t, "ticket"))
			r := &throng.JoinRecord{Ticket: name, At: now}
			s.add(entry{r, rapid.IntRange(0, 900).Draw(t, "bytes")}, now)
			bytes, named := 0, 0
			for _, e := range s.entries {
				bytes += e.cost
				if now.Sub(e.record.At) > s.age {
					t.Fatal("one is too old")
				}
			}
			for name, numbers := range s.byName {
				named += len(numbers)
				for _, n := range numbers {
					if s.entries[n-s.first].record.Ticket != name {
						t.Fatalf("number %d is not of %s", n, name)
					}
				}
			}
			if bytes != s.bytes || named != len(s.entries) || bytes > 3000 || named > 7 {
				t.Fatalf("counted %d bytes and %d names, have %d in %d", s.bytes, named, bytes, len(s.entries))
			}
		}
	})
}

func TestFilesSurviveARestart(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "joins")
	l, stop := open(t, Config{Dir: dir})
	for i := range 5 {
		l.Record(record(fmt.Sprint(i), "ada"))
	}
	stop()
	// A crash cut the last line off; and somebody wrote what is no record.
	f, err := os.OpenFile(filepath.Join(dir, "joins-0.jsonl"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString("{}\n[1]\n{\"ticket\":\"cut\",\"at\":\"2026"); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	l, stop = open(t, Config{Dir: dir})
	for i := range 5 {
		if got := find(t, l, fmt.Sprint(i), "ada"); len(got) != 1 || got[0].Decisions[0].Random != 1<<64-1 {
			t.Errorf("%d: got %+v, want it", i, got)
		}
	}
	l.Record(record("after", "ada"))
	stop()
	l, _ = open(t, Config{Dir: dir})
	if len(find(t, l, "after", "")) != 1 || len(find(t, l, "cut", "")) != 0 || len(find(t, l, "4", "")) != 1 {
		t.Error("want what was written after the crash, and what was before")
	}
}

func TestFilesAreARing(t *testing.T) {
	dir := t.TempDir()
	const most = 20 << 10
	l, stop := open(t, Config{Dir: dir, DiskBytes: most})
	for i := range 200 {
		r := record(fmt.Sprint(i), "ada")
		r.Detail = strings.Repeat("x", 300)
		l.Record(r)
		find(t, l, "0", "") // so that none is dropped
	}
	stop()
	bytes := int64(0)
	for n := range 2 {
		info, err := os.Stat(filepath.Join(dir, fmt.Sprintf("joins-%d.jsonl", n)))
		if err != nil {
			t.Fatal(err)
		}
		bytes += info.Size()
	}
	if bytes > most || bytes < most/3 {
		t.Errorf("got %d bytes, want at most %d, and a third of it at least", bytes, most)
	}
	l, _ = open(t, Config{Dir: dir, DiskBytes: most})
	if len(find(t, l, "199", "")) != 1 || len(find(t, l, "0", "")) != 0 {
		t.Error("want the newest after a restart, not the oldest")
	}
}

// others is what two other processes know, one of which may be away.
type others struct {
	list []throng.JoinRecord
	err  error
}

func (o others) Joins(context.Context, throng.TicketID, throng.PlayerID) ([]throng.JoinRecord, error) {
	return o.list, o.err
}

func TestPeersAreAsked(t *testing.T) {
	away := errors.New("away")
	elsewhere := record("t", "ada")
	elsewhere.Process = "other"
	for _, c := range []struct {
		name  string
		peers others
		own   bool
		want  int
		err   error
	}{
		{"there", others{list: []throng.JoinRecord{elsewhere}}, false, 1, nil},
		{"here and there", others{list: []throng.JoinRecord{elsewhere}}, true, 2, nil},
		{"here, and one is away", others{err: away}, true, 1, nil},
		{"nowhere", others{}, false, 0, nil},
		{"who may know is away", others{err: away}, false, 0, away},
	} {
		l, stop := open(t, Config{Peers: c.peers})
		if c.own {
			l.Record(record("t", "ada"))
		}
		got, err := l.Find(t.Context(), "t", "")
		if len(got) != c.want || !errors.Is(err, c.err) {
			t.Errorf("%s: got %d records, %v, want %d, %v", c.name, len(got), err, c.want, c.err)
		}
		stop()
	}
}

// BenchmarkRecord is what a join pays for its record, and what the log does
// with it behind the join's back.
func BenchmarkRecord(b *testing.B) {
	r := record("ticket-0123456789", "ada")
	for range 8 {
		r.Steps = append(r.Steps, throng.JoinStep{AfterMs: 1.5, Step: throng.StepHeld, Session: "ses_local_3fk2m8w0c9h1d7v6r4"})
	}
	for range throng.MaxJoinCandidates - 1 {
		r.Decisions[0].Candidates = append(r.Decisions[0].Candidates, r.Decisions[0].Candidates[0])
	}
	b.Run("join", func(b *testing.B) {
		l, err := New(Config{Queue: 1})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			l.Record(r)
			<-l.queue
		}
	})
	b.Run("log", func(b *testing.B) {
		l, err := New(Config{})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			l.take(item{record: r})
		}
		b.ReportMetric(float64(l.shelf.bytes)/float64(len(l.shelf.entries)), "B/record")
	})
}
