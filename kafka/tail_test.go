package kafka

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/kafka/embedded"
)

// road is a way to brokers that can be cut: what is on it stays there.
type road struct {
	mu   sync.Mutex
	open chan struct{} // guarded by mu; closed while the road is open
}

func newRoad() *road {
	r := &road{open: make(chan struct{})}
	close(r.open)
	return r
}

func (r *road) gate() chan struct{} {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.open
}

func (r *road) cut() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open = make(chan struct{})
}

func (r *road) heal() { close(r.gate()) }

func (r *road) dial(ctx context.Context, network, address string) (net.Conn, error) {
	select {
	case <-r.gate():
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	var d net.Dialer
	conn, err := d.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &carriage{Conn: conn, road: r, closed: make(chan struct{})}, nil
}

// carriage is a connection on a road. What is written while it is cut is lost, and with it the connection.
type carriage struct {
	net.Conn
	road   *road
	once   sync.Once
	closed chan struct{}
}

func (c *carriage) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	select {
	case <-c.road.gate():
		return n, err
	case <-c.closed:
		return 0, net.ErrClosed
	}
}

func (c *carriage) Write(b []byte) (int, error) {
	select {
	case <-c.road.gate():
		return c.Conn.Write(b)
	default:
		return len(b), nil
	}
}

func (c *carriage) Close() error {
	c.once.Do(func() { close(c.closed) })
	return c.Conn.Close()
}

// tailed is what a tail has handed over.
type tailed struct {
	mu    sync.Mutex
	ids   []throng.EventID
	heard time.Time
}

func (g *tailed) take(batch []throng.EventRecord, _ int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, e := range batch {
		g.ids = append(g.ids, e.ID)
	}
}

func (g *tailed) hear(at time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.heard = at
}

func (g *tailed) got() (ids []throng.EventID, heard time.Time) {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.ids), g.heard
}

// await waits until so many events came, and all that was there then has been heard.
func (g *tailed) await(t *testing.T, n int, heard time.Time) {
	t.Helper()
	late := time.Now().Add(time.Minute)
	for {
		ids, at := g.got()
		if len(ids) >= n && at.After(heard) {
			return
		}
		if time.Now().After(late) {
			t.Fatalf("got %d events as of %s, want %d, after %s", len(ids), at, n, heard)
		}
		<-time.After(20 * time.Millisecond)
	}
}

type tailRig struct {
	*tailed
	t    *testing.T
	url  string
	log  *Log // publishes
	next int
	want []throng.EventID
}

func newTailRig(t *testing.T, address string) *tailRig {
	t.Helper()
	log, err := New(Config{URL: address, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(log.Close)
	if _, err := log.Setup(t.Context(), SetupConfig{Partitions: 3}); err != nil {
		t.Fatal(err)
	}
	return &tailRig{tailed: &tailed{}, t: t, url: address, log: log}
}

// publish says something of n players.
func (r *tailRig) publish(n int) {
	r.t.Helper()
	var list []throng.Event
	for range n {
		id := throng.EventID(fmt.Sprint("e", r.next))
		list = append(list, throng.Event{ID: id, Type: "a.v1", Stream: throng.StreamPresence, Key: fmt.Sprintf("p%d/ses", r.next%50), Time: time.Now(), Data: []byte(`{}`)})
		r.want = append(r.want, id)
		r.next++
	}
	if err := r.log.Publish(r.t.Context(), list); err != nil {
		r.t.Fatal(err)
	}
}

// tail runs one over a road; what it returns ends the test's wait for it.
func (r *tailRig) tail(way *road, since time.Time) (stop func() error) {
	r.t.Helper()
	log, err := New(Config{URL: r.url, Client: "throng-test", Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		r.t.Fatal(err)
	}
	log.options = append(log.options, kgo.Dialer(way.dial))
	ctx, cancel := context.WithCancel(r.t.Context())
	ended := make(chan error, 1)
	go func() { ended <- log.Tail(ctx, throng.StreamPresence, since, r.take, r.hear) }()
	var once sync.Once
	stop = func() (err error) {
		once.Do(func() { cancel(); err = <-ended })
		return err
	}
	r.t.Cleanup(func() { _ = stop() })
	return stop
}

// TestTail: what is there, then what comes, each once, over a way that is cut and heals.
func TestTail(t *testing.T) {
	t.Parallel()
	b, err := embedded.Open(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	r, way := newTailRig(t, b.Address()), newRoad()
	r.publish(500)
	begun := time.Now()
	stop := r.tail(way, begun.Add(-time.Hour))
	r.await(t, len(r.want), begun)
	r.publish(500)
	r.await(t, len(r.want), time.Now())

	way.cut()
	r.publish(500)
	_, before := r.got()
	<-time.After(2 * time.Second) // for which it must not be heard
	if ids, heard := r.got(); len(ids) != 1000 || heard.After(before.Add(tailAsk)) {
		t.Errorf("cut off: got %d events as of %s, %s before that", len(ids), heard, before)
	}
	healed := time.Now()
	way.heal()
	r.await(t, len(r.want), healed)
	t.Logf("all was heard %s after healing", time.Since(healed))

	ids, _ := r.got()
	slices.Sort(ids)
	slices.Sort(r.want)
	if !slices.Equal(ids, r.want) {
		t.Errorf("got %d events, want each of %d once", len(ids), len(r.want))
	}
	if err := stop(); err != nil {
		t.Error(err)
	}
}

// TestTailOfNothing: a stream without events since then is heard all the same.
func TestTailOfNothing(t *testing.T) {
	t.Parallel()
	b, err := embedded.Open(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	r := newTailRig(t, b.Address())
	r.publish(50)
	begun := time.Now()
	r.tail(newRoad(), begun.Add(time.Hour))
	r.await(t, 0, begun)
	if ids, _ := r.got(); len(ids) != 0 {
		t.Errorf("got %d events of before", len(ids))
	}
}

// TestTailOfAnotherLog: a tail whose brokers lost everything ends and says so.
func TestTailOfAnotherLog(t *testing.T) {
	t.Parallel()
	b, err := embedded.Open(embedded.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	port, err := b.Port()
	if err != nil {
		t.Fatal(err)
	}
	r := newTailRig(t, b.Address())
	r.publish(500)
	log, err := New(Config{URL: b.Address(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	begun := time.Now()
	go func() {
		ended <- log.Tail(t.Context(), throng.StreamPresence, begun.Add(-time.Hour), r.take, r.hear)
	}()
	r.await(t, len(r.want), begun)
	b.Close()
	if b, err = embedded.Open(embedded.Config{Port: port}); err != nil {
		t.Fatal(err)
	}
	newTailRig(t, b.Address()).publish(50)
	select {
	case err := <-ended:
		if throng.KindOf(err) != throng.Unavailable || err == nil {
			t.Errorf("got %v, want unavailable", err)
		}
	case <-time.After(time.Minute):
		t.Error("it goes on for a minute")
	}
}

// TestPresencePartitions: all that is said of a player stands in one partition.
func TestPresencePartitions(t *testing.T) {
	t.Parallel()
	of := partitioner().ForTopic("throng.presence")
	other := partitioner().ForTopic("throng.play")
	for i := range 100 {
		p := throng.PlayerID(fmt.Sprint("p", i))
		want := other.Partition(&kgo.Record{Key: []byte(p)}, 12)
		for _, s := range []throng.SessionID{"ses_1", "ses_2"} {
			if got := of.Partition(&kgo.Record{Key: []byte(throng.PresenceKey(p, s))}, 12); got != want {
				t.Errorf("%s in %s: got partition %d, want %d", p, s, got, want)
			}
		}
	}
}

// TestCopyPartitions: all that is said of a player in a game stands in one partition.
func TestCopyPartitions(t *testing.T) {
	t.Parallel()
	of := partitioner().ForTopic("throng.copies")
	used := map[int]bool{}
	for i := range 100 {
		p := throng.PlayerID(fmt.Sprint("p", i))
		want := of.Partition(&kgo.Record{Key: []byte(throng.ProfileCopyKey("bazaar", p))}, 12)
		used[want] = true
		for _, id := range []throng.TransferID{"t1", "t2", "t3"} {
			if got := of.Partition(&kgo.Record{Key: []byte(throng.LedgerCopyKey("bazaar", p, id))}, 12); got != want {
				t.Errorf("%s's %s: got partition %d, want %d", p, id, got, want)
			}
		}
	}
	if len(used) < 6 {
		t.Errorf("a hundred players are in %d partitions of 12", len(used))
	}
}
