package memory

import (
	"context"
	"slices"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// Fence makes the seat the player's only one, and returns the older seats whose
// eviction is not queued yet.
func (st *Store) Fence(ctx context.Context, r session.FenceRequest) ([]session.Eviction, error) {
	return st.fence(ctx, operation{"Fence", throng.PlayerShard(r.Player), live}, r)
}

// Restore makes reported seats their players' only ones.
func (st *Store) Restore(ctx context.Context, seats []session.FenceRequest) ([]session.Restored, error) {
	list := make([]session.Restored, len(seats))
	for i, r := range seats {
		older, err := st.fence(ctx, operation{"Restore", throng.PlayerShard(r.Player), always}, r)
		list[i] = session.Restored{Older: older, Err: err}
	}
	return list, nil
}

func (st *Store) fence(ctx context.Context, op operation, r session.FenceRequest) ([]session.Eviction, error) {
	var older []session.Eviction
	err := st.on(ctx, op, func(sh *shard, now time.Time) error {
		rec := sh.record(r.Player, now)
		if rec == nil {
			return throng.RetryLater(throng.Unavailable, time.Minute, "too many players")
		}
		if err := rec.fence(r, op.need == always); err != nil {
			return err
		}
		older = slices.Clone(rec.pending)
		return nil
	})
	return older, err
}

// fence: a settled ticket does not count against a seat that was reported, only a
// confirmed one.
func (r *record) fence(req session.FenceRequest, reported bool) error {
	here := r.at.Session == req.Session && r.at.Epoch == req.Epoch
	switch {
	case r.isGone(req.Epoch):
		return errFenced(req, "was given up or has left")
	case here && r.at.State == throng.PresencePlaying:
		r.at.Revision = max(r.at.Revision, req.Revision)
		return nil
	case r.at.Epoch > req.Epoch:
		return errFenced(req, "is older than the player's newest seat")
	case r.at.Epoch == req.Epoch && (!here || !reported || req.Revision <= r.at.Revision):
		return errFenced(req, "has left")
	case !reported && r.settled > req.Epoch:
		return errFenced(req, "is older than the player's newest join")
	}
	if r.at.State == throng.PresencePlaying && r.at.Session != req.Session {
		if len(r.pending) == maxPending {
			r.pending = slices.Delete(r.pending, 0, 1)
		}
		r.pending = append(r.pending, session.Eviction{Player: req.Player, Session: r.at.Session, Epoch: r.at.Epoch})
	}
	r.at = throng.Presence{
		Player: req.Player, State: throng.PresencePlaying, Session: req.Session,
		Place: req.Place, Epoch: req.Epoch, Revision: req.Revision,
	}
	if t := r.ticket(req.Key.Ticket); t != nil && req.Key.Caller == req.Player {
		t.confirmed = true
	}
	return nil
}

func errFenced(r session.FenceRequest, why string) error {
	return throng.AtField(throng.Denied, "epoch", "epoch %d of %s %s", r.Epoch, r.Player, why)
}

// Evicted says that the older seat's eviction is queued.
func (st *Store) Evicted(ctx context.Context, e session.Eviction) error {
	op := operation{"Evicted", throng.PlayerShard(e.Player), always}
	return st.on(ctx, op, func(sh *shard, now time.Time) error {
		rec := sh.known(e.Player, now)
		rec.pending = slices.DeleteFunc(rec.pending, func(p session.Eviction) bool { return p == e })
		return nil
	})
}

// Left says that the player's seat is gone, and returns the older seats whose
// eviction is not queued yet.
func (st *Store) Left(ctx context.Context, d session.Departure) ([]session.Eviction, error) {
	var older []session.Eviction
	op := operation{"Left", throng.PlayerShard(d.Player), always}
	err := st.on(ctx, op, func(sh *shard, now time.Time) error {
		rec := sh.record(d.Player, now)
		if rec == nil {
			return nil // nothing is known of him, nothing has to be undone
		}
		rec.highest = max(rec.highest, d.Epoch)
		if d.Epoch >= rec.at.Epoch {
			older = slices.Clone(rec.pending)
		}
		switch {
		case d.Epoch < rec.at.Epoch:
		case rec.at.Session == d.Session && rec.at.State == throng.PresencePlaying:
			// A seat of this session at an older epoch was replaced by it.
			rec.at.State, rec.at.Epoch = throng.PresenceLeft, d.Epoch
			rec.at.Revision = max(rec.at.Revision, d.Revision)
			rec.leftAt = now
		case d.Epoch > rec.at.Epoch:
			// It was never confirmed here: an older seat elsewhere stays in
			// force, and a confirm that is still under way comes too late.
			rec.give(d.Epoch, now)
		}
		return nil
	})
	return older, err
}

// Presence returns where the player is.
func (st *Store) Presence(ctx context.Context, p throng.PlayerID) (session.PresenceRecord, error) {
	var at session.PresenceRecord
	op := operation{"Presence", throng.PlayerShard(p), live}
	err := st.on(ctx, op, func(sh *shard, now time.Time) error {
		at.Presence = sh.known(p, now).at
		at.Doubtful = at.Epoch.Time().Before(time.UnixMilli(int64(sh.census)).Add(sh.store.config.Quarantine))
		if wait := sh.wait(now, grants); at.State == throng.PresenceNone && wait > 0 {
			return session.Rebuilding(wait)
		}
		at.Player = p
		return nil
	})
	return at, err
}
