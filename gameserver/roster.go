package gameserver

import "github.com/throng-gg/throng"

// maxUnacked is how many roster changes are kept for the registry. Past it the
// oldest are dropped: the registry sees the gap and asks for the full report.
const maxUnacked = 1024

// roster numbers what happens to a session's players and keeps what the
// registry has not acknowledged. Owned by the loop.
type roster struct {
	revision throng.Revision
	unacked  []throng.RosterChange
}

// add gives a change the next revision.
func (r *roster) add(kind throng.RosterKind, p throng.PlayerID, e throng.Epoch, k throng.TicketKey) throng.RosterChange {
	r.revision++
	c := throng.RosterChange{Revision: r.revision, Kind: kind, Player: p, Epoch: e, Key: k}
	r.unacked = append(r.unacked, c)
	if len(r.unacked) > maxUnacked {
		r.unacked = r.unacked[len(r.unacked)-maxUnacked:]
	}
	return c
}

// ack forgets the changes up to revision.
func (r *roster) ack(revision throng.Revision) {
	for len(r.unacked) > 0 && r.unacked[0].Revision <= revision {
		r.unacked = r.unacked[1:]
	}
}

// pending is a copy of the changes that the registry does not know yet.
func (r *roster) pending() []throng.RosterChange {
	return append([]throng.RosterChange(nil), r.unacked...)
}
