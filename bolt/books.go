package bolt

import (
	"bytes"
	"context"

	"go.etcd.io/bbolt"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
)

// Still says that Walk shows one moment.
func (l Ledger) Still() bool { return true }

// Walk shows everything, owner by owner.
func (l Ledger) Walk(ctx context.Context, visit func(ledger.Row) error) error {
	return l.s.view(func(tx *bbolt.Tx) error {
		// Every owner has an account: transfers and checkouts make it. Whatever lies
		// about without one is shown all the same.
		for _, name := range []string{accounts, entries, uniques, records} {
			var last []byte
			err := bucket(tx, name).ForEach(func(key, _ []byte) error {
				if err := ctx.Err(); err != nil {
					return throng.Errorf(throng.Unavailable, "walk the ledger: %w", err)
				}
				game, rest, _ := bytes.Cut(key, []byte{0})
				owner, _, _ := bytes.Cut(rest, []byte{0})
				key = key[:len(game)+1+len(owner)]
				if name == accounts || bucket(tx, accounts).Get(key) == nil && !bytes.Equal(key, last) {
					last = bytes.Clone(key)
					return walkOwner(tx, throng.GameID(game), ledger.AccountID(owner), visit)
				}
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
}

// WalkOwner shows the rows of one owner.
func (l Ledger) WalkOwner(_ context.Context, g throng.GameID, a ledger.AccountID, visit func(ledger.Row) error) error {
	return l.s.view(func(tx *bbolt.Tx) error { return walkOwner(tx, g, a, visit) })
}

func walkOwner(tx *bbolt.Tx, g throng.GameID, id ledger.AccountID, visit func(ledger.Row) error) error {
	a, err := readAccount(tx, g, id)
	if err != nil {
		return err
	}
	if err := visit(ledger.Row{Game: g, Owner: id, Account: &a}); err != nil {
		return err
	}
	prefix := under(string(g), string(id))
	for _, part := range []struct {
		bucket string
		row    func(rest, value []byte) (ledger.Row, error)
	}{
		{entries, func(_, value []byte) (ledger.Row, error) {
			e, err := ledger.DecodeEntry(id, value)
			return ledger.Row{Entry: &e}, err
		}},
		{uniques, func(rest, _ []byte) (ledger.Row, error) {
			return ledger.Row{Unique: throng.ItemID(rest)}, nil
		}},
		{records, func(_, value []byte) (ledger.Row, error) {
			r, err := ledger.DecodeRecord(value)
			return ledger.Row{Record: &r}, err
		}},
	} {
		c := bucket(tx, part.bucket).Cursor()
		for name, value := c.Seek(prefix); bytes.HasPrefix(name, prefix); name, value = c.Next() {
			row, err := part.row(name[len(prefix):], value)
			if err != nil {
				return err
			}
			row.Game, row.Owner = g, id
			if err := visit(row); err != nil {
				return err
			}
		}
	}
	return nil
}
