// Package kafka publishes events to Apache Kafka and reads them in groups.
//
//	PREFIX.play PREFIX.economy PREFIX.place PREFIX.motion   a stream each
//	PREFIX.presence                                         compacted: the newest of each player and session, for some days
//	PREFIX.copies                                           compacted: the newest of each profile, and transfers, for other regions
//	PREFIX.parked                                           what a group could not apply, until it is replayed
//
// An event is a record: CloudEvents attributes in its headers (binary mode), its
// data as value, its key as key, so that the events of one key stay in order.
// Setup makes the topics.
//
// A Publisher returns once brokers have what it was given; one that fails may have
// got through, so consumers know an event by its ID. A Consumer is a member of a
// group: it hands a partition's events to its Handler in order, a batch at a time,
// and commits the offset after the Handler's effect. After a crash the batch comes
// again. What the Handler says can never be applied is parked, with the reason, and
// the rest flows.
//
// Tail reads a stream without a group: all that a process wants to know of it, and how
// far that is.
//
// Neighbours: event publishes through it, consumer handles, presence follows; cmd/throng connects.
// Nothing flows: throng events shows lag and what is parked.
package kafka
