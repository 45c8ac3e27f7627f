// Package joinlog remembers how tickets were answered: what was considered,
// refused and chosen, why, and when, so that any join can be explained.
//
// The newest records of this process are kept in memory, bounded in number,
// bytes and age, and where a folder is given also in two files there, of which
// the older one is emptied when the newer one is full, so that they survive a
// restart. Recording never waits: a record for which the queue has no room is
// dropped and counted.
//
// log.go is the actor, shelf.go the memory, ring.go the files. Neighbours: match
// records; the door reads. With several control planes a record lies where the
// ticket was worked on: Peers (needs.go) asks the others. A record is missing:
// look at throng_joinlog_dropped_total and throng_joinlog_forgotten_total, and
// at the age of the oldest one.
package joinlog
