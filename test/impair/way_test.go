package impair

import (
	"testing"
	"time"
)

var begun = time.Unix(1_000_000, 0)

func TestFate(t *testing.T) {
	w := Way{Delay: 100 * time.Millisecond, Jitter: 30 * time.Millisecond, Loss: 0.05, Reorder: 0.02, Duplicate: 0.02}
	f, same := newFate(w, 7, 3), newFate(w, 7, 3)
	const all = 50_000
	var lost, held, twice int
	var last time.Time
	for i := range all {
		now := begun.Add(time.Duration(i) * 10 * time.Millisecond)
		v := f.next(now)
		if again := same.next(now); again != v {
			t.Fatalf("datagram %d: the same seed decided %+v, then %+v", i, v, again)
		}
		lost, held, twice = lost+one(v.lost), held+one(v.held), twice+one(v.twice)
		switch late := v.at.Sub(now); {
		case v.lost:
		case late < 70*time.Millisecond || late > 130*time.Millisecond && !v.held:
			t.Fatalf("datagram %d takes %s", i, late)
		case v.twice && (v.again.Before(v.at) || v.again.After(v.at.Add(50*time.Millisecond))):
			t.Fatalf("datagram %d comes again after %s", i, v.again.Sub(v.at))
		case v.held:
			if late < 120*time.Millisecond {
				t.Fatalf("datagram %d is held back, and takes %s", i, late)
			}
		case v.at.Before(last):
			t.Fatalf("datagram %d overtakes another by jitter alone", i)
		default:
			last = v.at
		}
	}
	for name, c := range map[string]struct{ got, want int }{
		"lost": {lost, all * 5 / 100}, "held back": {held, all * 2 * 95 / 10_000}, "sent twice": {twice, all * 2 * 95 / 10_000},
	} {
		if c.got < c.want*9/10 || c.got > c.want*11/10 {
			t.Errorf("%s: %d of %d, want about %d", name, c.got, all, c.want)
		}
	}
}

func TestZeroWayChangesNothing(t *testing.T) {
	f := newFate(Way{}, 1, 1)
	for range 1000 {
		if v := f.next(begun); v.lost || v.held || v.twice || !v.at.Equal(begun) {
			t.Fatalf("got %+v", v)
		}
	}
}

func TestRoad(t *testing.T) {
	var r road
	for i, ms := range []int{30, 10, 20, 10, 40} {
		r.put(parcel{at: begun.Add(time.Duration(ms) * time.Millisecond), data: []byte{byte(i)}})
	}
	if p, ok := r.take(begun.Add(9 * time.Millisecond)); ok {
		t.Fatalf("%v arrives too early", p.data)
	}
	var got []byte
	for {
		p, ok := r.take(begun.Add(30 * time.Millisecond))
		if !ok {
			break
		}
		got = append(got, p.data...)
	}
	if string(got) != "\x01\x03\x02\x00" {
		t.Errorf("arrived in the order %v, want 1, 3, 2, 0", got)
	}
	if at, ok := r.next(); !ok || !at.Equal(begun.Add(40*time.Millisecond)) {
		t.Errorf("the next arrives at %s, %t", at, ok)
	}
}
