package place

import (
	"context"
	"fmt"
	"slices"

	"github.com/throng-gg/throng"
)

// record returns a place's record, a new one if there is none.
func (c *Catalog) record(ctx context.Context, id throng.PlaceID) (Record, error) {
	record, err := c.cfg.Records.Get(ctx, id)
	switch {
	case throng.KindOf(err) == throng.NotFound:
		return Record{Place: id}, nil
	case err != nil:
		return Record{}, fmt.Errorf("read record: %w", err)
	}
	return record, nil
}

// owns says whether an editor may do with a stored place what its owners may.
func owns(r Record, by throng.Editor) bool {
	return by.All || slices.Contains(r.Owners, by.Player) || len(r.Owners) == 0 && by.Unowned
}

// publishers returns who owns the place once by has published it. Denied: by may
// not.
func publishers(r Record, by throng.Editor) ([]throng.PlayerID, error) {
	first := r.Revision == 0
	if !first && !owns(r, by) {
		return nil, throng.Errorf(throng.Denied, "the place belongs to somebody else")
	}
	if len(r.Owners) == 0 && by.Player != "" && (first || by.Unowned && !by.All) {
		return []throng.PlayerID{by.Player}, nil
	}
	return r.Owners, nil
}

func (c *Catalog) mayPublish(ctx context.Context, by throng.Editor, id throng.PlaceID) error {
	record, err := c.record(ctx, id)
	if err != nil {
		return err
	}
	_, err = publishers(record, by)
	return err
}

// mayShare says whether an editor may let a place share a game, which is another
// place of his. Empty: the place has its own. Denied: it is no place of his, or
// one that shares another's game itself.
func (c *Catalog) mayShare(ctx context.Context, by throng.Editor, game throng.GameID) error {
	if game == "" {
		return nil
	}
	record, err := c.cfg.Records.Get(ctx, throng.PlaceID(game))
	if err != nil && throng.KindOf(err) != throng.NotFound {
		return fmt.Errorf("read record of %s: %w", game, err)
	}
	if err != nil || !owns(record, by) {
		return throng.AtField(throng.Denied, ManifestFile, "%s is no place of yours: only its owners share its game", game)
	}
	if live, ok := record.live(); ok && live.Game != "" {
		return throng.AtField(throng.Denied, ManifestFile, "%s shares the game of %s itself: name that one", game, live.Game)
	}
	return nil
}

// Owners returns who owns a place, in the order in which they came. NotFound:
// there is no such place, or it is another's: by cannot tell which.
func (c *Catalog) Owners(ctx context.Context, by throng.Editor, id throng.PlaceID) ([]throng.PlayerID, error) {
	record, err := c.owned(ctx, by, id)
	return slices.Clone(record.Owners), err
}

func (c *Catalog) owned(ctx context.Context, by throng.Editor, id throng.PlaceID) (Record, error) {
	record, err := c.cfg.Records.Get(ctx, id)
	if err != nil && throng.KindOf(err) != throng.NotFound {
		return Record{}, fmt.Errorf("place %q: %w", clip(string(id)), err)
	}
	if err != nil || !owns(record, by) {
		return Record{}, throng.Errorf(throng.NotFound, "place %q: there is none of yours of that name", clip(string(id)))
	}
	return record, nil
}

// AddOwner lets another account own the place as well. NotFound as Owners. Full:
// it has throng.MaxOwners.
func (c *Catalog) AddOwner(
	ctx context.Context, by throng.Editor, id throng.PlaceID, player throng.PlayerID,
) ([]throng.PlayerID, error) {
	return c.setOwners(ctx, by, id, func(owners []throng.PlayerID) ([]throng.PlayerID, error) {
		switch {
		case slices.Contains(owners, player):
			return owners, nil
		case len(owners) >= throng.MaxOwners:
			return nil, throng.Errorf(throng.Full, "a place has at most %d owners", throng.MaxOwners)
		}
		return slices.Concat(owners, []throng.PlayerID{player}), nil
	})
}

// RemoveOwner takes an owner away; who is none is no error. NotFound as Owners.
// Conflict: it is the last one, whom only an operator takes away.
func (c *Catalog) RemoveOwner(
	ctx context.Context, by throng.Editor, id throng.PlaceID, player throng.PlayerID,
) ([]throng.PlayerID, error) {
	return c.setOwners(ctx, by, id, func(owners []throng.PlayerID) ([]throng.PlayerID, error) {
		left := slices.DeleteFunc(slices.Clone(owners), func(p throng.PlayerID) bool { return p == player })
		if len(left) == 0 && len(owners) > 0 && !by.All {
			return nil, throng.Errorf(throng.Conflict, "%s is the only owner: add another one first", player)
		}
		return left, nil
	})
}

func (c *Catalog) setOwners(
	ctx context.Context, by throng.Editor, id throng.PlaceID, change func([]throng.PlayerID) ([]throng.PlayerID, error),
) ([]throng.PlayerID, error) {
	record, changed, err := c.edit(ctx, func() (Record, error) { return c.owned(ctx, by, id) }, func(r *Record) (bool, error) {
		next, err := change(r.Owners)
		if err != nil || slices.Equal(next, r.Owners) {
			return false, err
		}
		r.Owners = next
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	if changed {
		c.cfg.Logger.InfoContext(ctx, "place's owners changed", "place", id, "player", by.Player)
	}
	return record.Owners, nil
}
