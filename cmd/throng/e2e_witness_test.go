package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/udp"
)

// witness sees which players of several crowds sit where, from the players' side:
// it lies between them and the door, and between them and the game servers.
type witness struct {
	bot.Door
	capacity int

	mu      sync.Mutex // guards what follows
	tickets map[string]throng.PlayerID
	sights  map[throng.PlayerID]*sight
	inside  map[throng.SessionID]map[throng.PlayerID]int // connections
	wrong   []string
}

// sight is what one player sees; guarded by the witness's mu.
type sight struct {
	session  throng.SessionID
	heard    time.Time     // the newest payload
	payloads int           // since he came in
	gap      time.Duration // longest between two payloads
}

// settledAfter is how many payloads a player has heard who has a complete world for long:
// a second of a game server's.
const settledAfter = 30

func newWitness(door bot.Door, capacity int) *witness {
	return &witness{
		Door: door, capacity: capacity, tickets: map[string]throng.PlayerID{}, sights: map[throng.PlayerID]*sight{},
		inside: map[throng.SessionID]map[throng.PlayerID]int{},
	}
}

// Place remembers whose token it is.
func (w *witness) Place(ctx context.Context, p throng.PlayerID, t throng.Ticket) (bot.Seat, error) {
	seat, err := w.Door.Place(ctx, p, t)
	if err == nil {
		w.mu.Lock()
		defer w.mu.Unlock()
		w.tickets[string(seat.Token)] = p
	}
	return seat, err
}

// way connects over UDP and looks on.
func (w *witness) way(seat bot.Seat) client.Dial {
	w.mu.Lock()
	defer w.mu.Unlock()
	p := w.tickets[string(seat.Token)]
	delete(w.tickets, string(seat.Token))
	return func(ctx context.Context, token []byte, receive func([]byte)) (client.Conn, error) {
		conn, err := udp.Dial(ctx, token, func(payload []byte) {
			w.hear(p)
			receive(payload)
		})
		if err != nil {
			return nil, err
		}
		w.enter(p, seat.Session)
		return seenConn{conn, sync.OnceFunc(func() { w.leave(p, seat.Session) })}, nil
	}
}

func (w *witness) hear(p throng.PlayerID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.sights[p]; s != nil {
		now := time.Now()
		s.gap, s.heard = max(s.gap, now.Sub(s.heard)), now
		s.payloads++
	}
}

// enter counts a connection. More may be open than there are seats only when one
// player comes back over another one.
func (w *witness) enter(p throng.PlayerID, id throng.SessionID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s := w.sights[p]; s != nil && s.session != id && w.inside[s.session][p] > 0 {
		w.wrong = append(w.wrong, fmt.Sprintf("%s is in %s and in %s", p, s.session, id))
	}
	if w.inside[id] == nil {
		w.inside[id] = map[throng.PlayerID]int{}
	}
	if w.inside[id][p] == 0 {
		w.sights[p] = &sight{session: id, heard: time.Now()}
	}
	w.inside[id][p]++
	if n := len(w.inside[id]); n > w.capacity {
		w.wrong = append(w.wrong, fmt.Sprintf("%d players are in %s, which has %d seats", n, id, w.capacity))
	}
}

func (w *witness) leave(p throng.PlayerID, id throng.SessionID) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.inside[id][p]--; w.inside[id][p] == 0 {
		delete(w.inside[id], p)
	}
}

// seats is who is where now.
func (w *witness) seats() map[throng.PlayerID]throng.SessionID {
	w.mu.Lock()
	defer w.mu.Unlock()
	seats := map[throng.PlayerID]throng.SessionID{}
	for id, players := range w.inside {
		for p := range players {
			seats[p] = id
		}
	}
	return seats
}

// play says whether all of them have their worlds and have heard of them since then.
func (w *witness) play(since time.Time, players []throng.PlayerID) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return !slices.ContainsFunc(players, func(p throng.PlayerID) bool {
		s := w.sights[p]
		return s == nil || w.inside[s.session][p] == 0 || s.payloads < settledAfter || !s.heard.After(since)
	})
}

// watch begins to look for the longest time in which a player heard nothing;
// longest is of these players.
func (w *witness) watch() (longest func([]throng.PlayerID) time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for s := range maps.Values(w.sights) {
		s.gap = 0
	}
	return func(players []throng.PlayerID) (most time.Duration) {
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, p := range players {
			if s := w.sights[p]; s != nil {
				most = max(most, s.gap)
			}
		}
		return most
	}
}

// judge says what was wrong so far.
func (w *witness) judge(t *testing.T) {
	t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, why := range w.wrong {
		t.Error(why)
	}
	w.wrong = nil
}

// seenConn is a connection that a witness knows of.
type seenConn struct {
	client.Conn
	leave func()
}

// Run lets the player be gone before his server hears that: his seat may be
// another's at once.
func (c seenConn) Run(ctx context.Context) error {
	defer c.leave()
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	defer context.AfterFunc(ctx, func() {
		c.leave()
		stop()
	})()
	return c.Conn.Run(running)
}
