package gameserver

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
	"github.com/throng-gg/throng/wire/netcode"
)

// token makes a reconnect token and keeps its claims.
func (s *stage) token(h throng.Handover, c wire.Claims, life time.Duration) ([]byte, error) {
	s.claims <- c
	data, err := wire.AppendClaims(nil, c)
	if err != nil {
		return nil, err
	}
	expire := uint64(c.Expires / 1000)
	return netcode.MakeToken(netcode.TokenConfig{
		Key: h.Key, Create: expire - uint64(life/time.Second), Expire: expire, Servers: []netip.AddrPort{testAddress}, UserData: [wire.ClaimsSize]byte(data),
	})
}

// tokens is the reconnect tokens that a client was sent.
func (s *stage) tokens(conn ConnID) []wire.Reconnect {
	s.t.Helper()
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	var out []wire.Reconnect
	for _, p := range s.net.out[conn] {
		if wire.MessageOf(p) != wire.MessageReconnect {
			continue
		}
		r, err := wire.ParseReconnect(p)
		if err != nil {
			s.t.Fatal(err)
		}
		out = append(out, r)
	}
	return out
}

// count is how many messages of a kind a client was sent.
func (s *stage) count(conn ConnID, m wire.Message) (n int) {
	s.net.mu.Lock()
	defer s.net.mu.Unlock()
	for _, p := range s.net.out[conn] {
		if wire.MessageOf(p) == m {
			n++
		}
	}
	return n
}

// input is a player's.
func (s *stage) input(conn ConnID, sequence uint32, x float64) {
	in := wire.Input{Sequence: sequence, Count: 1}
	in.Moves[0] = wire.MakeMove(x, 0, 0)
	s.net.say(conn, wire.AppendInput(nil, in))
}

// seat brings a player into the game and returns his connection and the claims
// of his newest reconnect token.
func (s *stage) seat(ticket throng.TicketID, p throng.PlayerID) (ConnID, wire.Claims) {
	s.t.Helper()
	g := s.grant(ticket, p)
	conn := s.connect(g, g.Members[0])
	s.wait(100 * time.Millisecond)
	s.input(conn, 1, 1)
	s.wait(100 * time.Millisecond)
	var c wire.Claims
	for number := range uint8(firstTokens) {
		select {
		case c = <-s.claims:
			s.input(conn, 2+uint32(number), 1)
			s.wait(firstEvery + 100*time.Millisecond)
		default:
			s.t.Fatalf("%s got %d reconnect tokens, want %d", p, number, firstTokens)
		}
	}
	return conn, c
}

// comeBack brings a reconnect token and returns the new connection.
func (s *stage) comeBack(c wire.Claims) ConnID {
	s.t.Helper()
	data, err := wire.AppendClaims(nil, c)
	if err != nil {
		s.t.Fatal(err)
	}
	s.nextConn++
	s.net.events <- Event{Kind: EventConnected, Conn: s.nextConn, Data: data}
	return s.nextConn
}

func (s *stage) lose(conn ConnID) {
	s.net.events <- Event{Kind: EventDisconnected, Conn: conn, Lost: true}
}

// inside checks who is in the place, by name, and how many seats the registry
// counts.
func (s *stage) inside(when string, seated int, players ...throng.PlayerID) {
	s.t.Helper()
	in := s.place.in()
	slices.Sort(in)
	slices.Sort(players)
	if r := s.record(s.session.ID); r.Seated != seated || !slices.Equal(in, players) {
		s.t.Errorf("%s: %d seated, %v in the place; want %d, %v", when, r.Seated, in, seated, players)
	}
}

func TestTokensAreRenewed(t *testing.T) {
	play(t, func(s *stage) {
		g := s.grant("t", "ada")
		conn := s.connect(g, g.Members[0])
		s.wait(500 * time.Millisecond)
		if got := s.tokens(conn); len(got) != 1 || s.count(conn, wire.MessageWelcome) != 1 {
			t.Fatalf("at first: got %d tokens and %d welcomes, want one of each", len(got), s.count(conn, wire.MessageWelcome))
		}
		c := <-s.claims
		member := g.Members[0]
		if c.Player != member.Player || c.Epoch != member.Epoch || c.Session != g.Session || c.Key != g.Key || !c.Reconnect {
			t.Errorf("claims: got %+v, want ada's", c)
		}
		if left := time.Until(time.UnixMilli(c.Expires)); left < 58*time.Second || left > 60*time.Second {
			t.Errorf("the token is good for %s more, want a minute since it was made", left)
		}
		s.wait(firstTokens * firstEvery)
		got := s.tokens(conn)
		if len(got) != firstTokens || got[1].Expire <= got[0].Expire || got[2].Expire <= got[1].Expire {
			t.Fatalf("after %d s: got %d tokens, want %d, each of which expires later", firstTokens, len(got), firstTokens)
		}
		s.wait(10 * time.Second)
		if n := len(s.tokens(conn)); n != firstTokens {
			t.Errorf("soon after: got %d tokens, want %d", n, firstTokens)
		}
		s.wait(4 * tokenEvery)
		if n := len(s.tokens(conn)); n != firstTokens+4 {
			t.Errorf("a minute later: got %d tokens, want %d", n, firstTokens+4)
		}
	})
}

func TestLostPlayerComesBackIntoHisSeat(t *testing.T) {
	play(t, func(s *stage) {
		conn, token := s.seat("t", "ada")
		s.wait(6 * time.Second) // the registry has heard of the roster
		revision := s.record(s.session.ID).Revision
		s.lose(conn)
		s.wait(100 * time.Millisecond)
		if last := s.place.inputs[len(s.place.inputs)-1]; last != (Input{}) {
			t.Errorf("input of a lost player: got %+v, want a neutral one", last)
		}
		sent := s.count(conn, wire.MessageSnapshot)
		s.wait(29 * time.Second)
		s.inside("29 s after the loss", 1, "ada")
		if n := s.count(conn, wire.MessageSnapshot) + s.count(0, wire.MessageSnapshot); n != sent {
			t.Errorf("%d snapshots went to a lost connection", n-sent)
		}
		again := s.comeBack(token)
		s.wait(100 * time.Millisecond)
		if s.count(again, wire.MessageWelcome) == 0 || s.count(again, wire.MessageSnapshot) == 0 {
			t.Error("who came back got no welcome and no snapshot")
		}
		s.input(again, 1, 0.5)
		s.wait(time.Second)
		if last := s.place.inputs[len(s.place.inputs)-1]; last.MoveX < 0.49 || last.MoveX > 0.51 {
			t.Errorf("input after coming back: got %+v, want 0.5", last)
		}
		if len(s.tokens(again)) == 0 {
			t.Error("who came back got no new reconnect token")
		}
		s.wait(time.Minute)
		s.inside("a minute later", 1, "ada")
		if r := s.record(s.session.ID); r.Revision != revision {
			t.Errorf("roster: got revision %d, want %d as before the loss", r.Revision, revision)
		}
		p, err := s.registry.Presence(t.Context(), "ada")
		if err != nil || p.Epoch != token.Epoch || p.State != throng.PresencePlaying {
			t.Errorf("presence: got %+v, %v, want playing at epoch %d", p, err, token.Epoch)
		}
	})
}

func TestSeatOfALostPlayerIsGivenUpOnce(t *testing.T) {
	play(t, func(s *stage) {
		conn, token := s.seat("t", "ada")
		s.seat("t", "bo")
		s.seat("t", "cy")
		s.wait(6 * time.Second) // the registry has heard of the roster
		revision := s.record(s.session.ID).Revision
		s.lose(conn)
		s.wait(29 * time.Second)
		if _, err := s.registry.Claim(t.Context(), throng.Ticket{
			Key: throng.TicketKey{Caller: "dee", Ticket: "t"}, Place: "arena", Version: 1, Party: []throng.PlayerID{"dee"}, Mode: throng.ModeDropIn,
		}); err != nil {
			t.Fatal(err)
		}
		s.inside("after 29 s", 3, "ada", "bo", "cy")
		s.wait(2 * time.Second)
		s.inside("after 31 s", 2, "bo", "cy")
		if r := s.record(s.session.ID); r.Revision != revision+1 {
			t.Errorf("roster: got revision %d, want %d: one leave", r.Revision, revision+1)
		}
		late := s.comeBack(token)
		s.wait(time.Second)
		if bye, ended := s.net.bye(late); !ended || bye.Code != wire.ByeDenied {
			t.Errorf("coming back too late: got %v ended %v, want denied", bye, ended)
		}
		s.seat("again", "ada")
		s.inside("with a new ticket", 3, "bo", "cy", "ada")
	})
}

// A client that moved comes back while the server still believes in its old
// connection.
func TestReconnectReplacesALiveConnection(t *testing.T) {
	play(t, func(s *stage) {
		conn, token := s.seat("t", "ada")
		again := s.comeBack(token)
		s.wait(time.Second)
		if bye, ended := s.net.bye(conn); !ended || bye.Code != 0 {
			t.Errorf("the old connection: got %v ended %v, want it ended without a word", bye, ended)
		}
		s.net.events <- Event{Kind: EventDisconnected, Conn: conn}
		s.input(conn, 9, 1) // too late
		s.wait(time.Second)
		s.inside("the old one's end", 1, "ada")
		s.input(again, 1, 0)
		s.wait(100 * time.Millisecond)
		if got := s.tokens(again); len(got) == 0 {
			t.Errorf("the new connection got %d tokens, want one at once", len(got))
		}
		third := s.comeBack(token)
		s.wait(100 * time.Millisecond)
		s.lose(again) // noticed late
		s.wait(time.Minute)
		s.inside("a minute after", 1, "ada")
		if s.count(third, wire.MessageSnapshot) == 0 {
			t.Error("the third connection got no snapshot")
		}
		s.net.events <- Event{Kind: EventDisconnected, Conn: third}
		s.wait(time.Second)
		s.inside("after the goodbye", 0)
	})
}

// Who never heard that he was let in shows his join token again, before and after
// he is in the world.
func TestJoinTokenAgainReplacesItsConnection(t *testing.T) {
	play(t, func(s *stage) {
		g := s.grant("t", "ada")
		first := s.connect(g, g.Members[0])
		second := s.connect(g, g.Members[0])
		s.wait(time.Second)
		third := s.connect(g, g.Members[0])
		s.wait(time.Second)
		for _, old := range []ConnID{first, second} {
			if bye, ended := s.net.bye(old); !ended || bye.Code != 0 {
				t.Errorf("connection %d: got %v ended %v, want it ended without a word", old, bye, ended)
			}
			s.lose(old) // noticed late
		}
		s.wait(10 * time.Second)
		s.inside("after all", 1, "ada")
		if s.count(third, wire.MessageWelcome) == 0 {
			t.Error("the newest connection got no welcome")
		}
	})
}

func TestReconnectNeedsNoRegistry(t *testing.T) {
	play(t, func(s *stage) {
		conn, token := s.seat("t", "ada")
		confirms := s.door.confirms
		s.door.set(true)
		s.lose(conn)
		s.wait(9 * time.Second) // the registry's lease is 15 s, from a beat up to 5 s ago
		again := s.comeBack(token)
		s.wait(100 * time.Millisecond)
		if s.count(again, wire.MessageSnapshot) == 0 {
			t.Error("no snapshot while the registry is away")
		}
		s.door.set(false)
		s.wait(10 * time.Second)
		s.inside("the registry is back", 1, "ada")
		if s.door.confirms != confirms {
			t.Errorf("%d confirms for coming back, want none", s.door.confirms-confirms)
		}
	})
}

func TestWhoIsOutDoesNotComeBack(t *testing.T) {
	for name, out := range map[string]func(s *stage, conn ConnID){
		"said goodbye": func(s *stage, conn ConnID) { s.net.events <- Event{Kind: EventDisconnected, Conn: conn} },
		"was evicted while there": func(s *stage, _ ConnID) {
			s.leave("t", "ada")
		},
		"was evicted while away": func(s *stage, conn ConnID) {
			s.lose(conn)
			s.wait(time.Second)
			s.leave("t", "ada")
		},
	} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *stage) {
				conn, token := s.seat("t", "ada")
				out(s, conn)
				s.wait(2 * throng.HeartbeatTime)
				s.inside("out", 0)
				again := s.comeBack(token)
				s.wait(time.Second)
				if bye, ended := s.net.bye(again); !ended || bye.Code != wire.ByeDenied {
					t.Errorf("the reconnect token: got %v ended %v, want denied", bye, ended)
				}
				s.wait(time.Minute / 2)
				s.inside("half a minute later", 0)
			})
		})
	}
}

// leave gives a player's ticket up, for which the registry evicts him.
func (s *stage) leave(ticket throng.TicketID, p throng.PlayerID) {
	s.t.Helper()
	if err := s.registry.Leave(s.t.Context(), throng.TicketKey{Caller: p, Ticket: ticket}, p); err != nil {
		s.t.Fatal(err)
	}
}

// A player whose own newer join arrives while he is away has one seat, and the
// older reconnect token is worth nothing.
func TestNewerJoinTakesTheKeptSeat(t *testing.T) {
	play(t, func(s *stage) {
		conn, old := s.seat("one", "ada")
		s.lose(conn)
		s.wait(time.Second)
		_, token := s.seat("two", "ada")
		s.wait(time.Minute)
		s.inside("a minute later", 1, "ada")
		again := s.comeBack(old)
		s.wait(time.Second)
		if bye, ended := s.net.bye(again); !ended || bye.Code != wire.ByeDenied {
			t.Errorf("the older token: got %v ended %v, want denied", bye, ended)
		}
		if token.Epoch <= old.Epoch {
			t.Errorf("epochs %d and %d, want the second higher", old.Epoch, token.Epoch)
		}
	})
}

// A server that was stopped may have lost its session: who comes back waits
// until the registry was heard.
func TestSuspendedServerTakesNobodyBackBeforeTheRegistry(t *testing.T) {
	for name, ended := range map[string]bool{"session goes on": false, "session is over": true} {
		t.Run(name, func(t *testing.T) {
			play(t, func(s *stage) {
				conn, token := s.seat("t", "ada")
				s.door.set(true)
				s.jump.Add(int64(10 * time.Second))
				s.lose(conn)
				gone, again := s.comeBack(token), s.comeBack(token)
				newcomer := claims("bo", 1)
				newcomer.Version = 1
				stranger := s.comeBack(newcomer)
				s.wait(time.Second)
				s.lose(gone)
				s.wait(5 * time.Second)
				if n := s.count(again, wire.MessageSnapshot); n != 0 {
					t.Errorf("got %d snapshots of a suspended server, want none", n)
				}
				if _, out := s.net.bye(again); out {
					t.Error("who came back was sent away before the registry was heard")
				}
				if bye, out := s.net.bye(stranger); !out || bye.Code != wire.ByeDenied {
					t.Errorf("a newcomer: got %v ended %v, want denied", bye, out)
				}
				if ended {
					if err := s.registry.End(t.Context(), s.session.ID, "an operator"); err != nil {
						t.Fatal(err)
					}
				}
				s.door.set(false)
				s.wait(3 * time.Second)
				if bye, out := s.net.bye(again); ended && bye.Code != wire.ByeEnded || !ended && out {
					t.Errorf("after the registry was heard: got %v ended %v", bye, out)
				}
				if n := s.count(again, wire.MessageSnapshot); !ended && n == 0 {
					t.Error("after the registry was heard: no snapshots")
				}
				if !ended {
					s.inside("back", 1, "ada")
				}
			})
		})
	}
}

// The session goes on while all are away, and ends when none came back.
func TestSessionOutlivesAllItsConnections(t *testing.T) {
	play(t, func(s *stage) {
		conn, _ := s.seat("t", "ada")
		if err := s.registry.Drain(t.Context(), s.session.ID, "update", 0); err != nil {
			t.Fatal(err)
		}
		s.lose(conn)
		s.wait(29 * time.Second)
		select {
		case err := <-s.result:
			t.Fatalf("the server ended while a seat was kept: %v", err)
		default:
		}
		s.wait(2 * time.Second)
		s.over(nil)
		synctest.Wait()
	})
}
