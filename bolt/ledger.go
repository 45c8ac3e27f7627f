package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
)

// Ledger is the part of a Store that keeps the ledger.
type Ledger struct{ s *Store }

var (
	_ ledger.Store    = Ledger{}
	_ ledger.Catalogs = Ledger{}
	_ ledger.Books    = Ledger{}
)

// Ledger returns the part that keeps the ledger.
func (s *Store) Ledger() Ledger { return Ledger{s} }

func readRecord(tx *bbolt.Tx, g throng.GameID, k ledger.Key) (*ledger.Record, error) {
	data := bucket(tx, records).Get(key(string(g), string(k.Player), string(k.ID)))
	if data == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	r, err := ledger.DecodeRecord(data)
	return &r, err
}

// Change reads, decides and writes in one transaction.
func (l Ledger) Change(ctx context.Context, t ledger.Touch, decide ledger.Decide) error {
	return l.s.change(ctx, func(tx *bbolt.Tx) (func() error, error) {
		state, err := readState(tx, t)
		if err != nil {
			return nil, err
		}
		out, err := decide(state)
		if err != nil || out == nil {
			return nil, err
		}
		house, err := readAccount(tx, t.Game, t.House)
		if err != nil {
			return nil, err
		}
		return func() error {
			if err := putOutcome(tx, t, *out, house); err != nil || t.Copied {
				return err
			}
			return l.putPosting(tx, t.Game, out.Record)
		}, nil
	})
}

func readState(tx *bbolt.Tx, t ledger.Touch) (s ledger.State, err error) {
	if s.Record, err = readRecord(tx, t.Game, t.Key); err != nil {
		return s, err
	}
	if t.Refunds != nil {
		if s.Refunded, err = readRecord(tx, t.Game, *t.Refunds); err != nil {
			return s, err
		}
	}
	for _, p := range t.Players {
		a, err := readAccount(tx, t.Game, ledger.AccountID(p))
		if err != nil {
			return s, err
		}
		s.Players = append(s.Players, a)
	}
	for _, u := range t.Uniques {
		moves, _ := binary.Uvarint(bucket(tx, uniques).Get(key(string(t.Game), string(u.Player), string(u.Item))))
		s.Owned = append(s.Owned, moves)
	}
	return s, nil
}

func putOutcome(tx *bbolt.Tx, t ledger.Touch, out ledger.Outcome, house ledger.Account) error {
	all := out.Players
	if lines := ledger.LinesOf(t.House, out.Record.Lines); len(lines) > 0 {
		if house.Balances == nil {
			house.Balances = map[throng.ItemID]int64{}
		}
		for _, l := range lines {
			house.Balances[l.Item] += l.Change
		}
		house.Entries++
		all = append(slices.Clip(all), house)
	}
	for _, a := range all {
		if err := putAccount(tx, t.Game, a); err != nil {
			return err
		}
		entry := ledger.EntryOf(a.ID, out.Record)
		if err := bucket(tx, entries).Put(entryKey(t.Game, a.ID, entry), ledger.EncodeEntry(entry)); err != nil {
			return err
		}
	}
	for _, m := range out.Moves {
		if err := putMove(bucket(tx, uniques), t.Game, m); err != nil {
			return err
		}
	}
	if out.Refunded != nil {
		if err := putRecord(tx, t.Game, *out.Refunded); err != nil {
			return err
		}
	}
	return putRecord(tx, t.Game, out.Record)
}

func putRecord(tx *bbolt.Tx, g throng.GameID, r ledger.Record) error {
	return bucket(tx, records).Put(key(string(g), string(r.Transfer.First.Player), string(r.Transfer.ID)), ledger.EncodeRecord(r))
}

func putMove(b *bbolt.Bucket, g throng.GameID, m ledger.Move) error {
	if m.From != "" {
		if err := b.Delete(key(string(g), string(m.From), string(m.Item))); err != nil {
			return err
		}
	}
	if m.To == "" {
		return nil
	}
	return b.Put(key(string(g), string(m.To), string(m.Item)), binary.AppendUvarint(nil, max(m.Nth, 1)))
}

func entryKey(g throng.GameID, a ledger.AccountID, e ledger.Entry) []byte {
	k := binary.BigEndian.AppendUint64(under(string(g), string(a)), uint64(e.At.UnixMilli()))
	return append(append(append(k, e.Key.Player...), 0), e.Key.ID...)
}

// Fence sets a player's fence.
func (l Ledger) Fence(ctx context.Context, g throng.GameID, p throng.PlayerID, e throng.Epoch) error {
	return l.s.change(ctx, func(tx *bbolt.Tx) (func() error, error) {
		a, err := readAccount(tx, g, ledger.AccountID(p))
		switch {
		case err != nil:
			return nil, err
		case a.Fence > e:
			return nil, ledger.Fenced(p, a.Fence, e)
		case a.Fence == e:
			return nil, nil
		}
		a.Fence = e
		return func() error { return putAccount(tx, g, a) }, nil
	})
}

// Account returns an account.
func (l Ledger) Account(_ context.Context, g throng.GameID, id ledger.AccountID) (a ledger.Account, err error) {
	err = l.s.view(func(tx *bbolt.Tx) error {
		a, err = readAccount(tx, g, id)
		return err
	})
	return a, err
}

// Uniques lists a player's unique items.
func (l Ledger) Uniques(_ context.Context, g throng.GameID, p throng.PlayerID, after throng.ItemID, limit int) (list []throng.ItemID, err error) {
	prefix := under(string(g), string(p))
	err = l.s.view(func(tx *bbolt.Tx) error {
		c := bucket(tx, uniques).Cursor()
		for name, _ := c.Seek(append(bytes.Clone(prefix), after...)); bytes.HasPrefix(name, prefix) && len(list) < limit; name, _ = c.Next() {
			if item := throng.ItemID(name[len(prefix):]); item != after {
				list = append(list, item)
			}
		}
		return nil
	})
	return list, err
}

// Entries lists the newest of an account.
func (l Ledger) Entries(_ context.Context, g throng.GameID, a ledger.AccountID, before time.Time, limit int) (list []ledger.Entry, err error) {
	prefix := under(string(g), string(a))
	end := append(bytes.Clone(prefix[:len(prefix)-1]), 1) // past all of the account
	if !before.IsZero() {
		end = binary.BigEndian.AppendUint64(bytes.Clone(prefix), uint64(before.UnixMilli())+1)
	}
	err = l.s.view(func(tx *bbolt.Tx) error {
		c := bucket(tx, entries).Cursor()
		name, value := c.Seek(end)
		if name == nil {
			name, value = c.Last()
		}
		for name != nil && bytes.Compare(name, end) >= 0 {
			name, value = c.Prev()
		}
		for ; bytes.HasPrefix(name, prefix) && len(list) < limit; name, value = c.Prev() {
			e, err := ledger.DecodeEntry(a, value)
			if err != nil {
				return err
			}
			list = append(list, e)
		}
		return nil
	})
	return list, err
}

// Record returns a transfer.
func (l Ledger) Record(_ context.Context, g throng.GameID, k ledger.Key) (r ledger.Record, err error) {
	err = l.s.view(func(tx *bbolt.Tx) error {
		found, err := readRecord(tx, g, k)
		if err == nil && found == nil {
			err = throng.Errorf(throng.NotFound, "%s has no transfer %s", k.Player, k.ID)
		}
		if err == nil {
			r = *found
		}
		return err
	})
	return r, err
}

// Catalog returns a game's.
func (l Ledger) Catalog(_ context.Context, g throng.GameID) (c ledger.Catalog, err error) {
	err = l.s.view(func(tx *bbolt.Tx) error {
		data := bucket(tx, catalogs).Get([]byte(g))
		if data == nil {
			return throng.Errorf(throng.NotFound, "game %s has no catalog", g)
		}
		return decode(data, &c)
	})
	return c, err
}

// SetCatalog replaces a game's.
func (l Ledger) SetCatalog(ctx context.Context, g throng.GameID, c ledger.Catalog) error {
	return l.s.change(ctx, func(tx *bbolt.Tx) (func() error, error) {
		var old ledger.Catalog
		if data := bucket(tx, catalogs).Get([]byte(g)); data != nil {
			if err := decode(data, &old); err != nil {
				return nil, err
			}
		}
		if old.Revision != c.Revision {
			return nil, throng.Errorf(throng.Conflict, "the catalog of %s has revision %d, not %d", g, old.Revision, c.Revision)
		}
		c.Revision++
		return func() error { return bucket(tx, catalogs).Put([]byte(g), encode(c)) }, nil
	})
}
