package match

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

// waiter is a work of the i-th player, for a place, who came at a second.
func waiter(i int, place throng.PlaceID, since int) *work {
	tk := ticket(fmt.Sprint(i), 1)
	tk.Place = place
	return &work{ticket: tk, since: time.Unix(int64(since), 0), done: make(chan struct{})}
}

// TestRanks compares the structure with a sorted list.
func TestRanks(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 1))
	var r ranks
	var plain []*work
	for i := range 20_000 {
		if len(plain) > 0 && random.IntN(5) < 2 {
			at := random.IntN(len(plain))
			if random.IntN(2) == 0 {
				at = 0
			}
			r.remove(plain[at])
			plain = slices.Delete(plain, at, at+1)
		} else {
			w := waiter(i, "arena", i)
			if random.IntN(10) == 0 {
				w.since = time.Unix(int64(random.IntN(i+1)), 0) // who brings an earlier place along
			}
			w.number = uint64(i)
			r.insert(w)
			at, _ := slices.BinarySearchFunc(plain, w, byArrival)
			plain = slices.Insert(plain, at, w)
		}
		if r.n != len(plain) {
			t.Fatalf("step %d: got %d works, want %d", i, r.n, len(plain))
		}
		if len(plain) == 0 {
			continue
		}
		if r.first() != plain[0] {
			t.Fatalf("step %d: got another first one", i)
		}
		if at := random.IntN(len(plain)); r.rank(plain[at]) != at {
			t.Fatalf("step %d: got rank %d, want %d", i, r.rank(plain[at]), at)
		}
	}
	if got := slices.Collect(r.all); !slices.Equal(got, plain) {
		t.Errorf("got %d works in another order, want %d", len(got), len(plain))
	}
}

// A hot place leaves room for others, among those worked on and in line, and the
// places take turns.
func TestQueueIsFair(t *testing.T) {
	now := time.Unix(100, 0)
	q := newQueue(90, 900)
	push := func(n int, place throng.PlaceID) (begun, in, refused int) {
		for range n {
			w := waiter(int(q.arrived)+refused+100_000, place, 100)
			switch {
			case q.startNow(w, now):
				begun++
			case q.push(w, now) == nil:
				in++
			default:
				refused++
			}
		}
		return begun, in, refused
	}
	if begun, in, refused := push(2000, "hot"); begun != 80 || in != 800 || refused != 1120 {
		t.Errorf("hot: got %d worked on, %d in line, %d refused, want 80 of 90, 800 of 900", begun, in, refused)
	}
	if begun, in, refused := push(20, "cold"); begun != 9 || in != 11 || refused != 0 {
		t.Errorf("cold: got %d worked on, %d in line, %d refused, want 9 and 11", begun, in, refused)
	}
	// As those who are worked on end, the places take turns.
	var ended []*work
	for _, h := range q.halls {
		ended = slices.AppendSeq(ended, h.unready.all)
	}
	slices.SortFunc(ended, byArrival)
	began := map[throng.PlaceID]int{}
	for _, w := range ended[:30] {
		q.end(w, now)
		for next := q.next(); next != nil; next = q.next() {
			q.start(next, now)
			began[next.ticket.Place]++
		}
	}
	if began["cold"] != 11 || began["hot"] < 10 {
		t.Errorf("got %v begun, want all 11 of cold among the first 30, and hot for the rest", began)
	}
}

// The line is bounded, also for one caller, and says when to come again.
func TestQueueIsBounded(t *testing.T) {
	now := time.Unix(100, 0)
	q := newQueue(1, 20)
	if !q.startNow(waiter(0, "arena", 100), now) {
		t.Fatal("got no start, want one")
	}
	for i := range lineOfCaller + 1 {
		w := waiter(1, "arena", 100)
		w.ticket.Key.Ticket = throng.TicketID(fmt.Sprint(i))
		err := q.push(w, now)
		if i < lineOfCaller && err != nil || i == lineOfCaller && (throng.KindOf(err) != throng.RateLimited || throng.RetryAfterOf(err) <= 0) {
			t.Errorf("ticket %d of one caller: got %v", i, err)
		}
	}
	var last error
	for i := range 30 {
		last = q.push(waiter(i+10, "arena", 100), now)
	}
	if throng.KindOf(last) != throng.Unavailable || throng.RetryAfterOf(last) != 2*time.Second || q.waiting > 20 {
		t.Errorf("got %v with %d in line, want unavailable", last, q.waiting)
	}
	// Two leave a second: a tenth of the line is gone in about a second.
	h := q.hall("arena")
	for i := range 8 {
		now = now.Add(2 * time.Second)
		q.end(&work{phase: ready, ticket: h.line.first().ticket, begun: now}, now)
		w := q.next()
		q.start(w, now)
		w.phase = ready
		if i > 4 {
			if r := h.rate.perSecond(now, 0); math.Abs(r-0.5) > 0.2 {
				t.Errorf("after %d: got a rate of %.2f, want about 0.5", i, r)
			}
		}
		h.unready.remove(w)
	}
	for i := range 30 {
		last = q.push(waiter(i+100, "arena", 100), now)
	}
	want := time.Duration(float64(h.line.n) / 0.5 / 10 * float64(time.Second))
	if got := throng.RetryAfterOf(last); got < want/2 || got > want*3/2 {
		t.Errorf("got %v, %s, want about %s", last, got, want)
	}
}

// Measured rates forget slowly, and start with what there is.
func TestRate(t *testing.T) {
	var r rate
	now := time.Unix(100, 0)
	if got := r.perSecond(now, 0); got != 0 {
		t.Errorf("got %v, want nothing known", got)
	}
	r.resume(now)
	step := func(perSecond, seconds int) float64 {
		for range perSecond * seconds {
			now = now.Add(time.Second / time.Duration(perSecond))
			r.count(now)
		}
		return r.perSecond(now, 0)
	}
	for _, c := range []struct {
		perSecond, seconds int
		least, most        float64
	}{
		{100, 3, 95, 105},   // from the first round on that is whole
		{1000, 2, 300, 900}, // and then not too fast
		{1000, 40, 950, 1030},
		{10, 60, 9, 40},
	} {
		if got := step(c.perSecond, c.seconds); got < c.least || got > c.most {
			t.Errorf("%d/s for %d s: got %.1f, want %v to %v", c.perSecond, c.seconds, got, c.least, c.most)
		}
	}
	now = now.Add(40 * time.Second) // nothing moves
	if got := r.perSecond(now, 0); got > 2 {
		t.Errorf("got %.1f while nothing moves, want less and less", got)
	}
	before := r.perSecond(now, 0)
	now = now.Add(time.Hour)
	r.resume(now)
	if got := r.perSecond(now, 0); got != before {
		t.Errorf("got %v after an hour without a line, want %v as it was", got, before)
	}
}

func BenchmarkQueue(b *testing.B) {
	q := newQueue(1, 200_000)
	now := time.Unix(100, 0)
	works := make([]*work, 170_000)
	for i := range works {
		works[i] = waiter(i, "arena", i)
		if err := q.push(works[i], now); err != nil {
			b.Fatal(err)
		}
	}
	random := rand.New(rand.NewPCG(1, 1))
	for b.Loop() {
		if at := q.place(works[random.IntN(len(works))], now); at.position < 1 {
			b.Fatal("no place")
		}
	}
}
