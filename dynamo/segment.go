package dynamo

import (
	"bytes"
	"encoding/binary"
	"maps"
	"slices"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
)

const (
	pieceBytes = 350 << 10 // of an item, which may have 400 KB with its names
	firstLevel = 4 << 10   // bytes of the smallest segments
	fan        = 8         // segments of a level become one
)

// segment is the rows of one commit, or of several that were written together
// since. The later ones of a shard overrule the earlier ones.
type segment struct {
	ID     string `json:"i"`
	Pieces int    `json:"p"` // items that it is stored in
	Bytes  int    `json:"b"` // of all of them
}

// level is how many times as large as the smallest ones it is, as a power of fan.
func level(size int) (l int) {
	for size > firstLevel {
		size /= fan
		l++
	}
	return l
}

// mergeFrom says from which segment on all are written together with a new one of
// this size: so each row is written once for each level, and each level has a few
// segments. len(segments): with none.
func mergeFrom(segments []segment, size int) int {
	from := len(segments)
	for {
		run := from
		for run > 0 && level(segments[run-1].Bytes) <= level(size) {
			run--
		}
		if from-run < fan-1 {
			return from
		}
		for _, s := range segments[run:from] {
			size += s.Bytes
		}
		from = run
	}
}

// shardRows is what segments have, pages too: nil is gone.
type shardRows map[string][]byte

// What keys begin with.
const (
	pagePrefix = "p" // and the number of the page, so that they are sorted by it
	rowPrefix  = "r"
)

func pageKey(n uint64) string { return pagePrefix + string(binary.BigEndian.AppendUint64(nil, n)) }

// rowsOf is what a commit changes.
func rowsOf(c consumer.Commit) shardRows {
	rows := make(shardRows, len(c.Rows)+len(c.Forget)+1)
	for _, n := range c.Forget {
		rows[pageKey(n)] = nil
	}
	if len(c.Page.IDs) > 0 {
		v := binary.LittleEndian.AppendUint64(make([]byte, 0, 8+8*len(c.Page.IDs)), uint64(c.Page.Floor))
		for _, id := range c.Page.IDs {
			v = binary.LittleEndian.AppendUint64(v, id)
		}
		rows[pageKey(c.Number)] = v
	}
	for _, r := range c.Rows {
		rows[rowPrefix+r.Key] = r.Value
	}
	return rows
}

// show visits rows by key, and returns the pages by number.
func (rows shardRows) show(visit func(consumer.Row) error) (pages []consumer.Page, err error) {
	for _, k := range slices.Sorted(maps.Keys(rows)) {
		v := rows[k]
		switch {
		case v == nil:
		case strings.HasPrefix(k, rowPrefix):
			if err := visit(consumer.Row{Key: k[len(rowPrefix):], Value: v}); err != nil {
				return nil, err
			}
		case len(k) != len(pagePrefix)+8 || len(v)%8 != 0 || len(v) == 0:
			return nil, errBroken("a page of events")
		default:
			p := consumer.Page{Number: binary.BigEndian.Uint64([]byte(k[len(pagePrefix):])), Floor: int64(binary.LittleEndian.Uint64(v))}
			for v = v[8:]; len(v) > 0; v = v[8:] {
				p.IDs = append(p.IDs, binary.LittleEndian.Uint64(v))
			}
			pages = append(pages, p)
		}
	}
	return pages, nil
}

func errBroken(what string) error {
	return throng.Errorf(throng.Internal, "%s, as it is stored, cannot be read", what)
}

// codec writes rows as the bytes of a segment: for each of them, by key, the key and
// the value with a byte before it, each behind its length; a value without that byte is
// gone. All of it is compressed.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCodec() (c codec, err error) {
	if c.enc, err = zstd.NewWriter(nil, zstd.WithEncoderConcurrency(2), zstd.WithLowerEncoderMem(true)); err != nil {
		return c, throng.Errorf(throng.Internal, "compression: %w", err)
	}
	if c.dec, err = zstd.NewReader(nil, zstd.WithDecoderConcurrency(2)); err != nil {
		return c, throng.Errorf(throng.Internal, "compression: %w", err)
	}
	return c, nil
}

func (c codec) pack(rows shardRows) []byte {
	var b []byte
	for _, k := range slices.Sorted(maps.Keys(rows)) {
		b = append(binary.AppendUvarint(b, uint64(len(k))), k...)
		if v := rows[k]; v == nil {
			b = append(b, 0)
		} else {
			b = append(append(binary.AppendUvarint(b, uint64(len(v))+1), 0), v...)
		}
	}
	return c.enc.EncodeAll(b, nil)
}

// unpack adds a segment's rows to those of earlier ones.
func (c codec) unpack(data []byte, rows shardRows) error {
	b, err := c.dec.DecodeAll(data, nil)
	if err != nil {
		return throng.Errorf(throng.Internal, "a segment of a shard, as it is stored, cannot be read: %w", err)
	}
	take := func() (part []byte, ok bool) {
		n, used := binary.Uvarint(b)
		if used <= 0 || n > uint64(len(b)-used) {
			return nil, false
		}
		part, b = b[used:used+int(n)], b[used+int(n):]
		return part, true
	}
	for len(b) > 0 {
		key, ok := take()
		value, whole := take()
		switch {
		case !ok || !whole:
			return errBroken("a segment of a shard")
		case len(value) == 0:
			rows[string(key)] = nil
		default:
			rows[string(key)] = bytes.Clone(value[1:])
		}
	}
	return nil
}
