package contract

import (
	"testing"

	"github.com/throng-gg/throng"
)

// A ticket's first answer is for ever: a failover that kept it gives it again, also to who plays on a
// newer ticket. Another answer would seat him at an epoch that is fenced.
func TestAnswersFromBeforeALoss(t *testing.T) {
	const gus throng.PlayerID = "gus"
	key := func(ticket throng.TicketID) throng.TicketKey { return throng.TicketKey{Caller: gus, Ticket: ticket} }
	settles := func(ticket throng.TicketID, epoch throng.Epoch, nonce byte) *event {
		return &event{kind: settled, key: key(ticket), grant: &throng.Grant{Hold: throng.Hold{Members: []throng.Member{{Player: gus, Epoch: epoch}}}, Nonce: [24]byte{nonce}}}
	}
	claims := func(ticket throng.TicketID, epoch throng.Epoch) *event {
		return &event{kind: claimed, key: key(ticket), members: []throng.Member{{Player: gus, Epoch: epoch}}}
	}
	for _, c := range []struct {
		name   string
		nonce  byte
		lost   bool
		before []*event
		want   bool
	}{
		{"kept", 1, true, []*event{settles("old", 1, 1)}, true},
		{"kept, and its answer was lost", 1, true, []*event{{kind: settled, key: key("old"), err: throng.Errorf(throng.Unavailable, "away")}}, true},
		{"another", 2, true, []*event{settles("old", 1, 1)}, false},
		{"none before", 1, true, nil, false},
		{"another, and nothing was lost", 2, false, []*event{settles("old", 1, 1)}, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			all := append([]*event{claims("old", 1)}, c.before...)
			if c.lost {
				all = append(all, &event{kind: lost})
			}
			all = append(all, claims("new", 2), settles("new", 2, 9))
			state := playerState{}
			for i, e := range all {
				ok, next := state.step(gus, e)
				if !ok {
					t.Fatalf("event %d is refused", i)
				}
				state = next
			}
			if ok, _ := state.step(gus, settles("old", 1, c.nonce)); ok != c.want {
				t.Errorf("the old ticket's answer is allowed: %t, want %t", ok, c.want)
			}
		})
	}
}
