// Package redis keeps a region's records in Redis 7 or Valkey 8, alone or a
// Cluster, for any number of control-plane processes side by side.
//
// Store is package session's Store. Each operation is one script (lua/) that
// touches one of 256 shards, which are hash tags, takes the time from Redis and
// is atomic there. codec.go has the layout of keys and values, script.go how
// scripts are put together and called.
//
// A shard's stamp says that its Redis is looked after, and in which process: the
// text of all scripts carries the nonce of the generation, Redis neither saves
// scripts nor sends them to replicas, and only a stamp loads them. So a Redis
// that was restarted, failed over or emptied grants nothing before a generation
// began (stamp.go, docs/decisions/0015).
//
// What goes to Redis goes together where it can: one connection that is flushed
// every half millisecond, holds and seats of one session in blocks (hold.go), the
// shards' changes in one command (watch.go, docs/decisions/0046).
//
// Neighbours: package session composes the operations into joins; memory is the
// same in Go, and contract holds the test that both pass. redistest starts
// servers for tests.
//
// Where to look when it misbehaves. Joins answer "the registry is rebuilding"
// for seconds: throng_redis_generations_total says that Redis was lost or
// nobody stamped it for 2 s. "clock is off": throng_redis_clock_ahead_seconds.
// "redis: ...": Redis itself does not answer, the rest of the message says why.
// The matchmaker does not see other processes' sessions: watch.go, and
// throng_redis_reloads_total, which grows when it falls behind. Redis is busy:
// INFO commandstats, and throng_redis_calls_total by op.
package redis
