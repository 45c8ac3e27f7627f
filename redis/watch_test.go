package redis_test

import (
	"fmt"
	"slices"
	"testing"

	"github.com/throng-gg/throng"
)

// TestChangesOfOthers follows what one process does through another one.
func TestChangesOfOthers(t *testing.T) {
	t.Parallel()
	p := alone(t).place(t)
	first := p.open()
	other := p.another(t)
	all, err := other.Changes(t.Context(), 0)
	if err != nil || !all.Full || len(all.Sessions) != 1 || all.Sessions[0].ID != first.ID {
		t.Fatalf("from the start: got %+v, %v, want the session that there is", all, err)
	}
	cursor := all.Cursor
	await := func(what string, ok func(throng.Session) bool) {
		t.Helper()
		for {
			c, err := other.Changes(t.Context(), cursor)
			if err != nil {
				t.Fatalf("%s: %v", what, err)
			}
			cursor = c.Cursor
			if c.Full {
				t.Fatalf("%s: got all anew, want what changed", what)
			}
			if slices.ContainsFunc(c.Sessions, ok) {
				return
			}
		}
	}
	s := p.open()
	await("opened", func(v throng.Session) bool { return v.ID == s.ID && v.State == throng.SessionStarting })
	if err := p.join(s.ID, "ada"); err != nil {
		t.Fatal(err)
	}
	await("held", func(v throng.Session) bool { return v.ID == s.ID && v.Held == 1 })
	if err := p.reg.End(t.Context(), s.ID, "over"); err != nil {
		t.Fatal(err)
	}
	await("ended", func(v throng.Session) bool {
		return v.ID == s.ID && v.State == throng.SessionEnded && v.Reason == "over"
	})
	// More changes of one shard than are remembered: it is read anew.
	for i := range 1200 {
		who := throng.PlayerID(fmt.Sprintf("p%d", i))
		if err := p.join(first.ID, who); err != nil {
			t.Fatal(err)
		}
		if err := p.reg.Unhold(t.Context(), first.ID, throng.TicketKey{Caller: who, Ticket: "t1"}); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.join(first.ID, "zoe"); err != nil {
		t.Fatal(err)
	}
	for {
		c, err := other.Changes(t.Context(), cursor)
		if err != nil {
			t.Fatal(err)
		}
		cursor = c.Cursor
		if slices.ContainsFunc(c.Sessions, func(v throng.Session) bool { return v.ID == first.ID && v.Held == 1 }) {
			break
		}
	}
}
