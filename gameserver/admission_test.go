package gameserver

import (
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
)

const testSession = throng.SessionID("ses_test_000123456789abcdef")

var testNow = time.UnixMilli(1_800_000_000_000)

func claims(p string, e throng.Epoch) wire.Claims {
	return wire.Claims{
		Player: throng.PlayerID(p), Session: testSession, Epoch: e,
		Expires: testNow.Add(throng.TokenTime).UnixMilli(), PartySize: 1,
		Key: throng.TicketKey{Caller: throng.PlayerID(p), Ticket: "alone"},
	}
}

func reconnectClaims(p string, e throng.Epoch) wire.Claims {
	c := claims(p, e)
	c.Reconnect = true
	return c
}

func partyClaims(p string, e throng.Epoch, key byte, size int) wire.Claims {
	c := claims(p, e)
	c.Key = throng.TicketKey{Caller: "leader", Ticket: throng.TicketID(fmt.Sprint("tkt", key))}
	c.PartySize = uint8(size)
	return c
}

func TestAdmissionRefusals(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(*admission)
		claims wire.Claims
		want   Refusal
	}{
		{"another session's token", nil, func() wire.Claims {
			c := claims("ada", 5)
			c.Session = "ses_test_00zzzzzzzzzzzzzzzz"
			return c
		}(), RefusedSession},
		{"expired by the registry's time", nil, func() wire.Claims {
			c := claims("ada", 5)
			c.Expires = testNow.UnixMilli()
			return c
		}(), RefusedExpired},
		{"evicted epoch never returns", func(a *admission) { a.fence("ada", 5, testNow) }, claims("ada", 5), RefusedEpoch},
		{"older than the seat", func(a *admission) { a.admit(claims("ada", 6), testSession, testNow) }, claims("ada", 5), RefusedEpoch},
		{"back into a seat that was given up", nil, reconnectClaims("ada", 5), RefusedGone},
		{"back into a seat that he left", func(a *admission) {
			a.admit(claims("ada", 5), testSession, testNow)
			a.leave("ada", 5)
			a.fence("ada", 5, testNow)
		}, reconnectClaims("ada", 5), RefusedGone},
		{"back with a token from before a newer join", func(a *admission) { a.admit(claims("ada", 6), testSession, testNow) }, reconnectClaims("ada", 5), RefusedEpoch},
		{"back with an expired token", func(a *admission) { a.admit(claims("ada", 5), testSession, testNow) }, func() wire.Claims {
			c := reconnectClaims("ada", 5)
			c.Expires = testNow.UnixMilli()
			return c
		}(), RefusedExpired},
		{"draining", func(a *admission) { a.draining = true }, claims("ada", 5), RefusedDraining},
		{"full", func(a *admission) {
			a.admit(claims("bo", 1), testSession, testNow)
			a.admit(claims("cy", 1), testSession, testNow)
		}, claims("ada", 5), RefusedFull},
		{"seats of a party that is arriving", func(a *admission) {
			a.admit(partyClaims("bo", 1, 7, 2), testSession, testNow)
		}, claims("ada", 5), RefusedFull},
	} {
		t.Run(c.name, func(t *testing.T) {
			a := newAdmission(2)
			if c.before != nil {
				c.before(a)
			}
			got, ok := a.admit(c.claims, testSession, testNow)
			if ok || got != c.want {
				t.Errorf("admit: got %q %v, want refusal %q", got, ok, c.want)
			}
		})
	}
}

// Who never heard that he was let in shows his join token again.
func TestAdmissionOfTheSameJoinAgain(t *testing.T) {
	a := newAdmission(2)
	for range 2 {
		if got, ok := a.admit(partyClaims("ada", 5, 7, 2), testSession, testNow); !ok {
			t.Fatalf("ada: got %q", got)
		}
	}
	if got, ok := a.admit(partyClaims("bo", 1, 7, 2), testSession, testNow); !ok {
		t.Errorf("the seat kept for the rest of the party: got %q, want it still there", got)
	}
	a.leave("ada", 5)
	a.fence("ada", 5, testNow)
	if got, ok := a.admit(claims("ada", 5), testSession, testNow); ok || got != RefusedEpoch {
		t.Errorf("after he left: got %q %v, want %q", got, ok, RefusedEpoch)
	}
}

func TestAdmissionNewerEpochTakesOverTheSeat(t *testing.T) {
	a := newAdmission(1)
	a.admit(claims("ada", 5), testSession, testNow)
	if refusal, ok := a.admit(claims("ada", 6), testSession, testNow); !ok {
		t.Fatalf("newer join into the own seat of a full session: got refusal %q, want it taken over", refusal)
	}
	a.leave("ada", 5)
	if len(a.seats) != 1 {
		t.Error("leaving under the older epoch freed the newer one's seat")
	}
}

func TestAdmissionKeepsALostPlayersSeat(t *testing.T) {
	a := newAdmission(1)
	a.admit(claims("ada", 5), testSession, testNow)
	a.draining = true
	a.lose("ada", 4, time.Second)
	a.lose("bo", 5, time.Second)
	if len(a.away) != 0 {
		t.Fatalf("lost under an older epoch, and somebody without a seat: got %v away, want nobody", a.away)
	}
	a.lose("ada", 5, 30*time.Second)
	if refusal, ok := a.admit(claims("bo", 5), testSession, testNow); ok || refusal != RefusedDraining {
		t.Errorf("a newcomer: got %q %v, want him refused", refusal, ok)
	}
	if over := a.lapsed(30*time.Second - 1); len(over) != 0 {
		t.Errorf("before the time is over: got %v lapsed, want nobody", over)
	}
	for range 2 { // also while he looks connected
		if refusal, ok := a.admit(reconnectClaims("ada", 5), testSession, testNow); !ok {
			t.Errorf("coming back to a full, draining session: got refusal %q", refusal)
		}
	}
	if over := a.lapsed(time.Hour); len(over) != 0 || len(a.seats) != 1 {
		t.Errorf("back again: got %v lapsed of %d seats, want nobody of 1", over, len(a.seats))
	}
	a.lose("ada", 5, 30*time.Second)
	if over := a.lapsed(30 * time.Second); len(over) != 1 || over[0] != "ada" {
		t.Errorf("when the time is over: got %v lapsed, want ada", over)
	}
}

func TestAdmissionPartySeatsLapseWithTheTokens(t *testing.T) {
	a := newAdmission(2)
	a.admit(partyClaims("bo", 1, 7, 2), testSession, testNow)
	later := testNow.Add(throng.TokenTime)
	c := claims("ada", 5)
	c.Expires = later.Add(time.Second).UnixMilli()
	if refusal, ok := a.admit(c, testSession, later); !ok {
		t.Errorf("after the party's tokens ended: got refusal %q, want the seat", refusal)
	}
}

// Ada is inside already, and arrives anew with a party: the seat that is kept for
// the other one is his, and none is kept when both are there.
func TestAdmissionPartyMemberWhoIsInside(t *testing.T) {
	a := newAdmission(3)
	a.admit(claims("ada", 5), testSession, testNow)
	again := partyClaims("ada", 6, 7, 2)
	a.admit(again, testSession, testNow)
	if got := a.free(claims("cy", 5)); got != 1 {
		t.Errorf("one of two is there: got %d seats free for others, want 1", got)
	}
	a.admit(partyClaims("bo", 1, 7, 2), testSession, testNow)
	if refusal, ok := a.admit(claims("cy", 5), testSession, testNow); !ok {
		t.Errorf("both are there: got refusal %q for a third player, want the third seat", refusal)
	}
}

// Bo's second in the party joined elsewhere: the registry gave his seat to Ada,
// later than to the party.
func TestAdmissionPartySeatsGiveWayToALaterGrant(t *testing.T) {
	a := newAdmission(2)
	a.admit(partyClaims("bo", 1, 7, 2), testSession, testNow)
	c := claims("ada", 5)
	if refusal, ok := a.admit(c, testSession, testNow); ok || refusal != RefusedFull {
		t.Errorf("granted with the party: got %q %v, want the party's seat kept", refusal, ok)
	}
	c.Expires += 500
	if refusal, ok := a.admit(c, testSession, testNow); !ok {
		t.Errorf("granted after it: got refusal %q, want the seat", refusal)
	}
}

// TestAdmissionNeverOverCapacity: whatever comes, in whatever order, there are
// never more seats than capacity, and a party's first member keeps seats for
// the rest as long as there are any.
func TestAdmissionNeverOverCapacity(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		capacity := rapid.IntRange(1, 8).Draw(t, "capacity")
		a := newAdmission(capacity)
		now := testNow
		for range rapid.IntRange(1, 60).Draw(t, "steps") {
			p := fmt.Sprint("p", rapid.IntRange(0, 11).Draw(t, "player"))
			e := throng.Epoch(rapid.IntRange(1, 6).Draw(t, "epoch"))
			switch rapid.IntRange(0, 6).Draw(t, "do") {
			case 0, 1:
				size := rapid.IntRange(1, 4).Draw(t, "size")
				c := partyClaims(p, e, byte(rapid.IntRange(1, 4).Draw(t, "party")), size)
				c.Expires = now.Add(throng.TokenTime).UnixMilli()
				a.admit(c, testSession, now)
			case 2:
				a.leave(throng.PlayerID(p), e)
			case 3:
				a.fence(throng.PlayerID(p), e, now)
			case 5:
				a.lose(throng.PlayerID(p), e, time.Hour)
			case 6:
				c := reconnectClaims(p, e)
				c.Expires = now.Add(throng.TokenTime).UnixMilli()
				had := a.seats[c.Player] == e
				if _, ok := a.admit(c, testSession, now); ok != had {
					t.Fatalf("coming back into epoch %d: got %v, has the seat %v", e, ok, had)
				}
			case 4:
				now = now.Add(time.Duration(rapid.IntRange(0, 5000).Draw(t, "ms")) * time.Millisecond)
			}
			if len(a.seats) > capacity {
				t.Fatalf("%d seats taken of %d", len(a.seats), capacity)
			}
			for p := range a.away {
				if a.seats[p] == 0 {
					t.Fatalf("%s is away and has no seat", p)
				}
			}
		}
	})
}
