package ledger

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

type (
	// AccountID is a player's ID, or a stripe of the house: "@00" to "@3f".
	AccountID string

	// Account is what an owner has of what can be counted.
	Account struct {
		ID       AccountID
		Revision uint64       // counts its changes, from 1; 0: it is not there
		Fence    throng.Epoch // only the session under this epoch moves it; 0: none has had the player
		Entries  uint64       // transfers that touched it
		Uniques  int          // unique items
		// Balances has no zeros in a new account; not to be changed by readers.
		Balances map[throng.ItemID]int64
	}

	// Key names a transfer: an ID belongs to the transfer's first player.
	Key struct {
		Player throng.PlayerID
		ID     throng.TransferID
	}

	// Line is one movement of one account. Those of a transfer sum to zero for
	// each item.
	Line struct {
		Account AccountID
		Item    throng.ItemID
		Change  int64
		// Nth is which move of a unique item it is, from 1; 0: it can be counted, or
		// it was posted before moves were numbered.
		Nth uint64
	}

	// Record is a transfer that was posted.
	Record struct {
		Transfer throng.Transfer
		At       time.Time // whole milliseconds
		Session  throng.SessionID
		Lines    []Line
		Receipt  throng.Receipt
		Refund   throng.TransferID // that gave it back; empty: none did
	}

	// Entry is a transfer as one account sees it.
	Entry struct {
		At    time.Time
		Key   Key
		Kind  throng.TransferKind
		Lines []Line // of this account
	}

	// Unique is a unique item and whose it is.
	Unique struct {
		Player throng.PlayerID
		Item   throng.ItemID
	}
)

type (
	// Touch is all that a transfer may read or change.
	Touch struct {
		Game    throng.GameID
		Key     Key
		Players []throng.PlayerID // each once
		House   AccountID
		Uniques []Unique // whether they are so
		Refunds *Key     // the transfer that is given back; nil: none
		// Copied: it was posted, and is announced, elsewhere. No Outbox has it.
		Copied bool
	}

	// State is what is there, in the order of Touch.
	State struct {
		Record   *Record // with this key; nil: none
		Refunded *Record // nil: none
		Players  []Account
		Owned    []uint64 // how many moves each has made; 0: it is not his
	}

	// Outcome is what a transfer makes of it. All of it is written at once or
	// nothing is.
	Outcome struct {
		Record   Record
		Players  []Account // as they are to be, in the order of Touch; Revision is the Store's to count
		Moves    []Move
		Refunded *Record // as it is to be; nil: there is none
	}

	// Move gives one unique item away. From empty: it is new. To empty: it ends.
	Move struct {
		Item     throng.ItemID
		From, To throng.PlayerID
		Nth      uint64 // of its moves, from 1
	}
)

// Decide says what to write; nil: nothing. It is pure and may be called several
// times. Its error ends the change.
type Decide func(State) (*Outcome, error)

// Store keeps accounts, records and entries.
type Store interface {
	// Change reads what t names, as it is at one moment or will have to be when it
	// is written, and writes what decide makes of it: the record, the accounts,
	// moves and lines of the house, and an entry for each account. It is durable
	// when Change returned nil. decide's errors are returned as they are.
	// Unavailable: it was not written, or it is not known; repeated with the same
	// key, it is.
	Change(ctx context.Context, t Touch, decide Decide) error
	// Fence sets a player's fence if it is lower; the same again is no error.
	// Denied: it is higher.
	Fence(ctx context.Context, g throng.GameID, p throng.PlayerID, e throng.Epoch) error
	Views
}

// Views reads. What Change wrote before a call is seen by it.
type Views interface {
	// Account returns an account; one that is not there is empty.
	Account(ctx context.Context, g throng.GameID, a AccountID) (Account, error)
	// Uniques lists a player's unique items, by name, after the given one.
	Uniques(ctx context.Context, g throng.GameID, p throng.PlayerID, after throng.ItemID, limit int) ([]throng.ItemID, error)
	// Entries lists the newest of an account, the newest first, at or before the
	// given moment; zero: now.
	Entries(ctx context.Context, g throng.GameID, a AccountID, before time.Time, limit int) ([]Entry, error)
	// Record returns a transfer. NotFound: it was not posted.
	Record(ctx context.Context, g throng.GameID, k Key) (Record, error)
}

// Catalogs keeps games' catalogs.
type Catalogs interface {
	// Catalog returns a game's. NotFound: it has none.
	Catalog(ctx context.Context, g throng.GameID) (Catalog, error)
	// SetCatalog replaces it, if its revision is still c.Revision (0: there is
	// none), under the next one. Conflict: it moved on.
	SetCatalog(ctx context.Context, g throng.GameID, c Catalog) error
}

// Row is one thing that a store holds: exactly one of the pointers is set.
type Row struct {
	Game    throng.GameID
	Owner   AccountID // of an account: its ID; of a record: its first player
	Account *Account
	Entry   *Entry
	Unique  throng.ItemID
	Record  *Record
}

// Books is what the auditor reads.
type Books interface {
	// Walk shows every row once. Rows of one owner come one after another, his
	// account first if there is one. What is written meanwhile may be seen or not.
	Walk(ctx context.Context, visit func(Row) error) error
	// WalkOwner shows the rows of one owner, the same way.
	WalkOwner(ctx context.Context, g throng.GameID, a AccountID, visit func(Row) error) error
	// Still says whether Walk shows one moment.
	Still() bool
}

// Posting is a transfer that was committed.
type Posting struct {
	Game   throng.GameID
	Record Record
}

// Outbox has what was committed and is to be announced.
type Outbox interface {
	// Drain shows the oldest transfers, at most limit at once, to announce, and lets
	// go of them when that returned nil; else they come again. Those of one first
	// player come in the order of their commits. Every transfer that was committed
	// comes at least once, and nothing else does: none that was copied. It returns when there is no more for
	// now, or announce's error.
	Drain(ctx context.Context, limit int, announce func([]Posting) error) error
}

// Log takes events.
type Log interface {
	// Publish writes events, in their order. Nil: they are durable. An error: it is
	// not known which are.
	Publish(ctx context.Context, list []throng.Event) error
}
