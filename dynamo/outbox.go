package dynamo

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams"
	"github.com/aws/aws-sdk-go-v2/service/dynamodbstreams/types"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
)

const (
	leaseTime  = 15 * time.Second
	shardsTime = 10 * time.Second // for which the list of shards is believed
	// What is before the names of games in the table of catalogs.
	relayPK = "#relay"
)

// Outbox reads the economy table's stream: what was put there as a record was
// committed, here unless it says that it was copied. Which of it was announced
// stands in the table of catalogs, under names
// that no game has. Of several processes one at a time announces, as long as it
// keeps a lease; who has lost it may announce a batch twice. A stream forgets after
// 24 hours: what nobody announced until then is not.
type Outbox struct {
	s      *Store
	holder string

	mu      sync.Mutex // held by Drain
	arn     string
	until   time.Time // of the lease, by this process's clock
	shards  map[string]*streamShard
	order   []string // parents before children
	shardAt time.Time
}

// streamShard is one sequence of the stream.
type streamShard struct {
	id, parent string
	iterator   string // "": to be asked for
	after      string // sequence number that was announced last; "": none was
	closed     bool   // all of it was announced
	loaded     bool   // after and closed are as stored
}

var _ ledger.Outbox = (*Outbox)(nil)

// Outbox returns what announces from these tables, for a process of a name that no
// other has.
func (s *Store) Outbox(process string) *Outbox {
	return &Outbox{s: s, holder: process, shards: map[string]*streamShard{}}
}

// Drain announces what the stream has, if no other process does.
func (o *Outbox) Drain(ctx context.Context, limit int, announce func([]ledger.Posting) error) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if ok, err := o.lease(ctx); err != nil || !ok {
		return err
	}
	if err := o.list(ctx); err != nil {
		return err
	}
	for _, id := range o.order {
		sh := o.shards[id]
		if parent := o.shards[sh.parent]; sh.closed || parent != nil && !parent.closed {
			continue
		}
		if err := o.drainShard(ctx, sh, limit, announce); err != nil {
			return err
		}
	}
	return nil
}

// lease keeps this process the one that announces. False: another one is.
func (o *Outbox) lease(ctx context.Context) (bool, error) {
	now := time.Now()
	if now.Before(o.until.Add(-leaseTime / 2)) {
		return true, nil
	}
	end := now.Add(leaseTime)
	taken := false
	err := o.s.again(ctx, "take the lease of announcing", func(ctx context.Context) error {
		err := o.s.put(ctx, &dynamodb.PutItemInput{
			TableName: &o.s.catalog, Item: item{"pk": text(relayPK), "h": text(o.holder), "t": number(end.UnixMilli())},
			ConditionExpression:       aws.String("attribute_not_exists(pk) OR h = :h OR t < :now"),
			ExpressionAttributeValues: item{":h": text(o.holder), ":now": number(now.UnixMilli())},
		})
		if taken = refused(err); taken {
			return nil
		}
		return err
	})
	switch {
	case err == nil && !taken:
		if now.After(o.until) { // others may have announced meanwhile
			clear(o.shards)
			o.shardAt = time.Time{}
		}
		o.until = end
		return true, nil
	case taken:
		o.until = time.Time{}
		return false, nil
	}
	return false, err
}

// list reads which shards the stream has.
func (o *Outbox) list(ctx context.Context) error {
	if time.Since(o.shardAt) < shardsTime {
		return nil
	}
	if err := o.find(ctx); err != nil {
		return err
	}
	ids, err := o.described(ctx)
	if err != nil {
		return err
	}
	maps.DeleteFunc(o.shards, func(id string, _ *streamShard) bool {
		return !slices.Contains(ids, id) // it is older than the stream remembers
	})
	o.order, o.shardAt = o.parentsFirst(ids), time.Now()
	for _, id := range o.order {
		if err := o.load(ctx, o.shards[id]); err != nil {
			return err
		}
	}
	return nil
}

// find asks which stream the economy table has, once.
func (o *Outbox) find(ctx context.Context) error {
	if o.arn != "" {
		return nil
	}
	table, err := o.s.client.DescribeTable(ctx, &dynamodb.DescribeTableInput{TableName: &o.s.economy})
	if err != nil {
		return throng.Errorf(throng.Unavailable, "look for the stream of %s: %w", o.s.economy, err)
	}
	if o.arn = aws.ToString(table.Table.LatestStreamArn); o.arn == "" {
		return throng.Errorf(throng.Invalid, "table %s has no stream of new images: what is posted cannot be announced", o.s.economy)
	}
	return nil
}

// described is the stream's shards, in its order; new ones are among o.shards then.
func (o *Outbox) described(ctx context.Context) (ids []string, err error) {
	var last *string
	for {
		out, err := o.s.stream.DescribeStream(ctx, &dynamodbstreams.DescribeStreamInput{StreamArn: &o.arn, ExclusiveStartShardId: last})
		if err != nil {
			return nil, throng.Errorf(throng.Unavailable, "list the shards of %s's stream: %w", o.s.economy, err)
		}
		for _, sh := range out.StreamDescription.Shards {
			id := aws.ToString(sh.ShardId)
			ids = append(ids, id)
			if o.shards[id] == nil {
				o.shards[id] = &streamShard{id: id, parent: aws.ToString(sh.ParentShardId)}
			}
		}
		if last = out.StreamDescription.LastEvaluatedShardId; last == nil {
			return ids, nil
		}
	}
}

// parentsFirst orders shards.
func (o *Outbox) parentsFirst(ids []string) []string {
	var out []string
	done := map[string]bool{}
	var visit func(id string)
	visit = func(id string) {
		sh := o.shards[id]
		if sh == nil || done[id] {
			return
		}
		done[id] = true
		visit(sh.parent)
		out = append(out, id)
	}
	for _, id := range ids {
		visit(id)
	}
	return out
}

func (o *Outbox) key(sh *streamShard) item { return item{"pk": text(relayPK + "/" + sh.id)} }

// load reads how far a shard was announced.
func (o *Outbox) load(ctx context.Context, sh *streamShard) error {
	if sh.loaded {
		return nil
	}
	return o.s.again(ctx, "read what was announced", func(ctx context.Context) error {
		i, err := o.s.get(ctx, o.s.catalog, o.key(sh))
		if err != nil {
			return err
		}
		sh.after, sh.closed, sh.loaded = i.text("a"), i.number("c") == 1, true
		return nil
	})
}

// keep stores how far a shard was announced.
func (o *Outbox) keep(ctx context.Context, sh *streamShard) error {
	i := o.key(sh)
	i["a"] = text(sh.after)
	if sh.closed {
		i["c"] = number(1)
	}
	return o.s.again(ctx, "note what was announced", func(ctx context.Context) error {
		return o.s.put(ctx, &dynamodb.PutItemInput{TableName: &o.s.catalog, Item: i})
	})
}

// drainShard announces what a shard has for now.
func (o *Outbox) drainShard(ctx context.Context, sh *streamShard, limit int, announce func([]ledger.Posting) error) error {
	for {
		more, err := o.drainRecords(ctx, sh, limit, announce)
		if err != nil || !more {
			return err
		}
		if ok, err := o.lease(ctx); err != nil || !ok {
			return err
		}
	}
}

// drainRecords announces the next records of a shard. more false: for now it has
// none behind them.
func (o *Outbox) drainRecords(ctx context.Context, sh *streamShard, limit int, announce func([]ledger.Posting) error) (more bool, err error) {
	records, next, err := o.records(ctx, sh, limit)
	if err != nil {
		return false, err
	}
	list, err := postingsOf(records)
	if err != nil {
		return false, err
	}
	if len(list) > 0 {
		if err := announce(list); err != nil {
			sh.iterator = "" // from after again
			return false, err
		}
	}
	sh.iterator, sh.closed = next, next == ""
	if len(records) > 0 {
		sh.after = aws.ToString(records[len(records)-1].Dynamodb.SequenceNumber)
	}
	if len(list) > 0 || sh.closed {
		if err := o.keep(ctx, sh); err != nil {
			return false, err
		}
	}
	return len(records) > 0 && !sh.closed, nil
}

// records reads on in a shard. next "": that was all that it will ever have.
func (o *Outbox) records(ctx context.Context, sh *streamShard, limit int) (list []types.Record, next string, err error) {
	if sh.iterator == "" {
		in := &dynamodbstreams.GetShardIteratorInput{StreamArn: &o.arn, ShardId: &sh.id, ShardIteratorType: types.ShardIteratorTypeTrimHorizon}
		if sh.after != "" {
			in.ShardIteratorType, in.SequenceNumber = types.ShardIteratorTypeAfterSequenceNumber, &sh.after
		}
		out, err := o.s.stream.GetShardIterator(ctx, in)
		if err != nil {
			if _, trimmed := errors.AsType[*types.TrimmedDataAccessException](err); trimmed {
				sh.after = "" // the stream has forgotten it
			}
			return nil, "", throng.Errorf(throng.Unavailable, "read on in shard %s: %w", sh.id, err)
		}
		sh.iterator = aws.ToString(out.ShardIterator)
	}
	most := int32(limit)
	out, err := o.s.stream.GetRecords(ctx, &dynamodbstreams.GetRecordsInput{ShardIterator: &sh.iterator, Limit: &most})
	if err != nil {
		sh.iterator = ""
		return nil, "", throng.Errorf(throng.Unavailable, "read shard %s: %w", sh.id, err)
	}
	return out.Records, aws.ToString(out.NextShardIterator), nil
}

// postingsOf are the transfers among records.
func postingsOf(records []types.Record) ([]ledger.Posting, error) {
	var list []ledger.Posting
	for _, r := range records {
		p, ok, err := postingOf(r)
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, p)
		}
	}
	return list, nil
}

// postingOf is a transfer that was put; ok false: the record is of something else.
func postingOf(r types.Record) (p ledger.Posting, ok bool, err error) {
	if r.EventName != types.OperationTypeInsert || r.Dynamodb == nil {
		return p, false, nil
	}
	field := func(i map[string]types.AttributeValue, name string) string {
		s, _ := i[name].(*types.AttributeValueMemberS)
		if s == nil {
			return ""
		}
		return s.Value
	}
	if !strings.HasPrefix(field(r.Dynamodb.Keys, "sk"), "R#") || r.Dynamodb.NewImage[copied] != nil {
		return p, false, nil
	}
	record, err := ledger.DecodeRecord([]byte(field(r.Dynamodb.NewImage, "d")))
	if err != nil {
		return p, false, fmt.Errorf("stream record %s: %w", aws.ToString(r.Dynamodb.SequenceNumber), err)
	}
	game, _, _ := strings.Cut(field(r.Dynamodb.Keys, "pk"), "/")
	return ledger.Posting{Game: throng.GameID(game), Record: record}, true, nil
}
