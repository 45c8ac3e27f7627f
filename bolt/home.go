package bolt

import (
	"context"

	"go.etcd.io/bbolt"

	"github.com/throng-gg/throng"
)

// homeKey is the one row of its bucket.
var homeKey = []byte("home") //nolint:gochecknoglobals // a constant

func readHome(tx *bbolt.Tx) (h throng.Home, err error) {
	b := bucket(tx, homes)
	if b == nil { // an older file that is only read
		return h, nil
	}
	data := b.Get(homeKey)
	if data == nil {
		return h, nil
	}
	err = decode(data, &h)
	return h, err
}

// Home returns the home that was set last; Term 0: none was.
func (s *Store) Home(context.Context) (h throng.Home, err error) {
	err = s.view(func(tx *bbolt.Tx) error {
		h, err = readHome(tx)
		return err
	})
	return h, err
}

// SetHome makes a home the one that counts, durably, if its term is higher; the same
// again is no error. Invalid: it has no region or no term. Conflict: its term is not
// higher.
func (s *Store) SetHome(ctx context.Context, h throng.Home) error {
	if h.Region == "" || h.Term == 0 {
		return throng.Errorf(throng.Invalid, "a home has a region and a term, from 1")
	}
	return s.change(ctx, func(tx *bbolt.Tx) (func() error, error) {
		was, err := readHome(tx)
		switch {
		case err != nil || h == was:
			return nil, err
		case !h.Over(was):
			return nil, throng.Errorf(throng.Conflict, "the home is %s, since term %d, and not %s, since %d", was.Region, was.Term, h.Region, h.Term)
		}
		return func() error { return bucket(tx, homes).Put(homeKey, encode(h)) }, nil
	})
}
