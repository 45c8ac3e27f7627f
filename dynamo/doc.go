// Package dynamo keeps profiles, the ledger and the shards of consumers in DynamoDB.
//
//	PREFIX-profiles  pk game/player   sk H: head · S00..S10: one save each, compressed
//	PREFIX-economy   pk game/account  sk A: account · E#time#player#transfer: entry · R#transfer: record · U#item: unique item
//	PREFIX-catalog   pk game          the game's catalog · #relay/...: how far transfers were announced · #home: which region writes
//	PREFIX-shards    pk group/stream/partition  sk M: mark · D#segment#piece: rows, compressed
//
// Setup makes the tables. economy has a stream of new images, from which events are
// made.
//
// A save is two writes of one item each: its slot, of eleven that take turns, on
// condition that no newer session wrote there; then the head, on condition of
// fence, holder and revision. A stale session's save fails at the second at the
// latest, and the slot that it may have written is the one that is overwritten
// next. A transfer is one TransactWriteItems on condition that nothing it was
// decided on has changed; the house is added to without reading. Neither guesses:
// after a timeout everything is read and decided again, where the first try shows.
//
// A shard's commit is two writes as long as it is small: its rows as a segment
// of their own, and the mark, which names all segments that count, on condition of its
// number (shard.go). Segments are written together as they become more, so that a row
// costs its bytes a few times and not an item each (segment.go).
//
// Throttling, conflicts, timeouts and failures of the service are retried within a
// budget (retry.go); then the answer is Unavailable.
//
// Neighbours: profile, ledger and consumer state the interfaces; cmd/throng connects.
//
// Unavailable with "throttled": the tables have too little capacity. With
// "changed under it": one player's account, or one of a game's, is in more transfers
// than can take turns.
package dynamo
