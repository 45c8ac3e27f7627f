package bolt

import (
	"bytes"
	"context"
	"encoding/binary"

	"go.etcd.io/bbolt"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
)

var _ ledger.Outbox = Ledger{}

// putPosting puts a transfer into the outbox, by the transaction that posts it.
func (l Ledger) putPosting(tx *bbolt.Tx, g throng.GameID, r ledger.Record) error {
	if !l.s.cfg.Outbox {
		return nil
	}
	b := bucket(tx, outbox)
	number, err := b.NextSequence()
	if err != nil {
		return err
	}
	return b.Put(binary.BigEndian.AppendUint64(nil, number), append(under(string(g)), ledger.EncodeRecord(r)...))
}

// Drain shows what was posted and not announced yet, in the order of commits.
func (l Ledger) Drain(ctx context.Context, limit int, announce func([]ledger.Posting) error) error {
	for {
		list, keys, err := l.oldest(limit)
		if err != nil || len(list) == 0 {
			return err
		}
		if err := announce(list); err != nil {
			return err
		}
		err = l.s.change(ctx, func(tx *bbolt.Tx) (func() error, error) {
			return func() error {
				for _, k := range keys {
					if err := bucket(tx, outbox).Delete(k); err != nil {
						return err
					}
				}
				return nil
			}, nil
		})
		if err != nil || len(list) < limit {
			return err
		}
	}
}

func (l Ledger) oldest(limit int) (list []ledger.Posting, keys [][]byte, err error) {
	err = l.s.view(func(tx *bbolt.Tx) error {
		c := bucket(tx, outbox).Cursor()
		for k, v := c.First(); k != nil && len(list) < limit; k, v = c.Next() {
			game, data, _ := bytes.Cut(v, []byte{0})
			r, err := ledger.DecodeRecord(data)
			if err != nil {
				return err
			}
			list = append(list, ledger.Posting{Game: throng.GameID(game), Record: r})
			keys = append(keys, bytes.Clone(k))
		}
		return nil
	})
	return list, keys, err
}
