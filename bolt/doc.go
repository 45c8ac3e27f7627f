// Package bolt keeps profiles, the ledger and bans, and what consumers make of events,
// in files of one process, with bbolt: what throng dev stores, and a laptop's stand-in for dynamo.
//
//	profiles   game 0 player                         head
//	saves      game 0 player 0 revision mod 10       one save, compressed
//	accounts   game 0 account                        balances, fence (account.go)
//	uniques    game 0 player 0 item                  how many moves it has made
//	records    game 0 player 0 transfer              a transfer and its receipt
//	entries    game 0 account 0 time player 0 transfer   the transfer as the account sees it
//	catalogs   game                                  what can be owned and bought
//	bans       player                                the one that counts
//	home       "home"                                which region writes, and since which term
//	marks      group 0 stream 0 partition            how far a consumer's shard is
//	pages      group 0 stream 0 partition 0 number   IDs of the events of a commit
//	rows       group 0 stream 0 partition 0 key      what it made of events
//
// Writers do not wait for each other's disk (commit.go): while one transaction is
// being made durable the next ones gather, and go into the file together. Each
// first reads and decides, then writes, so one that is refused leaves nothing.
//
// Whatever happens to the process, the file holds all of what was answered. When
// the disk is full, or fails, writes are Unavailable until it is not; the file is
// opened anew, because only the disk knows what became of the last ones.
//
// Neighbours: profile, ledger and consumer state the interfaces; cmd/throng opens
// the files, one for consumers.
//
// "is in use by another process": the lock ends with that process.
package bolt
