package memory_test

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/session"
)

// BenchmarkJoin measures claim, hold, settle, confirm and leave of one player
// in a pool of 20,000 sessions, all of one shard.
func BenchmarkJoin(b *testing.B) {
	reg, ids := crowded(b, 20000)
	ctx := b.Context()
	revisions := make([]throng.Revision, len(ids))
	i := 0
	for b.Loop() {
		n := i % len(ids)
		p := throng.PlayerID(fmt.Sprintf("p%d", i%100000))
		c, err := reg.Claim(ctx, throng.Ticket{
			Key: throng.TicketKey{Caller: p, Ticket: throng.TicketID(fmt.Sprint(i))}, Place: "arena", Version: 1,
			Party: []throng.PlayerID{p},
		})
		if err != nil {
			b.Fatal(err)
		}
		h, _, err := reg.Hold(ctx, c, ids[n])
		if err != nil {
			b.Fatal(err)
		}
		if _, err := reg.Settle(ctx, c, h); err != nil {
			b.Fatal(err)
		}
		beat := heartbeat(ids[n])
		joined := throng.RosterChange{
			Revision: revisions[n] + 1, Kind: throng.RosterJoined, Player: p, Epoch: c.Members[0].Epoch, Key: c.Key,
		}
		if err := reg.Confirm(ctx, beat, joined); err != nil {
			b.Fatal(err)
		}
		left := joined
		left.Kind, left.Revision = throng.RosterLeft, joined.Revision+1
		beat.Changes, beat.Revision = []throng.RosterChange{joined, left}, left.Revision
		if _, err := reg.Heartbeat(ctx, beat); err != nil {
			b.Fatal(err)
		}
		revisions[n] = left.Revision
		if i++; i%10000 == 0 {
			if err := reg.Tick(ctx); err != nil {
				b.Fatal(err)
			}
		}
	}
}

// BenchmarkTick measures one tick over 20,000 sessions of one shard.
func BenchmarkTick(b *testing.B) {
	reg, _ := crowded(b, 20000)
	for b.Loop() {
		if err := reg.Tick(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func heartbeat(id throng.SessionID) throng.Heartbeat {
	return throng.Heartbeat{
		Session: id, Server: throng.MakeServerID("local", throng.Entropy{1}), Incarnation: "one",
		Address: netip.MustParseAddrPort("127.0.0.1:4000"),
	}
}

func crowded(b *testing.B, n int) (*session.Registry, []throng.SessionID) {
	b.Helper()
	now := time.Unix(1_800_000_000, 0)
	st, err := memory.New(memory.Config{Now: func() time.Time { return now }})
	if err != nil {
		b.Fatal(err)
	}
	reg, err := session.New(session.Config{Store: st, Region: throng.Region{ID: "local"}})
	if err != nil {
		b.Fatal(err)
	}
	if err := reg.Tick(b.Context()); err != nil {
		b.Fatal(err)
	}
	ids := make([]throng.SessionID, n)
	for i := range ids {
		s, err := reg.Open(b.Context(), throng.Release{Place: "arena", Version: 1, Capacity: 50})
		if err != nil {
			b.Fatal(err)
		}
		ids[i] = s.ID
		if _, err := reg.Heartbeat(b.Context(), heartbeat(s.ID)); err != nil {
			b.Fatal(err)
		}
	}
	return reg, ids
}
