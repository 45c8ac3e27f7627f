package placelog

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
)

func open(t *testing.T, cfg Config) *Log {
	t.Helper()
	l, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func said(texts ...string) []throng.LogLine {
	lines := make([]throng.LogLine, len(texts))
	for i, text := range texts {
		lines[i] = throng.LogLine{Level: throng.LogPrint, Text: text}
	}
	return lines
}

func texts(p throng.LogPage) []string {
	out := []string{}
	for _, line := range p.Lines {
		out = append(out, line.Text)
	}
	return out
}

func wantTexts(t *testing.T, p throng.LogPage, want ...string) {
	t.Helper()
	if got := texts(p); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestCursorsFollowTheLog(t *testing.T) {
	l := open(t, Config{})
	l.Add("arena", said("a", "b")...)
	l.Add("other", said("x")...)
	l.Add("arena", said("c")...)
	first := l.Read(t.Context(), "arena", throng.LogQuery{Limit: 2})
	wantTexts(t, first, "a", "b")
	second := l.Read(t.Context(), "arena", throng.LogQuery{After: first.Next, Limit: 2})
	wantTexts(t, second, "c")
	wantTexts(t, l.Read(t.Context(), "arena", throng.LogQuery{After: second.Next}))
	wantTexts(t, l.Read(t.Context(), "nowhere", throng.LogQuery{}))
	l.Add("arena", said("d")...)
	wantTexts(t, l.Read(t.Context(), "arena", throng.LogQuery{After: second.Next}), "d")
	// Cursors of another life mean all, whether they are behind or ahead.
	wantTexts(t, l.Read(t.Context(), "arena", throng.LogQuery{After: 7}), "a", "b", "c", "d")
	wantTexts(t, l.Read(t.Context(), "arena", throng.LogQuery{After: ^uint64(0)}), "a", "b", "c", "d")
}

func TestOneSession(t *testing.T) {
	l := open(t, Config{})
	for i := range 6 {
		l.Receive("arena", 3, throng.LogBatch{
			Session: throng.SessionID(fmt.Sprintf("s%d", i%2)), Incarnation: throng.Incarnation(fmt.Sprint(i)),
			First: 1, Lines: said(fmt.Sprint(i)),
		})
	}
	page := l.Read(t.Context(), "arena", throng.LogQuery{Session: "s1", Limit: 2})
	wantTexts(t, page, "1", "3")
	if got := page.Lines[0]; got.Session != "s1" || got.Version != 3 {
		t.Errorf("got %+v, want session s1 of version 3", got)
	}
	page = l.Read(t.Context(), "arena", throng.LogQuery{Session: "s1", Limit: 2, After: page.Next})
	wantTexts(t, page, "5")
	wantTexts(t, l.Read(t.Context(), "arena", throng.LogQuery{Session: "s1", After: page.Next}))
}

func TestBatchesAreTakenOnceAndGapsAreSaid(t *testing.T) {
	l := open(t, Config{})
	send := func(first uint64, lines ...string) {
		l.Receive("arena", 1, throng.LogBatch{Session: "s", Incarnation: "i", First: first, Lines: said(lines...)})
	}
	send(1, "1", "2")
	send(1, "1", "2")           // the answer was lost
	send(2, "2", "3")           // half of it is new
	send(10, "10")              // 4 to 9 were dropped
	send(10, "10")              // again
	send(1, "1", "2", "3", "4") // an old one that was late
	wantTexts(t, l.Read(t.Context(), "arena", throng.LogQuery{}),
		"1", "2", "3", "(6 lines dropped: the game server could not deliver them in time)", "10")
}

func TestBounds(t *testing.T) {
	l := open(t, Config{Lines: 3, Places: 2, PlaceBytes: 1000, Bytes: 1700, Sources: 1})
	l.Add("a", said("1", "2", "3", "4", "5")...)
	wantTexts(t, l.Read(t.Context(), "a", throng.LogQuery{}), "3", "4", "5")
	long := strings.Repeat("x", 500)
	l.Add("b", said("1", long, long)...) // 500+120 bytes each
	if got := l.Read(t.Context(), "b", throng.LogQuery{}); len(got.Lines) != 1 {
		t.Errorf("got %d lines of 620 bytes within 1,000, want 1", len(got.Lines))
	}
	l.Add("c", said("1")...)
	wantTexts(t, l.Read(t.Context(), "a", throng.LogQuery{})) // wrote longest ago
	wantTexts(t, l.Read(t.Context(), "c", throng.LogQuery{}), "1")
	l.Add("c", said(strings.Repeat("ä", 600))...)
	got := l.Read(t.Context(), "c", throng.LogQuery{}).Lines
	if text := got[len(got)-1].Text; len(text) > throng.MaxLogText || !strings.HasSuffix(text, "ä…") {
		t.Errorf("got a line of %d bytes that ends in %q, want it cut between two characters", len(text), text[len(text)-6:])
	}
	for _, id := range []throng.Incarnation{"i", "j", "i"} { // i is forgotten: taken twice, not lost
		l.Receive("d", 1, throng.LogBatch{Session: "s", Incarnation: id, First: 1, Lines: said(string(id))})
	}
	wantTexts(t, l.Read(t.Context(), "d", throng.LogQuery{}), "i", "j", "i")
}

func TestWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := open(t, Config{})
		pages := make(chan throng.LogPage, 2)
		for range 2 {
			go func() { pages <- l.Read(t.Context(), "arena", throng.LogQuery{Session: "s", Wait: 20 * time.Second}) }()
		}
		synctest.Wait()
		l.Add("other", said("x")...)
		l.Add("arena", said("of no session")...)
		synctest.Wait()
		if len(pages) != 0 {
			t.Fatal("an answer without a line of the session")
		}
		l.Add("arena", throng.LogLine{Session: "s", Text: "hello"})
		for range 2 {
			wantTexts(t, <-pages, "hello")
		}
		begun := time.Now()
		page := l.Read(t.Context(), "quiet", throng.LogQuery{Wait: 3 * time.Second})
		if took := time.Since(begun); len(page.Lines) != 0 || took != 3*time.Second {
			t.Errorf("got %q after %s, want nothing after 3 s", texts(page), took)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		wantTexts(t, l.Read(ctx, "quiet", throng.LogQuery{Wait: time.Hour}))
		if len(l.waiters) != 0 {
			t.Errorf("got %d waiters that nobody is, want 0", len(l.waiters))
		}
	})
}

// TestBooksBalance: whatever is written, the bytes that are counted are the
// bytes that are there, and no bound is passed.
func TestBooksBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		l, err := New(Config{Lines: 5, Places: 3, PlaceBytes: 900, Bytes: 2000})
		if err != nil {
			t.Fatal(err)
		}
		for range rapid.IntRange(0, 40).Draw(t, "writes") {
			place := throng.PlaceID(rapid.SampledFrom([]string{"a", "b", "c", "d", "e"}).Draw(t, "place"))
			count := rapid.IntRange(0, 8).Draw(t, "lines")
			l.Add(place, said(slices.Repeat([]string{strings.Repeat("x", rapid.IntRange(0, 300).Draw(t, "bytes"))}, count)...)...)
		}
		sum := 0
		for _, b := range l.books {
			own := 0
			for _, e := range b.lines {
				own += e.cost()
			}
			if own != b.bytes || len(b.lines) > 5 || own > 900 && len(b.lines) > 1 {
				t.Fatalf("%s: counted %d bytes, has %d in %d lines", b.place, b.bytes, own, len(b.lines))
			}
			sum += own
		}
		if sum != l.bytes || len(l.books) > 3 || len(l.books) != l.order.Len() || sum > 2000 && len(l.books) > 1 {
			t.Fatalf("counted %d bytes, have %d in %d places", l.bytes, sum, len(l.books))
		}
	})
}
