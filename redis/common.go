package redis

import (
	"context"

	"github.com/redis/rueidis"
)

// What replicas share beside the registry is in keys of its own, with a hash tag
// each: {replicas}, {parties-<nn>}, {players-<nn>}, {friends}. It needs no stamps:
// a Redis that was emptied has forgotten it, and that is all. Its scripts are
// loaded when they are needed, and are none of a generation's.

// common runs such a script or command.
type common struct{ st *Store }

func (c common) exec(ctx context.Context, script *rueidis.Lua, keys []string, args ...string) (rueidis.RedisResult, error) {
	client, err := c.st.bulk.get()
	if err != nil {
		return rueidis.RedisResult{}, err
	}
	got := script.Exec(ctx, client, keys, args)
	if err := got.Error(); err != nil && !rueidis.IsRedisNil(err) {
		return rueidis.RedisResult{}, away(err)
	}
	return got, nil
}

func (c common) do(ctx context.Context, build func(rueidis.Builder) rueidis.Completed) (rueidis.RedisResult, error) {
	client, err := c.st.bulk.get()
	if err != nil {
		return rueidis.RedisResult{}, err
	}
	got := client.Do(ctx, build(client.B()))
	if err := got.Error(); err != nil && !rueidis.IsRedisNil(err) {
		return rueidis.RedisResult{}, away(err)
	}
	return got, nil
}

// key is a key under the hash tag.
func (c common) key(tag, name string) string {
	return c.st.config.Prefix + "{" + tag + "}" + name
}
