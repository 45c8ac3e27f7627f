package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/kafka"
	"github.com/throng-gg/throng/udp"
)

// cutBroker is a broker from which those can be cut off who say that they are of
// another region; game servers and the own region are not.
type cutBroker struct {
	net.Listener

	address string
	mu      sync.Mutex
	open    chan struct{} // guarded by mu; closed while others get through
}

func newCutBroker(t *testing.T) *cutBroker {
	t.Helper()
	b := &cutBroker{open: make(chan struct{})}
	close(b.open)
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.ListenFn(func(network, _ string) (l net.Listener, err error) {
		b.Listener, err = net.Listen(network, "127.0.0.1:0") //nolint:noctx // it has none
		return b, err
	}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		b.heal()
		cluster.Close()
	})
	b.address = cluster.ListenAddrs()[0]
	if status, out := throngCommand(t, "setup", "kafka", b.address, "--partitions", "3"); status != 0 {
		t.Fatalf("setup: %d %s", status, out)
	}
	return b
}

func (b *cutBroker) gate() chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.open
}

// cut lets nothing of others through, until heal.
func (b *cutBroker) cut() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.open = make(chan struct{})
}

func (b *cutBroker) heal() {
	b.mu.Lock()
	defer b.mu.Unlock()
	select {
	case <-b.open:
	default:
		close(b.open)
	}
}

// Accept hands out connections that can be cut.
func (b *cutBroker) Accept() (net.Conn, error) {
	conn, err := b.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &cutConn{Conn: conn, of: b, in: bufio.NewReader(conn), over: make(chan struct{}), named: make(chan struct{})}, nil
}

// cutConn is one of them.
type cutConn struct {
	net.Conn

	of    *cutBroker
	in    *bufio.Reader
	ask   sync.Once
	named chan struct{}
	other bool // after named
	end   sync.Once
	over  chan struct{}
}

// who reads the client's name out of its first request.
func (c *cutConn) who() {
	c.ask.Do(func() {
		defer close(c.named)
		head, err := c.in.Peek(14) // size, key, version, correlation, length
		if err != nil {
			return
		}
		name, err := c.in.Peek(14 + int(binary.BigEndian.Uint16(head[12:])))
		c.other = err == nil && len(name) > 14+len("throng-of-") && string(name[14:14+len("throng-of-")]) == "throng-of-"
	})
}

// pass waits while the connection is cut.
func (c *cutConn) pass() error {
	if !c.other {
		return nil
	}
	select {
	case <-c.of.gate():
		return nil
	case <-c.over:
		return net.ErrClosed
	}
}

func (c *cutConn) Read(b []byte) (int, error) {
	c.who()
	n, err := c.in.Read(b)
	if cut := c.pass(); cut != nil {
		return 0, cut
	}
	return n, err
}

func (c *cutConn) Write(b []byte) (int, error) {
	<-c.named
	if err := c.pass(); err != nil {
		return 0, err
	}
	return c.Conn.Write(b)
}

func (c *cutConn) Close() error {
	c.end.Do(func() { close(c.over) })
	return c.Conn.Close()
}

// twoRegions hear of each other's players.
type twoRegions struct {
	*sideBySide

	kafka [2]*cutBroker

	mu     sync.Mutex
	epochs map[throng.SessionID]map[throng.PlayerID]throng.Epoch // guarded by mu; by what the logs say
}

func startTwoRegions(t *testing.T) *twoRegions {
	t.Helper()
	r := &twoRegions{sideBySide: &sideBySide{t: t, list: devRegions()[:2]}, epochs: map[throng.SessionID]map[throng.PlayerID]throng.Epoch{}}
	r.dev.Data, r.dev.Addr, r.dev.args = t.TempDir(), "127.0.0.1:0", []string{"dev", "--warm=1"}
	var err error
	if r.urls, err = r.dev.sideAddresses(t.Context(), 2); err != nil {
		t.Fatal(err)
	}
	if err := r.dev.sideSecrets(r.list); err != nil {
		t.Fatal(err)
	}
	for i := range r.list {
		r.kafka[i] = newCutBroker(t)
		r.watch(i)
	}
	for i := range r.list {
		others := filepath.Join(t.TempDir(), "kafkas")
		if err := os.WriteFile(others, fmt.Appendf(nil, "# the other one\n%s = %s\n", r.list[1-i].id, r.kafka[1-i].address), 0o600); err != nil {
			t.Fatal(err)
		}
		args := append(r.dev.sideArgs(r.list, r.urls, i), "--kafka="+r.kafka[i].address, "--peer-kafka="+others)
		p := start(t, throngBinary(t), args...)
		p.line("ready at", 60*time.Second)
		r.all = append(r.all, newRegion(t, p, r.urls[i], r.dev.sideFolder(r.list[i])))
	}
	r.hear(2)
	return r
}

// watch notes the epochs of which a region's game servers tell.
func (r *twoRegions) watch(i int) {
	log, err := kafka.New(kafka.Config{URL: r.kafka[i].address, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.WithoutCancel(r.t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- log.Tail(ctx, throng.StreamPresence, time.Now(), func(batch []throng.EventRecord, _ int) {
			r.mu.Lock()
			defer r.mu.Unlock()
			for _, e := range batch {
				var data throng.PresenceChanged
				if json.Unmarshal(e.Data, &data) != nil {
					continue
				}
				if r.epochs[e.Session] == nil {
					r.epochs[e.Session] = map[throng.PlayerID]throng.Epoch{}
				}
				r.epochs[e.Session][e.Player] = data.Epoch
			}
		}, func(time.Time) {})
	}()
	r.t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			r.t.Error(err)
		}
	})
}

func (r *twoRegions) epoch(s throng.SessionID, p throng.PlayerID) throng.Epoch {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.epochs[s][p]
}

// stay is a player's connection to a session.
type stay struct {
	region  int
	session throng.SessionID
	conn    *udp.Conn // nil: he did not get in
	stop    func()
}

func (s stay) live() bool {
	if s.conn == nil {
		return false
	}
	select {
	case <-s.conn.Done():
		return false
	default:
		return true
	}
}

// enter lets a player in at the i-th region, near which he is.
func (r *sideBySide) enter(i int, place throng.PlaceID, player throng.PlayerID, ticket string) stay {
	a, err := r.all[i].as(player, api.RolePlayer).Matchmake(r.t.Context(), throng.Ticket{
		Key: throng.TicketKey{Caller: player, Ticket: throng.TicketID(ticket)}, Place: place,
		Party: []throng.PlayerID{player}, Mode: throng.ModeDropIn, Latencies: r.far(i),
	})
	if err != nil {
		r.t.Errorf("join of %s at %s: %v", player, r.list[i].id, err)
		return stay{region: i, stop: func() {}}
	}
	out := stay{region: i, session: a.Session, stop: func() {}}
	if a.Session.Region() != r.list[i].id {
		r.t.Errorf("%s is in %s, want a session of %s", player, a.Session, r.list[i].id)
	}
	ctx, cancel := context.WithTimeout(r.t.Context(), 15*time.Second)
	defer cancel()
	conn, err := udp.Dial(ctx, a.JoinToken, func([]byte) {})
	if err != nil {
		return out
	}
	running, stop := context.WithCancel(context.WithoutCancel(r.t.Context()))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = conn.Run(running)
	}()
	out.conn, out.stop = conn, func() { stop(); <-ended }
	return out
}

// where is where a region says that a player is.
func (r *twoRegions) where(i int, player throng.PlayerID) gen.Presence {
	r.t.Helper()
	p, err := r.all[i].as("watcher", api.RolePlayer).Presence(r.t.Context(), player)
	if err != nil && throng.KindOf(err) != throng.Unavailable { // a registry that was not served for 2 s rebuilds
		r.t.Errorf("presence of %s in %s: %v", player, r.list[i].id, err)
	}
	return p
}

// knows says whether both regions say that a player is in a session.
func (r *twoRegions) knows(player throng.PlayerID, at stay) bool {
	for i := range r.list {
		p := r.where(i, player)
		if p.State != "playing" || p.Session != string(at.session) || p.Region != string(r.list[at.region].id) || p.Place != "arena" || p.Age < 0 || p.Age > 5 {
			return false
		}
	}
	return true
}

// equalWithin is how soon regions that hear each other agree: 5 s, on a machine that
// may do other things at the same time somewhat later.
func equalWithin() time.Duration {
	if inLong() {
		return 5 * time.Second
	}
	return 20 * time.Second
}

// TestOneSeatInAllRegions: a player who joins in a second region has no seat in the
// first any more, and both say where he is; also when one was cut off from the other
// meanwhile, then as soon as it is not.
func TestOneSeatInAllRegions(t *testing.T) {
	t.Parallel()
	r := startTwoRegions(t)
	for first := range 2 {
		second := 1 - first
		name := func(p string) throng.PlayerID { return throng.PlayerID(fmt.Sprint(p, first)) }
		old := r.enter(first, "arena", name("ada"), "one")
		eventually(t, equalWithin(), "both know where ada is", func() bool { return r.knows(name("ada"), old) })
		newer := r.enter(second, "arena", name("ada"), "two")
		eventually(t, equalWithin(), "both know where ada is now", func() bool { return r.knows(name("ada"), newer) && !old.live() })

		bo := r.enter(second, "arena", name("bo"), "one")
		eventually(t, equalWithin(), "both know where bo is", func() bool { return r.knows(name("bo"), bo) })
		r.kafka[second].cut()
		cyOld := r.enter(first, "arena", name("cy"), "one")
		eventually(t, equalWithin(), "cy's region and the other one know where he is", func() bool { return r.knows(name("cy"), cyOld) })
		cyNew := r.enter(second, "arena", name("cy"), "two")
		eventually(t, equalWithin(), "his new region knows", func() bool { return r.where(second, name("cy")).Session == string(cyNew.session) })
		eventually(t, 30*time.Second, "the age of bo's presence grows", func() bool { return r.where(first, name("bo")).Age > 2 })
		eventually(t, equalWithin(), "bo was seen last where he was, and cy's old region does not know that he has gone", func() bool {
			p := r.where(first, name("bo"))
			return p.State == "playing" && p.Session == string(bo.session) && cyOld.live() && r.where(first, name("cy")).Session == string(cyOld.session)
		})
		r.kafka[second].heal()
		eventually(t, equalWithin(), "the older seat is gone, both know where cy is", func() bool { return !cyOld.live() && r.knows(name("cy"), cyNew) })
		eventually(t, equalWithin(), "everybody still has his newer seat", func() bool {
			return cyNew.live() && r.knows(name("ada"), newer) && r.knows(name("bo"), bo)
		})
		for _, s := range []stay{old, newer, bo, cyOld, cyNew} {
			s.stop()
		}
	}
}

// set sets who may see a player, and his friends, at the i-th region.
func (r *twoRegions) set(i int, player throng.PlayerID, privacy throng.Privacy, friends ...throng.PlayerID) {
	r.t.Helper()
	door := r.all[i].as(player, api.RolePlayer)
	if err := door.SetPrivacy(r.t.Context(), player, privacy); err != nil {
		r.t.Errorf("privacy of %s at %s: %v", player, r.list[i].id, err)
	}
	if len(friends) > 0 {
		if _, err := door.SetFriends(r.t.Context(), player, friends); err != nil {
			r.t.Errorf("friends of %s at %s: %v", player, r.list[i].id, err)
		}
	}
}

// privacy is what a region knows of whom a player lets see him.
func (r *twoRegions) privacy(i int, player throng.PlayerID) throng.Privacy {
	r.t.Helper()
	p, err := r.all[i].as(player, api.RolePlayer).Privacy(r.t.Context(), player)
	if err != nil {
		r.t.Errorf("privacy of %s at %s: %v", player, r.list[i].id, err)
	}
	return throng.Privacy(p.Presence)
}

// TestPrivacyInAllRegions: who hides in one region is hidden in both, a friendship
// counts in both wherever it was made, and what was set while they did not hear each other
// is the same in both once they do.
func TestPrivacyInAllRegions(t *testing.T) {
	t.Parallel()
	r := startTwoRegions(t)
	// seen says whether both regions know where ada is, and whether they show it.
	seen := func(want bool) func() bool {
		return func() bool {
			for i := range r.list {
				op, err := r.all[i].as("op", api.RoleOperator).Presence(t.Context(), "ada")
				if err != nil || op.State != "playing" || (r.where(i, "ada").State == "playing") != want {
					return false
				}
			}
			return true
		}
	}
	r.set(0, "ada", throng.PrivacyNobody)
	eventually(t, equalWithin(), "both know that ada hides", func() bool { return r.privacy(1, "ada") == throng.PrivacyNobody })
	ada := r.enter(1, "arena", "ada", "one")
	defer ada.stop()
	eventually(t, equalWithin(), "both know where ada is, and neither shows it", seen(false))

	r.set(1, "ada", throng.PrivacyFriends, "watcher")
	r.set(0, "watcher", throng.PrivacyEveryone, "ada")
	eventually(t, equalWithin(), "both show it to her friend", seen(true))
	r.set(0, "watcher", throng.PrivacyEveryone, "bo")
	eventually(t, equalWithin(), "neither does to who is none any more", seen(false))

	for i := range r.list {
		r.kafka[i].cut()
	}
	r.set(0, "ada", throng.PrivacyEveryone)
	r.set(1, "ada", throng.PrivacyNobody)
	if here, there := r.privacy(0, "ada"), r.privacy(1, "ada"); here != throng.PrivacyEveryone || there != throng.PrivacyNobody {
		t.Errorf("cut off from each other they have %s and %s", here, there)
	}
	for i := range r.list {
		r.kafka[i].heal()
	}
	eventually(t, equalWithin(), "both have what was set last", func() bool {
		return r.privacy(0, "ada") == throng.PrivacyNobody && r.privacy(1, "ada") == throng.PrivacyNobody
	})
	eventually(t, equalWithin(), "and hide her", seen(false))
}

// TestJoinsInTwoRegionsAtOnce: of a player's joins in two regions at once one stays, the
// one with the later epoch, whoever hears whom when; with THRONG_SOAK a thousand times.
func TestJoinsInTwoRegionsAtOnce(t *testing.T) {
	t.Parallel()
	rounds, players := 2, 5
	if inLong() {
		rounds, players = 100, 10
	}
	r := startTwoRegions(t)
	for round := range rounds {
		cut := round % 4 // none but in the first: one, the other, both
		for i := range 2 {
			if (cut+1)&(1<<i) != 0 {
				r.kafka[i].cut()
			}
		}
		stays := make([][2]stay, players)
		var entering sync.WaitGroup
		for k := range stays {
			for i := range 2 {
				entering.Go(func() {
					stays[k][i] = r.enter(i, "arena", throng.PlayerID(fmt.Sprint("ada", k)), fmt.Sprintf("r%d-%d", round, i))
				})
			}
		}
		entering.Wait()
		r.kafka[0].heal()
		r.kafka[1].heal()
		healed := time.Now()
		for k, both := range stays {
			p := throng.PlayerID(fmt.Sprint("ada", k))
			eventually(t, max(equalWithin()-time.Since(healed), time.Second), fmt.Sprintf("round %d: %s has one seat, the newer, of which both know", round, p), func() bool {
				live := both[0]
				if both[1].live() {
					live = both[1]
				}
				other := both[1-live.region]
				return live.live() && !other.live() && r.epoch(live.session, p) > r.epoch(other.session, p) && r.knows(p, live)
			})
		}
		t.Logf("round %d: all are agreed %s after healing", round, time.Since(healed).Round(time.Millisecond))
		for _, both := range stays {
			both[0].stop()
			both[1].stop()
		}
	}
}
