package redis

import (
	"cmp"
	"context"
	"slices"
	"strconv"
	"time"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/friend"
)

const (
	defaultFriendRecords = 1 << 20
	defaultFriendEntries = 10_000_000
)

// Friends keeps lists of friends and who may see whom, for all replicas. It is
// friend.Store. A player has a set, his list, and a hash with what else is known
// of him; all are in one slot, and a hash in it counts records and entries.
type Friends struct {
	common
	mostRecords, mostEntries int
}

var _ friend.Store = Friends{}

// Friends returns the store of up to so many players and entries of lists; 0:
// 1,048,576 and 10,000,000.
func (st *Store) Friends(records, entries int) Friends {
	return Friends{
		common: common{st}, mostRecords: cmp.Or(records, defaultFriendRecords), mostEntries: cmp.Or(entries, defaultFriendEntries),
	}
}

// friendEdit replaces a list or a setting. KEYS: list, player, count. ARGV: most
// records, most entries, "list" or "privacy", the stamp's number and region, for how
// many ms it is remembered of what is as if it never was, then claimed ("1" or "") and
// the names, or the setting. It returns 1 if it is kept, 2 if what is there is as new,
// else 0. A player's hash has uncounted "1" where only stamps are left of him.
//
//nolint:gochecknoglobals // a constant
var friendEdit = rueidis.NewLuaScript(`
local at = ARGV[3] .. '_at'
local old = redis.call('HMGET', KEYS[2], 'claimed', 'privacy', 'uncounted', at, at .. '_in')
local number, is = tonumber(old[4] or '0'), tonumber(ARGV[4])
if is < number or is == number and ARGV[5] <= (old[5] or '') then return 2 end
local claimed, privacy, before = old[1] or '', old[2] or '', redis.call('SCARD', KEYS[1])
local after = before
if ARGV[3] == 'list' then
  claimed, after = ARGV[7], #ARGV - 7
else
  privacy = ARGV[7]
end
local known = redis.call('EXISTS', KEYS[2]) == 1 and not old[3]
local empty = after == 0 and claimed == '' and privacy == ''
if not empty then
  if not known and tonumber(redis.call('HGET', KEYS[3], 'records') or '0') >= tonumber(ARGV[1]) then return 0 end
  local entries = tonumber(redis.call('HGET', KEYS[3], 'entries') or '0')
  if after > before and entries + after - before > tonumber(ARGV[2]) then return 0 end
end
if ARGV[3] == 'list' then
  redis.call('DEL', KEYS[1])
  for i = 8, #ARGV, 1000 do redis.call('SADD', KEYS[1], unpack(ARGV, i, math.min(i + 999, #ARGV))) end
end
redis.call('HINCRBY', KEYS[3], 'entries', after - before)
if empty then
  if known then redis.call('HINCRBY', KEYS[3], 'records', -1) end
  redis.call('DEL', KEYS[1])
  redis.call('HDEL', KEYS[2], 'claimed', 'privacy', 'seen')
  redis.call('HSET', KEYS[2], 'uncounted', '1', at, ARGV[4], at .. '_in', ARGV[5])
  redis.call('PEXPIRE', KEYS[2], ARGV[6])
else
  if not known then redis.call('HINCRBY', KEYS[3], 'records', 1) end
  redis.call('HDEL', KEYS[2], 'uncounted')
  redis.call('HSET', KEYS[2], 'claimed', claimed, 'privacy', privacy, at, ARGV[4], at .. '_in', ARGV[5])
  redis.call('PERSIST', KEYS[2])
end
return 1`)

// friendSeen keeps the latest time. KEYS: player. ARGV: ms. It returns 1 if there
// is a record, else 0.
//
//nolint:gochecknoglobals // a constant
var friendSeen = rueidis.NewLuaScript(`
if redis.call('EXISTS', KEYS[1]) == 0 or redis.call('HEXISTS', KEYS[1], 'uncounted') == 1 then return 0 end
if tonumber(redis.call('HGET', KEYS[1], 'seen') or '0') < tonumber(ARGV[1]) then
  redis.call('HSET', KEYS[1], 'seen', ARGV[1])
end
return 1`)

// friendRead returns what is known of a player. KEYS: list, player.
//
//nolint:gochecknoglobals // a constant
var friendRead = rueidis.NewLuaScript(`
local r = redis.call('HMGET', KEYS[2], 'claimed', 'privacy', 'list_at', 'list_at_in', 'privacy_at', 'privacy_at_in')
return {r[1] or '', r[2] or '', redis.call('SMEMBERS', KEYS[1]), r[3] or '0', r[4] or '', r[5] or '0', r[6] or ''}`)

func (f Friends) list(p throng.PlayerID) string   { return f.key("friends", "l"+string(p)) }
func (f Friends) player(p throng.PlayerID) string { return f.key("friends", "p"+string(p)) }

// Record is friend.Store's.
func (f Friends) Record(ctx context.Context, p throng.PlayerID) (friend.Record, error) {
	got, err := f.exec(ctx, friendRead, []string{f.list(p), f.player(p)})
	if err != nil {
		return friend.Record{}, err
	}
	parts, err := got.ToArray()
	if err != nil || len(parts) != 7 {
		return friend.Record{}, throng.Errorf(throng.Internal, "redis answered %d parts of a player's list: %v", len(parts), err)
	}
	names, err := parts[2].AsStrSlice()
	if err != nil {
		return friend.Record{}, away(err)
	}
	r := friend.Record{Claimed: text(parts[0]) == "1", Privacy: throng.Privacy(text(parts[1]))}
	for _, name := range names {
		r.Friends = append(r.Friends, throng.PlayerID(name))
	}
	slices.Sort(r.Friends)
	r.FriendsAt, r.PrivacyAt = stampOf(parts[3:5]), stampOf(parts[5:7])
	return r, nil
}

// stampOf reads a stamp that friendEdit wrote; what is none is older than all.
func stampOf(parts []rueidis.RedisMessage) throng.Stamp {
	number, err := strconv.ParseInt(text(parts[0]), 10, 64)
	if err != nil {
		return throng.Stamp{}
	}
	return throng.Stamp{Number: number, Region: throng.RegionID(text(parts[1]))}
}

// SetFriends is friend.Store's.
func (f Friends) SetFriends(ctx context.Context, p throng.PlayerID, friends []throng.PlayerID, claimed bool, at throng.Stamp) (bool, error) {
	words := []string{map[bool]string{true: "1"}[claimed]}
	for _, name := range slices.Compact(slices.Sorted(slices.Values(friends))) {
		words = append(words, string(name))
	}
	return f.edit(ctx, p, "list", at, words)
}

// SetPrivacy is friend.Store's.
func (f Friends) SetPrivacy(ctx context.Context, p throng.PlayerID, privacy throng.Privacy, at throng.Stamp) (bool, error) {
	if privacy == throng.PrivacyEveryone {
		privacy = "" // as if he never set it
	}
	return f.edit(ctx, p, "privacy", at, []string{string(privacy)})
}

func (f Friends) edit(ctx context.Context, p throng.PlayerID, what string, at throng.Stamp, words []string) (set bool, err error) {
	args := append([]string{
		strconv.Itoa(f.mostRecords), strconv.Itoa(f.mostEntries), what, strconv.FormatInt(at.Number, 10), string(at.Region),
		strconv.FormatInt(friend.StampTime.Milliseconds(), 10),
	}, words...)
	got, err := f.exec(ctx, friendEdit, []string{f.list(p), f.player(p), f.key("friends", "n")}, args...)
	if err != nil {
		return false, err
	}
	kept, err := got.AsInt64()
	if err != nil {
		return false, away(err)
	}
	if kept == 0 {
		return false, throng.RetryLater(throng.Unavailable, time.Minute,
			"there is no room for more than %d players with %d entries of lists", f.mostRecords, f.mostEntries)
	}
	return kept == 1, nil
}

// Seen is friend.Store's.
func (f Friends) Seen(ctx context.Context, p throng.PlayerID, at time.Time) (known bool, err error) {
	got, err := f.exec(ctx, friendSeen, []string{f.player(p)}, strconv.FormatInt(at.UnixMilli(), 10))
	if err != nil {
		return false, err
	}
	n, err := got.AsInt64()
	if err != nil {
		return false, away(err)
	}
	return n == 1, nil
}

// Mutual is friend.Store's.
func (f Friends) Mutual(ctx context.Context, p throng.PlayerID) ([]friend.Friend, error) {
	r, err := f.Record(ctx, p)
	if err != nil || len(r.Friends) == 0 {
		return nil, err
	}
	client, err := f.st.bulk.get()
	if err != nil {
		return nil, err
	}
	asks := make([]rueidis.Completed, 0, 2*len(r.Friends))
	for _, name := range r.Friends {
		asks = append(asks, client.B().Sismember().Key(f.list(name)).Member(string(p)).Build(),
			client.B().Hmget().Key(f.player(name)).Field("privacy", "seen").Build())
	}
	answers := client.DoMulti(ctx, asks...)
	var list []friend.Friend
	for i, name := range r.Friends {
		mutual, err := answers[2*i].AsBool()
		if err != nil {
			return nil, away(err)
		}
		if !mutual {
			continue
		}
		known, err := answers[2*i+1].ToArray()
		if err != nil || len(known) != 2 {
			return nil, away(err)
		}
		other := friend.Friend{Player: name, Privacy: throng.Privacy(text(known[0]))}
		if ms, err := strconv.ParseInt(text(known[1]), 10, 64); err == nil && ms > 0 {
			other.Seen = time.UnixMilli(ms)
		}
		list = append(list, other)
	}
	return list, nil
}
