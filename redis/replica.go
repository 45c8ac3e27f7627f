package redis

import (
	"context"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/replica"
)

// Replicas keeps which control-plane processes live, by Redis's clock. It is
// replica.Store.
type Replicas struct{ common }

var _ replica.Store = Replicas{}

// Replicas returns the store of the replicas that work on this registry.
func (st *Store) Replicas() Replicas { return Replicas{common{st}} }

// announceScript keeps one's own lease and URL, and drops those that are over.
// KEYS: the hash of all, by ID. ARGV: ID, lease in ms, URL, most. It returns IDs
// and URLs, or nothing when there are too many.
//
//nolint:gochecknoglobals // a constant
var announceScript = rueidis.NewLuaScript(`
local t = redis.call('TIME')
local now = t[1] * 1000 + math.floor(t[2] / 1000)
local all, live = redis.call('HGETALL', KEYS[1]), {}
for i = 1, #all, 2 do
  local till, url = string.match(all[i + 1], '^(%d+) (.*)$')
  if all[i] == ARGV[1] or not till or tonumber(till) <= now then
    redis.call('HDEL', KEYS[1], all[i])
  else
    live[#live + 1] = all[i]
    live[#live + 1] = url
  end
end
if tonumber(ARGV[2]) > 0 then
  if #live >= 2 * tonumber(ARGV[4]) then return false end
  redis.call('HSET', KEYS[1], ARGV[1], string.format('%d', now + ARGV[2]) .. ' ' .. ARGV[3])
  live[#live + 1] = ARGV[1]
  live[#live + 1] = ARGV[3]
end
return live`)

// mostReplicas bounds them.
const mostReplicas = 1024

// Announce is replica.Store's.
func (r Replicas) Announce(ctx context.Context, self throng.Replica, lease time.Duration) ([]throng.Replica, error) {
	got, err := r.exec(ctx, announceScript, []string{r.key("replicas", string(r.st.config.Region))},
		string(self.ID), strconv.FormatInt(lease.Milliseconds(), 10), self.URL, strconv.Itoa(mostReplicas))
	if err != nil {
		return nil, err
	}
	words, err := got.AsStrSlice()
	if rueidis.IsRedisNil(err) {
		return nil, throng.Errorf(throng.Unavailable, "there are %d replicas already", mostReplicas)
	}
	if err != nil {
		return nil, away(err)
	}
	var list []throng.Replica
	for pair := range slices.Chunk(words, 2) {
		if len(pair) == 2 {
			list = append(list, throng.Replica{ID: throng.ReplicaID(pair[0]), URL: pair[1]})
		}
	}
	slices.SortFunc(list, func(a, b throng.Replica) int { return strings.Compare(string(a.ID), string(b.ID)) })
	return list, nil
}
