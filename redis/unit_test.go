package redis

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/redis/rueidis"
	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
)

func TestURLs(t *testing.T) {
	for _, c := range []struct {
		url   string
		addrs string
		user  string
		pass  string
		db    int
		tls   bool
	}{
		{url: "redis://127.0.0.1:7000", addrs: "127.0.0.1:7000"},
		{url: "redis://a,b:7001,[::1]:7002/3", addrs: "a:6379 b:7001 [::1]:7002", db: 3},
		{url: "rediss://ada:s%40cret@host/", addrs: "host:6379", user: "ada", pass: "s@cret", tls: true},
		{url: "valkey://:pw@host:1", addrs: "host:1", pass: "pw"},
	} {
		o, err := parseURL(c.url)
		if err != nil || strings.Join(o.InitAddress, " ") != c.addrs || o.Username != c.user || o.Password != c.pass ||
			o.SelectDB != c.db || (o.TLSConfig != nil) != c.tls {
			t.Errorf("%s: got %v %q %q %d, %v", c.url, o.InitAddress, o.Username, o.Password, o.SelectDB, err)
		}
	}
	for _, bad := range []string{
		"", "host:6379", "http://x:hunter2@host", "redis://", "redis://u:hunter2@host:0", "redis://u:hunter2@host:99999",
		"redis://u:hunter2%zz@host", "redis://u:hunter2@host/x", "redis://u:hunter2@host,", "redis://u:hunter2@host:6379?x=1",
	} {
		_, err := New(Config{URL: bad, Region: "local"})
		if throng.KindOf(err) != throng.Invalid || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%q: got %v, want it invalid, without the password", bad, err)
		}
	}
}

// TestBlocks has callers wait in line while a call is under way.
func TestBlocks(t *testing.T) {
	l := &lines{of: map[throng.SessionID]*line{}}
	var (
		mu     sync.Mutex
		blocks []int
		gate   = make(chan struct{})
	)
	ask := func(_ context.Context, _ throng.SessionID, block []*asked) []told {
		<-gate
		mu.Lock()
		defer mu.Unlock()
		blocks = append(blocks, len(block))
		answers := make([]told, len(block))
		for i, a := range block {
			answers[i] = a.read(nil, rueidis.RedisMessage{})
		}
		return answers
	}
	waiting := func(n int) {
		for {
			l.mu.Lock()
			ln := l.of["s"]
			ok := ln != nil && len(ln.waiting) == n
			l.mu.Unlock()
			if ok {
				return
			}
			runtime.Gosched()
		}
	}
	var wg sync.WaitGroup
	enter := func(ctx context.Context, i int, want error) {
		wg.Go(func() {
			k := throng.TicketKey{Caller: throng.PlayerID(fmt.Sprint(i))}
			me := &asked{session: "s", told: make(chan told, 1)}
			me.read = func(*record, rueidis.RedisMessage) (t told) {
				t.hold.Key = k
				return t
			}
			got := l.enter(ctx, me, ask)
			if !errors.Is(got.err, want) || want == nil && got.hold.Key != k {
				t.Errorf("caller %d: got %+v, want his own answer or %v", i, got, want)
			}
		})
	}
	enter(t.Context(), 0, nil)
	waiting(0)
	for i := range 70 {
		enter(t.Context(), i+1, nil)
	}
	waiting(70)
	gone, cancel := context.WithCancel(t.Context())
	enter(gone, 100, context.Canceled)
	waiting(71)
	cancel()
	waiting(70)
	close(gate)
	wg.Wait()
	if fmt.Sprint(blocks) != "[1 32 32 6]" {
		t.Errorf("blocks: got %v, want 1, then 32, 32 and the rest", blocks)
	}
	if len(l.of) != 0 {
		t.Errorf("lines that are left: got %v, want none", l.of)
	}
}

func TestTicketsRoundTrip(t *testing.T) {
	n := newNames("x:", "local")
	rapid.Check(t, func(t *rapid.T) {
		name := rapid.StringMatching(`[A-Za-z0-9_.:-]{1,64}`)
		k := throng.TicketKey{Caller: throng.PlayerID(name.Draw(t, "caller")), Ticket: throng.TicketID(name.Draw(t, "ticket"))}
		tk := throng.Ticket{
			Key: k, Place: throng.PlaceID(rapid.StringMatching(`[a-z][a-z0-9-]{0,39}`).Draw(t, "place")),
			Version: throng.Version(rapid.IntRange(1, maxVersion-1).Draw(t, "version")),
			Mode:    rapid.SampledFrom(append(modes[:], "later")).Draw(t, "mode"),
			Friend:  throng.PlayerID(rapid.SampledFrom([]string{"", "bo"}).Draw(t, "friend")),
			PartyID: throng.PartyID(rapid.SampledFrom([]string{"", "pty_x"}).Draw(t, "party")),
			Party:   []throng.PlayerID{k.Caller},
		}
		if rapid.Bool().Draw(t, "code") {
			tk.Code = throng.HashCode("x")
		}
		if rapid.Bool().Draw(t, "from") {
			tk.From = throng.Origin{Session: "ses_x", Place: "lobby", Data: strings.Repeat("\x00\xff", 500)}
		}
		if rapid.Bool().Draw(t, "more") {
			tk.Party = append(tk.Party, "bo", "cy")
		}
		got, err := parseWish(throng.Ticket{Key: k, Version: tk.Version, Place: tk.Place}, packWish(tk)+"\x00\x07")
		if err != nil || fmt.Sprint(got) != fmt.Sprint(tk) {
			t.Fatalf("got %+v, %v, want %+v", got, err, tk)
		}
		e := throng.Epoch(rapid.Uint64Range(1, maxEpoch-1).Draw(t, "epoch"))
		g := throng.Grant{
			Hold:  throng.Hold{Key: k, Session: throng.MakeSessionID("local", 7, throng.Entropy{1}), Members: []throng.Member{{Player: k.Caller, Epoch: e}}},
			Place: tk.Place, Version: tk.Version, Nonce: [24]byte{9},
		}
		if rapid.Bool().Draw(t, "held") {
			g.HeldAt = time.UnixMilli(rapid.Int64Range(1, 1<<42).Draw(t, "at"))
			g.Until = rapid.SampledFrom([]time.Time{{}, g.HeldAt.Add(throng.HoldTime), g.HeldAt.Add(time.Second)}).Draw(t, "until")
		}
		for _, p := range tk.Party[1:] {
			g.Members = append(g.Members, throng.Member{Player: p, Epoch: e + 1})
		}
		packed, err := n.packGrant(g)
		if err != nil {
			t.Fatal(err)
		}
		back, err := n.parseGrant(tk, e, packed)
		if err != nil || fmt.Sprint(*back) != fmt.Sprint(g) {
			t.Fatalf("got %+v, %v, want %+v", back, err, g)
		}
	})
}

func TestSessionIDsRoundTrip(t *testing.T) {
	n := newNames("x:", "local")
	for _, id := range []throng.SessionID{
		throng.MakeSessionID("local", 0xab, throng.Entropy{1, 2, 3}), "ses_local_abilouilouilouilou", "ses_local_ab----------------",
	} {
		packed, err := n.id(id)
		if err != nil || n.session(packed) != id {
			t.Errorf("%s: got %q, %v, and back %s", id, packed, err, n.session(packed))
		}
	}
	if _, err := n.id("ses_far_000000000000000000"); throng.KindOf(err) != throng.NotFound {
		t.Errorf("of another region: got %v, want it not found", err)
	}
}

func FuzzParse(f *testing.F) {
	n := newNames("x:", "local")
	f.Add("12345678901", "\x01\x00")
	f.Add("short", packWeb(throng.WebAddress{URL: "https://192.0.2.1:1/", Certificates: [][32]byte{{1}}}))
	f.Add("x", packAddress(netip.MustParseAddrPort("192.0.2.1:1")))
	f.Fuzz(func(_ *testing.T, id, raw string) {
		if c, err := n.parse(id, raw, 0); err == nil {
			_, _ = c.parseOrders([]string{raw})
		}
		_, _ = parseWish(throng.Ticket{}, raw)
		_, _ = n.parseGrant(throng.Ticket{}, 1, raw)
		parseStamp(raw)
		parseWeb(raw)
	})
}
