package redis

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"hash/fnv"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/party"
)

const (
	partyShards    = 64
	defaultParties = 1 << 20
	partyLook      = 5 * time.Second // how often who waits looks, should he not hear
	hearAgain      = time.Second     // after the subscription was lost
)

// Parties keeps parties for all replicas. It is party.Store. Each shard is a hash
// of records, as revision and JSON, and a sorted set of when they were touched;
// beside them is a hash of which party each player is in. A change is published,
// so that who waits at another replica hears of it at once.
type Parties struct {
	common
	most int // of one shard

	mu      sync.Mutex
	waiting map[throng.PartyID]chan struct{} // guarded by mu; closed at the next change
}

var _ party.Store = (*Parties)(nil)

// Parties returns the store of up to about most parties; 0: 1,048,576. Run it.
func (st *Store) Parties(most int) *Parties {
	most = cmp.Or(most, defaultParties)
	return &Parties{common: common{st}, most: max(most/partyShards, 1), waiting: map[throng.PartyID]chan struct{}{}}
}

// partySwap replaces a record. KEYS: records, touched. ARGV: ID, the revision
// that is kept, the record (empty: forget it), when it was touched, most, the
// channel. It returns 1, 0 (another revision) or -1 (no room).
//
//nolint:gochecknoglobals // a constant
var partySwap = rueidis.NewLuaScript(`
local old = redis.call('HGET', KEYS[1], ARGV[1])
local revision = old and string.match(old, '^%d+') or '0'
if revision ~= ARGV[2] then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
  redis.call('ZREM', KEYS[2], ARGV[1])
else
  if not old and redis.call('HLEN', KEYS[1]) >= tonumber(ARGV[5]) then return -1 end
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
  redis.call('ZADD', KEYS[2], ARGV[4], ARGV[1])
end
redis.call('PUBLISH', ARGV[6], ARGV[1])
return 1`)

// partyMove changes a player's party. KEYS: of. ARGV: player, from, to. It
// returns whether he is in to.
//
//nolint:gochecknoglobals // a constant
var partyMove = rueidis.NewLuaScript(`
local of = redis.call('HGET', KEYS[1], ARGV[1]) or ''
if of ~= ARGV[3] and of ~= ARGV[2] then return 0 end
if ARGV[3] == '' then
  redis.call('HDEL', KEYS[1], ARGV[1])
else
  redis.call('HSET', KEYS[1], ARGV[1], ARGV[3])
end
return 1`)

func shardOf(name string) string {
	h := fnv.New32a()
	h.Write([]byte(name))
	sum := h.Sum32()
	return strconv.Itoa(int((sum ^ sum>>16) % partyShards))
}

func (p *Parties) records(shard string) string { return p.key("parties-"+shard, "r") }
func (p *Parties) touched(shard string) string { return p.key("parties-"+shard, "t") }
func (p *Parties) of(player throng.PlayerID) string {
	return p.key("players-"+shardOf(string(player)), "p")
}
func (p *Parties) channel() string { return p.st.config.Prefix + "parties" }

// Get is party.Store's.
func (p *Parties) Get(ctx context.Context, id throng.PartyID) (party.Record, error) {
	got, err := p.do(ctx, func(b rueidis.Builder) rueidis.Completed {
		return b.Hget().Key(p.records(shardOf(string(id)))).Field(string(id)).Build()
	})
	if err != nil {
		return party.Record{}, err
	}
	text, err := got.ToString()
	if rueidis.IsRedisNil(err) {
		return party.Record{}, throng.AtField(throng.NotFound, "id", "there is no party %s", id)
	}
	if err != nil {
		return party.Record{}, away(err)
	}
	revision, rest, _ := strings.Cut(text, " ")
	var r party.Record
	if err := json.Unmarshal([]byte(rest), &r); err != nil {
		return party.Record{}, throng.Errorf(throng.Internal, "party %s is damaged: %w", id, err)
	}
	if r.Revision, err = strconv.ParseUint(revision, 10, 64); err != nil {
		return party.Record{}, throng.Errorf(throng.Internal, "party %s is damaged: %w", id, err)
	}
	return r, nil
}

// Swap is party.Store's.
func (p *Parties) Swap(ctx context.Context, r party.Record) (party.Record, error) {
	content, err := json.Marshal(r)
	if err != nil {
		return party.Record{}, fmt.Errorf("write party %s: %w", r.ID, err)
	}
	next := ""
	if len(r.Members) > 0 {
		next = strconv.FormatUint(r.Revision+1, 10) + " " + string(content)
	}
	shard := shardOf(string(r.ID))
	got, err := p.exec(ctx, partySwap, []string{p.records(shard), p.touched(shard)},
		string(r.ID), strconv.FormatUint(r.Revision, 10), next, strconv.FormatInt(r.Touched.UnixMilli(), 10),
		strconv.Itoa(p.most), p.channel())
	if err != nil {
		return party.Record{}, err
	}
	switch done, err := got.AsInt64(); {
	case err != nil:
		return party.Record{}, away(err)
	case done == 0:
		return party.Record{}, throng.AtField(throng.Conflict, "revision", "party %s is not at revision %d", r.ID, r.Revision)
	case done < 0:
		return party.Record{}, throng.RetryLater(throng.Unavailable, time.Minute, "there are some %d parties, which is the most", p.most*partyShards)
	}
	p.wake(r.ID)
	var kept party.Record // nothing of what the caller has
	if err := json.Unmarshal(content, &kept); err != nil {
		return party.Record{}, fmt.Errorf("read party %s back: %w", r.ID, err)
	}
	kept.Revision = r.Revision + 1
	return kept, nil
}

// Await is party.Store's.
func (p *Parties) Await(ctx context.Context, id throng.PartyID, revision uint64) error {
	look := time.NewTicker(partyLook)
	defer look.Stop()
	for {
		changed := p.wait(id)
		r, err := p.Get(ctx, id)
		switch {
		case ctx.Err() != nil:
			return ctx.Err()
		case throng.KindOf(err) == throng.NotFound && err != nil:
			return nil
		case err != nil:
			return err
		case r.Revision != revision:
			return nil
		}
		select {
		case <-changed:
		case <-look.C:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// wait returns what is closed at the next change that is heard of.
func (p *Parties) wait(id throng.PartyID) <-chan struct{} {
	p.mu.Lock()
	defer p.mu.Unlock()
	changed := p.waiting[id]
	if changed == nil {
		changed = make(chan struct{})
		p.waiting[id] = changed
	}
	return changed
}

func (p *Parties) wake(id throng.PartyID) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if changed := p.waiting[id]; changed != nil {
		close(changed)
		delete(p.waiting, id)
	}
}

func (p *Parties) wakeAll() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, changed := range p.waiting {
		close(changed)
	}
	clear(p.waiting)
}

// Run hears of changes at other replicas until ctx ends. It returns nil.
func (p *Parties) Run(ctx context.Context) error {
	for ctx.Err() == nil {
		client, err := p.st.bulk.get()
		if err == nil {
			hear := client.B().Subscribe().Channel(p.channel()).Build()
			err = client.Receive(ctx, hear, func(m rueidis.PubSubMessage) { p.wake(throng.PartyID(m.Message)) })
		}
		p.wakeAll() // what was missed meanwhile is seen by looking; it also forgets those who left
		if ctx.Err() != nil {
			return nil
		}
		p.st.log.WarnContext(ctx, "parties' changes are not heard", "err", err)
		select {
		case <-ctx.Done():
		case <-time.After(hearAgain):
		}
	}
	return nil
}

// Idle is party.Store's.
func (p *Parties) Idle(ctx context.Context, before time.Time, limit int) ([]throng.PartyID, error) {
	var list []throng.PartyID
	for shard := range partyShards {
		if len(list) >= limit {
			break
		}
		got, err := p.do(ctx, func(b rueidis.Builder) rueidis.Completed {
			return b.Zrange().Key(p.touched(strconv.Itoa(shard))).Min("-inf").Max("("+strconv.FormatInt(before.UnixMilli(), 10)).
				Byscore().Limit(0, int64(limit-len(list))).Build()
		})
		if err != nil {
			return nil, err
		}
		names, err := got.AsStrSlice()
		if err != nil {
			return nil, away(err)
		}
		for _, name := range names {
			list = append(list, throng.PartyID(name))
		}
	}
	slices.Sort(list)
	return list, nil
}

// Of is party.Store's.
func (p *Parties) Of(ctx context.Context, player throng.PlayerID) (throng.PartyID, error) {
	got, err := p.do(ctx, func(b rueidis.Builder) rueidis.Completed {
		return b.Hget().Key(p.of(player)).Field(string(player)).Build()
	})
	if err != nil {
		return "", err
	}
	name, err := got.ToString()
	if err != nil && !rueidis.IsRedisNil(err) {
		return "", away(err)
	}
	return throng.PartyID(name), nil
}

// Move is party.Store's.
func (p *Parties) Move(ctx context.Context, player throng.PlayerID, from, to throng.PartyID) error {
	got, err := p.exec(ctx, partyMove, []string{p.of(player)}, string(player), string(from), string(to))
	if err != nil {
		return err
	}
	done, err := got.AsInt64()
	if err != nil {
		return away(err)
	}
	if done == 0 {
		return throng.AtField(throng.Conflict, "player", "%s is in another party", player)
	}
	return nil
}
