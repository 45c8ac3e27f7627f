package replica

import (
	"context"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

const (
	tellTime  = 2 * time.Second
	urgentLen = 4096 // orders and the like
	slowLen   = 1024 // pieces of logs, of up to 64 KiB each
	mostNews  = 200  // pieces that are sent together
	mostBytes = 256 << 10
)

// peer is another replica, as far as it lives.
type peer struct {
	throng.Replica
	way    Peer
	urgent *lane
	slow   *lane // logs, which keep no order waiting

	over chan struct{} // closed when it does not live any more
	end  func()
}

func newPeer(r throng.Replica, way Peer, m *metrics) *peer {
	over := make(chan struct{})
	return &peer{
		Replica: r,
		way:     way,
		urgent:  newLane(urgentLen, m.of("urgent")),
		slow:    newLane(slowLen, m.of("logs")),
		over:    over,
		end:     sync.OnceFunc(func() { close(over) }),
	}
}

// run sends news until ctx ends or the peer is over.
func (p *peer) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	var all sync.WaitGroup
	all.Go(func() { p.urgent.run(ctx, p.way) })
	all.Go(func() { p.slow.run(ctx, p.way) })
	select {
	case <-p.over:
	case <-ctx.Done():
	}
	cancel()
	all.Wait()
}

// flush waits until what was queued was sent, as long as ctx lets it.
func (p *peer) flush(ctx context.Context) {
	p.urgent.flush(ctx)
	p.slow.flush(ctx)
}

// lane is a queue of news.
type lane struct {
	queue   chan throng.ReplicaNews // full: news are dropped and counted
	idle    chan chan struct{}      // who waits until all was sent
	metrics laneMetrics
}

func newLane(length int, m laneMetrics) *lane {
	return &lane{queue: make(chan throng.ReplicaNews, length), idle: make(chan chan struct{}), metrics: m}
}

// put queues news. It does not wait.
func (l *lane) put(n throng.ReplicaNews) {
	select {
	case l.queue <- n:
	default:
		l.metrics.full.Inc()
	}
}

func (l *lane) run(ctx context.Context, way Peer) {
	for {
		select {
		case <-ctx.Done():
			return
		case n := <-l.queue:
			l.send(ctx, way, n)
		case told := <-l.idle:
			for len(l.queue) > 0 && ctx.Err() == nil {
				l.send(ctx, way, <-l.queue)
			}
			close(told)
		}
	}
}

// send sends news together with what waits behind them.
func (l *lane) send(ctx context.Context, way Peer, n throng.ReplicaNews) {
	pieces := 1
	for size := sizeOf(n); pieces < mostNews && size < mostBytes; pieces++ {
		select {
		case more := <-l.queue:
			n.Orders = append(n.Orders, more.Orders...)
			n.Took = append(n.Took, more.Took...)
			n.Logs = append(n.Logs, more.Logs...)
			n.Lines = append(n.Lines, more.Lines...)
			size += sizeOf(more)
			continue
		default:
		}
		break
	}
	telling, cancel := context.WithTimeout(ctx, tellTime)
	defer cancel()
	if err := way.Tell(telling, n); err != nil {
		l.metrics.lost.Add(float64(pieces))
		return
	}
	l.metrics.sent.Add(float64(pieces))
}

// sizeOf is about how many bytes of JSON it makes, beyond a constant.
func sizeOf(n throng.ReplicaNews) int {
	size := 0
	for _, logs := range n.Logs {
		for _, line := range logs.Lines {
			size += len(line.Text) + 100
		}
	}
	for _, line := range n.Lines {
		size += len(line.Text) + 200
	}
	return size
}

func (l *lane) flush(ctx context.Context) {
	told := make(chan struct{})
	select {
	case l.idle <- told:
	case <-ctx.Done():
		return
	}
	select {
	case <-told:
	case <-ctx.Done():
	}
}
