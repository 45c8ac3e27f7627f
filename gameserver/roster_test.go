package gameserver

import (
	"testing"

	"github.com/throng-gg/throng"
)

func TestRosterKeepsWhatIsNotAcknowledged(t *testing.T) {
	var r roster
	r.add(throng.RosterJoined, "ada", 1, throng.TicketKey{Caller: "ada", Ticket: "t"})
	r.add(throng.RosterJoined, "bo", 2, throng.TicketKey{})
	r.add(throng.RosterLeft, "ada", 1, throng.TicketKey{})
	r.ack(1)
	got := r.pending()
	if len(got) != 2 || got[0].Revision != 2 || got[1].Revision != 3 || got[1].Kind != throng.RosterLeft {
		t.Errorf("pending after ack 1: got %+v, want revisions 2 and 3", got)
	}
	r.ack(9)
	if got := r.pending(); len(got) != 0 {
		t.Errorf("pending after ack of all: got %+v, want none", got)
	}
}

func TestRosterIsBounded(t *testing.T) {
	var r roster
	for range 3 * maxUnacked {
		r.add(throng.RosterJoined, "ada", 1, throng.TicketKey{})
	}
	if got := len(r.pending()); got != maxUnacked {
		t.Errorf("pending: got %d changes, want the newest %d", got, maxUnacked)
	}
	if got := r.pending()[0].Revision; got != 2*maxUnacked+1 {
		t.Errorf("oldest kept revision: got %d, want %d, so that the registry sees the gap", got, 2*maxUnacked+1)
	}
}
