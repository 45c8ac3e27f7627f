package bolt

import (
	"bytes"
	"context"
	"encoding/binary"
	"strconv"

	"go.etcd.io/bbolt"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
)

// Shards keeps what consumers made of events. It is consumer.Store.
type Shards struct{ store *Store }

var _ consumer.Store = Shards{}

// Shards returns the store of consumers.
func (s *Store) Shards() Shards { return Shards{s} }

func shardKey(s consumer.Shard) []byte {
	return key(s.Group, string(s.Stream), strconv.Itoa(int(s.Partition)))
}

func numbered(prefix []byte, n uint64) []byte {
	return binary.BigEndian.AppendUint64(append(bytes.Clone(prefix), 0), n)
}

func markOf(tx *bbolt.Tx, shard []byte) (consumer.Mark, error) {
	var m consumer.Mark
	data := bucket(tx, shardMarks).Get(shard)
	if data == nil {
		return m, nil
	}
	err := decode(data, &m)
	return m, err
}

// Load shows a shard; see consumer.Store.
func (s Shards) Load(ctx context.Context, id consumer.Shard, visit func(consumer.Row) error) (m consumer.Mark, pages []consumer.Page, err error) {
	if err := ctx.Err(); err != nil {
		return m, nil, throng.Errorf(throng.Unavailable, "not read: %w", err)
	}
	shard := shardKey(id)
	prefix := append(bytes.Clone(shard), 0)
	err = s.store.view(func(tx *bbolt.Tx) error {
		if m, err = markOf(tx, shard); err != nil {
			return err
		}
		c := bucket(tx, shardPages).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			p, err := pageOf(k[len(prefix):], v)
			if err != nil {
				return err
			}
			pages = append(pages, p)
		}
		c = bucket(tx, shardRows).Cursor()
		for k, v := c.Seek(prefix); bytes.HasPrefix(k, prefix); k, v = c.Next() {
			if err := visit(consumer.Row{Key: string(k[len(prefix):]), Value: bytes.Clone(v)}); err != nil {
				return err
			}
		}
		return nil
	})
	return m, pages, err
}

func pageOf(k, v []byte) (consumer.Page, error) {
	if len(k) != 8 || len(v)%8 != 0 || len(v) == 0 {
		return consumer.Page{}, throng.Errorf(throng.Internal, "a stored page of events cannot be read")
	}
	p := consumer.Page{Number: binary.BigEndian.Uint64(k), Floor: int64(binary.LittleEndian.Uint64(v))}
	p.IDs = make([]uint64, 0, len(v)/8-1)
	for v = v[8:]; len(v) > 0; v = v[8:] {
		p.IDs = append(p.IDs, binary.LittleEndian.Uint64(v))
	}
	return p, nil
}

// Commit writes the next commit of a shard; see consumer.Store.
func (s Shards) Commit(ctx context.Context, id consumer.Shard, c consumer.Commit) error {
	shard := shardKey(id)
	return s.store.change(ctx, func(tx *bbolt.Tx) (func() error, error) {
		m, err := markOf(tx, shard)
		if err != nil {
			return nil, err
		}
		if m.Number+1 != c.Number {
			return nil, throng.Errorf(throng.Conflict, "a commit was made meanwhile: the last one is %d, this one %d", m.Number, c.Number)
		}
		return func() error { return putCommit(tx, shard, c) }, nil
	})
}

func putCommit(tx *bbolt.Tx, shard []byte, c consumer.Commit) error {
	if err := bucket(tx, shardMarks).Put(shard, encode(c.Mark)); err != nil {
		return err
	}
	if len(c.Page.IDs) > 0 {
		v := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+8*len(c.Page.IDs)), uint64(c.Page.Floor))
		for _, id := range c.Page.IDs {
			v = binary.LittleEndian.AppendUint64(v, id)
		}
		if err := bucket(tx, shardPages).Put(numbered(shard, c.Number), v); err != nil {
			return err
		}
	}
	for _, n := range c.Forget {
		if err := bucket(tx, shardPages).Delete(numbered(shard, n)); err != nil {
			return err
		}
	}
	rows := bucket(tx, shardRows)
	for _, r := range c.Rows {
		k := append(append(bytes.Clone(shard), 0), r.Key...)
		var err error
		if r.Value == nil {
			err = rows.Delete(k)
		} else {
			err = rows.Put(k, r.Value)
		}
		if err != nil {
			return err
		}
	}
	return nil
}
