package redis

import (
	"context"
	"errors"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// Evicted says that the older seat's eviction is queued.
func (st *Store) Evicted(ctx context.Context, e session.Eviction) error {
	return st.around(ctx, "Evicted", func() error {
		id, err := st.names.id(e.Session)
		if err != nil {
			return err
		}
		_, err = st.onPlayer(ctx, scriptEvicted, e.Player, throng.TicketKey{}, packedID(id), decimal(e.Epoch))
		return err
	})
}

// Left says that the player's seat is gone, and returns the older seats whose
// eviction is not queued yet.
func (st *Store) Left(ctx context.Context, d session.Departure) ([]session.Eviction, error) {
	var older []session.Eviction
	err := st.around(ctx, "Left", func() error {
		id, err := st.names.id(d.Session)
		if err != nil {
			return err
		}
		if err := checkNumbers(d.Epoch, d.Revision); err != nil {
			return err
		}
		got, err := st.onPlayer(ctx, scriptLeft, d.Player, throng.TicketKey{}, decimal(d.Epoch), decimal(d.Revision), packedID(id))
		if err != nil {
			return err
		}
		older = st.evictions(d.Player, got[1:])
		return nil
	})
	return older, err
}

// Presence returns where the player is.
func (st *Store) Presence(ctx context.Context, p throng.PlayerID) (session.PresenceRecord, error) {
	var at session.PresenceRecord
	err := st.around(ctx, "Presence", func() error {
		got, err := st.onPlayer(ctx, scriptPresence, p, throng.TicketKey{})
		if err != nil {
			return err
		}
		at.Doubtful = number(got[6]) == 1
		at.Presence = throng.Presence{
			Player: p, State: throng.PresenceState(number(got[1])),
			Epoch: throng.Epoch(number(got[2])), Revision: throng.Revision(number(got[3])),
		}
		if where := (reader{b: text(got[4])}); where.b != "" {
			at.Session = st.names.session(where.short())
			at.Place = throng.PlaceID(text(got[5]))
		}
		return nil
	})
	if errors.Is(err, errUnknown) {
		return session.PresenceRecord{Presence: throng.Presence{Player: p}}, nil
	}
	return at, err
}
