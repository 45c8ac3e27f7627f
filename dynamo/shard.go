package dynamo

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
)

// loadTries is how often a shard is read anew because another process went on with
// it meanwhile.
const loadTries = 5

// Shards keeps what consumers made of events. It is consumer.Store.
//
// A commit's rows are written first, as a segment under a name that no other has; then
// the mark, on condition of its number, names the segments that count. What no mark
// names is not there: what a crash left, and what lost to another commit. Whoever
// knows that takes it away: a piece that was written for a commit that the mark has
// reached, and that it does not name, is never named again.
type Shards struct{ s *Store }

var _ consumer.Store = Shards{}

// Shards returns the part that keeps what consumers made of events.
func (s *Store) Shards() Shards { return Shards{s} }

func shardPK(id consumer.Shard) string {
	return id.Group + "/" + string(id.Stream) + "/" + strconv.Itoa(int(id.Partition))
}

const (
	markSK      = "M"
	piecePrefix = "D#"
)

// pieceSK names a piece by a name that is random, so that a shard's pieces spread over
// what DynamoDB splits a busy table into.
func pieceSK(segment string, n int) string { return fmt.Sprintf("%s%s#%05d", piecePrefix, segment, n) }

// manifest is a mark and the segments that count.
type manifest struct {
	consumer.Mark
	segments []segment
}

func (h Shards) manifest(ctx context.Context, pk string) (m manifest, err error) {
	err = h.s.again(ctx, "read a shard's mark", func(ctx context.Context) error {
		m, err = h.manifestOnce(ctx, pk)
		return err
	})
	return m, err
}

func (h Shards) manifestOnce(ctx context.Context, pk string) (m manifest, err error) {
	i, err := h.s.get(ctx, h.s.shards, keyOf(pk, markSK))
	if err != nil || i == nil {
		return m, err
	}
	m.Mark = consumer.Mark{Number: uint64(i.number("n")), Floor: i.number("f"), Next: i.number("x")}
	if err := json.Unmarshal([]byte(i.text("s")), &m.segments); err != nil || len(m.segments) == 0 {
		return m, errBroken("the mark of " + pk)
	}
	return m, nil
}

// Load shows a shard; see consumer.Store.
func (h Shards) Load(ctx context.Context, id consumer.Shard, visit func(consumer.Row) error) (consumer.Mark, []consumer.Page, error) {
	pk, seen := shardPK(id), uint64(0)
	for range loadTries {
		m, err := h.manifest(ctx, pk)
		if err != nil || m.Number == 0 {
			return consumer.Mark{}, nil, err
		}
		pieces, stray, err := h.pieces(ctx, pk, m)
		if err != nil {
			return consumer.Mark{}, nil, err
		}
		rows, whole, err := h.rows(m.segments, pieces)
		switch {
		case err != nil:
			return consumer.Mark{}, nil, err
		case whole:
			h.drop(ctx, pk, stray)
			pages, err := rows.show(visit)
			return m.Mark, pages, err
		case seen == m.Number:
			return consumer.Mark{}, nil, errBroken("a piece of " + pk)
		}
		seen = m.Number
	}
	return consumer.Mark{}, nil, throng.RetryLater(throng.Unavailable, time.Second, "another process goes on with %s while it is read", pk)
}

// pieces reads all pieces of a shard: those that count by their names, and the names
// of those that never will.
func (h Shards) pieces(ctx context.Context, pk string, m manifest) (pieces map[string][]byte, stray []string, err error) {
	pieces = map[string][]byte{}
	known := map[string]bool{}
	for _, s := range m.segments {
		known[s.ID] = true
	}
	err = h.walk(ctx, span{h.s.shards, pk, piecePrefix, piecePrefix + last}, func(i item) {
		sk := i.text("sk")
		name, _, _ := strings.Cut(strings.TrimPrefix(sk, piecePrefix), "#")
		switch {
		case known[name]:
			pieces[sk] = i.blob("d")
		case uint64(i.number("n")) <= m.Number:
			stray = append(stray, sk)
		}
	})
	return pieces, stray, err
}

// rows puts segments together. whole false: pieces are missing.
func (h Shards) rows(segments []segment, pieces map[string][]byte) (rows shardRows, whole bool, err error) {
	rows = shardRows{}
	for _, s := range segments {
		data := make([]byte, 0, s.Bytes)
		for n := range s.Pieces {
			data = append(data, pieces[pieceSK(s.ID, n)]...)
		}
		if len(data) != s.Bytes {
			return nil, false, nil
		}
		if err := h.s.codec.unpack(data, rows); err != nil {
			return nil, false, err
		}
	}
	return rows, true, nil
}

// walk reads a span of any size: each page of it is tried by itself.
func (h Shards) walk(ctx context.Context, of span, visit func(item)) error {
	in := &dynamodb.QueryInput{
		TableName: &of.table, ConsistentRead: aws.Bool(true), KeyConditionExpression: aws.String("pk = :p AND sk BETWEEN :l AND :h"),
		ExpressionAttributeValues: item{":p": text(of.pk), ":l": text(of.low), ":h": text(of.high)},
	}
	for {
		var out *dynamodb.QueryOutput
		err := h.s.again(ctx, "read a shard", func(ctx context.Context) (err error) {
			out, err = request(ctx, h.s, func(ctx context.Context, in *dynamodb.QueryInput) (*dynamodb.QueryOutput, error) {
				return h.s.client.Query(ctx, in)
			}, in)
			return err
		})
		if err != nil {
			return err
		}
		for _, i := range out.Items {
			visit(i)
		}
		if len(out.LastEvaluatedKey) == 0 {
			return nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// Commit writes the next commit of a shard; see consumer.Store.
func (h Shards) Commit(ctx context.Context, id consumer.Shard, c consumer.Commit) error {
	pk := shardPK(id)
	m, err := h.manifest(ctx, pk)
	if err != nil {
		return err
	}
	if m.Number+1 != c.Number {
		return conflict(m, c)
	}
	data, from, err := h.pack(ctx, pk, m, c)
	if err != nil {
		return err
	}
	var name [8]byte
	_, _ = rand.Read(name[:]) // it never fails
	made := segment{ID: base64.RawURLEncoding.EncodeToString(name[:]), Bytes: len(data)}
	for piece := range slices.Chunk(data, pieceBytes) {
		i := keyOf(pk, pieceSK(made.ID, made.Pieces))
		i["n"], i["d"] = number(c.Number), blob(piece)
		if err := h.s.again(ctx, "write a commit", func(ctx context.Context) error {
			return h.s.put(ctx, &dynamodb.PutItemInput{TableName: &h.s.shards, Item: i})
		}); err != nil {
			return err
		}
		made.Pieces++
	}
	err = h.mark(ctx, pk, c, append(slices.Clone(m.segments[:from]), made))
	switch {
	case err == nil:
		for _, s := range m.segments[from:] {
			h.drop(ctx, pk, s.names())
		}
	case throng.KindOf(err) == throng.Conflict:
		h.drop(ctx, pk, made.names())
	}
	return err
}

func conflict(m manifest, c consumer.Commit) error {
	return throng.Errorf(throng.Conflict, "a commit was made meanwhile: the last one is %d, this one %d", m.Number, c.Number)
}

// pack is the bytes of a commit, together with the segments from one on, which it
// takes the place of.
func (h Shards) pack(ctx context.Context, pk string, m manifest, c consumer.Commit) (data []byte, from int, err error) {
	rows := rowsOf(c)
	data = h.s.codec.pack(rows)
	from = mergeFrom(m.segments, len(data))
	if from == len(m.segments) {
		return data, from, nil
	}
	pieces := map[string][]byte{}
	for _, s := range m.segments[from:] {
		if err := h.walk(ctx, span{h.s.shards, pk, piecePrefix + s.ID, piecePrefix + s.ID + last}, func(i item) {
			pieces[i.text("sk")] = i.blob("d")
		}); err != nil {
			return nil, 0, err
		}
	}
	all, whole, err := h.rows(m.segments[from:], pieces)
	switch {
	case err != nil:
		return nil, 0, err
	case !whole: // another process has written them together; if not, Load tells
		return nil, 0, throng.Errorf(throng.Conflict, "what commit %d is written together with was taken away meanwhile", c.Number)
	}
	maps.Copy(all, rows)
	if from == 0 { // nothing is below that a row could be gone from
		maps.DeleteFunc(all, func(_ string, v []byte) bool { return v == nil })
	}
	return h.s.codec.pack(all), from, nil
}

// mark makes a commit count. Conflict: it does not, and never will.
func (h Shards) mark(ctx context.Context, pk string, c consumer.Commit, segments []segment) error {
	names, err := json.Marshal(segments)
	if err != nil {
		return throng.Errorf(throng.Internal, "write a shard's mark: %w", err)
	}
	i := keyOf(pk, markSK)
	i["n"], i["f"], i["x"], i["s"] = number(c.Number), number(c.Floor), number(c.Next), text(string(names))
	tries := 0
	return h.s.again(ctx, "commit a shard", func(ctx context.Context) error {
		tries++
		err := h.s.put(ctx, &dynamodb.PutItemInput{
			TableName: &h.s.shards, Item: i,
			ConditionExpression:       aws.String("n = :was OR (:was = :zero AND attribute_not_exists(pk))"),
			ExpressionAttributeValues: item{":was": number(c.Number - 1), ":zero": number(0)},
		})
		if !refused(err) {
			return err
		}
		m, err := h.manifestOnce(ctx, pk)
		switch {
		case err != nil:
			return err
		case m.Number == c.Number && m.segments[len(m.segments)-1].ID == segments[len(segments)-1].ID: // an earlier try got through
			return nil
		case tries > 1 && m.Number > c.Number:
			return throng.RetryLater(throng.Unavailable, time.Second, "it is not known whether commit %d was made: the last one is %d", c.Number, m.Number)
		}
		return conflict(m, c)
	})
}

func (s segment) names() []string {
	names := make([]string, s.Pieces)
	for n := range names {
		names[n] = pieceSK(s.ID, n)
	}
	return names
}

// drop deletes pieces that nothing names. What it does not get to is found when the
// shard is loaded.
func (h Shards) drop(ctx context.Context, pk string, names []string) {
	for _, sk := range names {
		if err := h.s.again(ctx, "delete a piece", func(ctx context.Context) error {
			_, err := request(ctx, h.s, func(ctx context.Context, in *dynamodb.DeleteItemInput) (*dynamodb.DeleteItemOutput, error) {
				return h.s.client.DeleteItem(ctx, in)
			}, &dynamodb.DeleteItemInput{TableName: &h.s.shards, Key: keyOf(pk, sk)})
			return err
		}); err != nil {
			return
		}
	}
}
