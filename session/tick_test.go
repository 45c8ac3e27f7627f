package session

import (
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/throng-gg/throng"
)

func TestTogether(t *testing.T) {
	for _, c := range []struct {
		bound, overdue int
		want           bool
	}{
		{bound: 1, overdue: 1, want: false}, // one of few is one that died
		{bound: 3, overdue: 2, want: false},
		{bound: 3, overdue: 3, want: true},
		{bound: 30, overdue: 3, want: true},
		{bound: 31, overdue: 3, want: false},
		{bound: 20000, overdue: 1999, want: false},
		{bound: 20000, overdue: 2000, want: true},
	} {
		if got := together(c.bound, c.overdue); got != c.want {
			t.Errorf("%d of %d silent: got together %t, want %t", c.overdue, c.bound, got, c.want)
		}
	}
}

func TestTogetherIsRememberedForAHeartbeat(t *testing.T) {
	var c cut
	now := time.Now()
	for _, step := range []struct {
		after          time.Duration
		bound, overdue int
		want           bool
		why            string
	}{
		{0, 3, 1, false, "one that is silent is one that died"},
		{time.Second, 3, 3, true, "the door is cut"},
		{3 * time.Second, 3, 1, true, "two were heard again, and the third is about to be"},
		{7 * time.Second, 3, 1, false, "it had its time"},
	} {
		if got := c.together(step.bound, step.overdue, now.Add(step.after)); got != step.want {
			t.Errorf("after %v, %d of %d silent: got together %t, want %t: %s", step.after, step.overdue, step.bound, got, step.want, step.why)
		}
	}
}

func TestClipKeepsText(t *testing.T) {
	long := "x" + strings.Repeat("ä", 400)
	got := clip(long)
	if len(got) > 510 || !utf8.ValidString(got) {
		t.Errorf("clip: got %d bytes, valid %t, want about 500, valid", len(got), utf8.ValidString(got))
	}
	if got := clip("short"); got != "short" {
		t.Errorf("clip: got %q, want it as it is", got)
	}
}

func TestFeed(t *testing.T) {
	f := NewFeed(4, 100)
	if b := f.Since(0); !b.Full || b.Cursor != 100 {
		t.Fatalf("cursor 0: got %+v, want full at 100", b)
	}
	for _, s := range []throng.SessionID{"a", "b", "a"} {
		f.Add(s)
	}
	b := f.Since(100)
	if b.Full || b.Cursor != 103 || len(b.Sessions) != 2 || b.Sessions[0] != "a" || b.Sessions[1] != "b" {
		t.Errorf("three changes of two: got %+v, want a and b once", b)
	}
	if b := f.Since(103); b.Full || len(b.Sessions) != 0 {
		t.Errorf("nothing new: got %+v", b)
	}
	f.Add("c")
	if b := f.Since(100); b.Full || len(b.Sessions) != 3 {
		t.Errorf("as many as there is room for: got %+v, want all", b)
	}
	f.Add("d")
	for _, old := range []uint64{99, 100, 106} {
		if b := f.Since(old); !b.Full {
			t.Errorf("cursor %d, lost, of another life or of the future: got %+v, want full", old, b)
		}
	}
	wait := f.Since(105).Wait
	f.Wake()
	<-wait
}

func TestFeedBatchIsBounded(t *testing.T) {
	f := NewFeed(4096, 1)
	for range 3000 {
		f.Add("a")
	}
	cursor, rounds := uint64(1), 0
	for ; cursor < 3001; rounds++ {
		b := f.Since(cursor)
		if b.Full || b.Cursor-cursor > 1024 || len(b.Sessions) != 1 {
			t.Fatalf("from %d: got %+v, want at most 1,024 changes", cursor, b)
		}
		cursor = b.Cursor
	}
	if rounds != 3 {
		t.Errorf("rounds: got %d, want 3", rounds)
	}
}
