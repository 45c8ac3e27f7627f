package throng

import (
	"strings"
	"time"
)

// Bounds of a transfer.
const (
	AmountMost   = 1 << 53 // of one item, given, taken or held: what scripts and JSON can count to
	TransferMost = 16      // amounts that each side gives
)

type (
	// TransferID is made by whoever asks for a transfer: 1 to 64 of
	// [A-Za-z0-9_.:-]. It belongs to the transfer's first player; two players may
	// use the same one.
	TransferID string
	// ItemID names a currency or a kind of item of a game's catalog, like "gold":
	// 1 to 40 of [a-z0-9_-], starting with a letter; or one unique item, as the
	// ledger named it, like "sword#7fk2m...".
	ItemID string
)

// TransferKind is what a transfer is for.
type TransferKind string

// The kinds of transfers.
const (
	TransferReward   TransferKind = "reward"   // the game gives First what Gives says
	TransferPurchase TransferKind = "purchase" // First buys Offer, Count times, at the catalog's price
	TransferTrade    TransferKind = "trade"    // First gives Second what Gives says, for what Takes says
	TransferRefund   TransferKind = "refund"   // First's purchase Refunds is undone
)

// Amount is so many of an item.
type Amount struct {
	Item  ItemID
	Count int64 // 1 to AmountMost; 1 of a unique item
}

// Transfer moves what players own, at once and as a whole or not at all. It
// counts only while each player's epoch is his fence: nobody trades from a
// session that he left.
type Transfer struct {
	ID     TransferID // posted again with the same content, it answers the same and moves nothing
	Kind   TransferKind
	First  Member
	Second Member   // of a trade
	Gives  []Amount // of a reward and a trade, each item once; a trade may have none on one side
	Takes  []Amount // of a trade
	Offer  ItemID   // of a purchase
	Count  int64    // of a purchase
	// Refunds is of a refund: the purchase of First that is given back, once.
	Refunds TransferID
}

// Holding is what a player owns of some items, or of all.
type Holding struct {
	Player  PlayerID
	Amounts []Amount // by item; Count is 0 of what he has no more of
	Copy    bool     // see Profile; never of a receipt
}

// Receipt is what a transfer did.
type Receipt struct {
	ID       TransferID
	Holdings []Holding // after it, of each of its players and what it moved
}

// TransferOrder is a transfer with who posts it.
type TransferOrder struct {
	Game     GameID
	Session  SessionID // that posts it; empty: the game's owners do, and epochs do not count
	Transfer Transfer
}

// LedgerEntry is a transfer as one player sees it.
type LedgerEntry struct {
	At      time.Time
	First   PlayerID // whose the ID is
	ID      TransferID
	Kind    TransferKind
	Changes []Amount // what he got; Count is below 0 of what he gave
}

// AuditReport is what an audit of the ledger found.
type AuditReport struct {
	Transfers int `json:"transfers"`
	Accounts  int `json:"accounts"`
	Items     int `json:"items"` // unique ones
	// Sum is how much there is too much or too little of all items together; 0:
	// all balances of each item sum to zero.
	Sum int64 `json:"sum"`
	// Problems says what is wrong; empty: nothing. At most 100 are named.
	Problems []string `json:"problems"`
	// Before is the moment up to which sums and owners are proven, if transfers
	// went on; zero: all are.
	Before time.Time `json:"before,omitzero"`
}

// ParseTransferID checks a transfer's ID.
func ParseTransferID(field, s string) (TransferID, error) {
	_, err := ParseTicketID(field, s)
	return TransferID(s), err
}

// ParseItemID checks an item's name.
func ParseItemID(field, s string) (ItemID, error) {
	name, unique, isOne := strings.Cut(s, "#")
	ok := len(name) <= 40 && name != "" && name[0] >= 'a' && name[0] <= 'z' && strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789_-") == ""
	if isOne {
		ok = ok && unique != "" && len(unique) <= 40 && strings.Trim(unique, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
	}
	if !ok {
		return "", AtField(Invalid, field, "%q is no item: like gold, up to 40 of a-z, 0-9, _ and -, from a letter; or one unique item, like sword#7fk2m", clip(s))
	}
	return ItemID(s), nil
}

// Check says what can never be posted, whatever the catalog has.
func (t Transfer) Check() error {
	if _, err := ParseTransferID("id", string(t.ID)); err != nil {
		return err
	}
	if t.First.Player == "" || t.First.Epoch == 0 {
		return AtField(Invalid, "first", "has no name or no epoch")
	}
	switch t.Kind {
	case TransferReward, TransferPurchase, TransferRefund:
		if t.Second != (Member{}) || len(t.Takes) > 0 {
			return AtField(Invalid, "second", "goes with a trade only")
		}
	case TransferTrade:
		if t.Second.Player == "" || t.Second.Epoch == 0 {
			return AtField(Invalid, "second", "has no name or no epoch")
		}
		if t.First.Player == t.Second.Player {
			return AtField(Invalid, "second", "is the first player: nobody trades with himself")
		}
	default:
		return AtField(Invalid, "kind", "%q is not reward, purchase, trade or refund", clip(string(t.Kind)))
	}
	return t.checkAmounts()
}

func (t Transfer) checkAmounts() error {
	if t.Kind != TransferRefund && t.Refunds != "" {
		return AtField(Invalid, "refunds", "goes with a refund only")
	}
	if t.Kind == TransferPurchase {
		if _, err := ParseItemID("offer", string(t.Offer)); err != nil {
			return err
		}
		if t.Count < 1 || t.Count > AmountMost || len(t.Gives) > 0 {
			return AtField(Invalid, "count", "%d is not a number from 1 of an offer, whose price the catalog says", t.Count)
		}
		return nil
	}
	if t.Offer != "" || t.Count != 0 {
		return AtField(Invalid, "offer", "goes with a purchase only")
	}
	if t.Kind == TransferRefund {
		if _, err := ParseTransferID("refunds", string(t.Refunds)); err != nil {
			return err
		}
		if len(t.Gives) > 0 {
			return AtField(Invalid, "gives", "is what the purchase says")
		}
		return nil
	}
	if len(t.Gives)+len(t.Takes) == 0 {
		return AtField(Invalid, "gives", "is nothing")
	}
	if err := CheckAmounts("gives", t.Gives); err != nil {
		return err
	}
	return CheckAmounts("takes", t.Takes)
}

// CheckAmounts says what is wrong with a list of amounts.
func CheckAmounts(field string, list []Amount) error {
	if len(list) > TransferMost {
		return AtField(Invalid, field, "has %d items, at most %d are allowed", len(list), TransferMost)
	}
	seen := make(map[ItemID]bool, len(list))
	for _, a := range list {
		if _, err := ParseItemID(field, string(a.Item)); err != nil {
			return err
		}
		if a.Count < 1 || a.Count > AmountMost || seen[a.Item] {
			return AtField(Invalid, field, "%d of %s: a whole number from 1 is expected, and each item once", a.Count, a.Item)
		}
		if strings.Contains(string(a.Item), "#") && a.Count != 1 {
			return AtField(Invalid, field, "there is one %s", a.Item)
		}
		seen[a.Item] = true
	}
	return nil
}
