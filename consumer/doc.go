// Package consumer applies the events of the log, each once.
//
//	log ─▶ Consumer.Handle: known? ─▶ Keeper.Apply (pure) ─▶ Store.Commit ─▶ Keeper.Act
//	          │ cannot be read              rows that changed, and the IDs,
//	          ▼                             in one transaction
//	        Parker
//
// What a consumer made of one partition is a shard: rows, the IDs of the events
// that it applied lately, and the number of its last commit. A commit is refused
// unless it is the next one, so of two processes that both believe to own a
// partition only one has effects there; what Act does outside carries the number, or
// is the same whoever does it. Rows of a shard are kept in memory by its
// Keeper, which is made from the store's when the partition comes, and again
// after anything failed: what is not certain is read anew.
//
// An event that was applied is known by its ID while the ID is in the window, and
// by its offset after that. So events may come twice and in another order, by the
// window; what a Keeper makes of events must not depend on their order.
//
// Neighbours: kafka hands batches in and commits offsets behind them; consumer/
// analytics, consumer/anticheat and consumer/economy are Keepers; bolt and dynamo are
// the Stores.
//
// "a commit was made meanwhile": two processes have the partition; one of them is
// about to lose it. throng_consumer_lag_seconds grows: see the group's log lines.
package consumer
