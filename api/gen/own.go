package gen

import (
	"maps"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// ProfileOf turns a profile.
func ProfileOf(p throng.Profile) Profile {
	out := Profile{Revision: uint64(p.Revision), Document: p.Document, Copy: p.Copy}
	if !p.SavedAt.IsZero() {
		out.SavedAt = p.SavedAt.UTC()
	}
	return out
}

// Root returns the profile.
func (p Profile) Root() throng.Profile {
	return throng.Profile{Document: p.Document, Revision: throng.Revision(p.Revision), SavedAt: p.SavedAt, Copy: p.Copy}
}

// SaveInfoOf turns a save that is kept.
func SaveInfoOf(s throng.ProfileSave) SaveInfo {
	return SaveInfo{Revision: uint64(s.Revision), SavedAt: s.SavedAt.UTC(), Session: string(s.Session), Size: s.Size}
}

// TransferRequestOf turns a transfer that a session's server posts.
func TransferRequestOf(t throng.Transfer) TransferRequest {
	return TransferRequest{
		ID: string(t.ID), Kind: string(t.Kind), First: memberOf(t.First), Second: memberOf(t.Second),
		Gives: itemsOf(t.Gives), Takes: itemsOf(t.Takes), Offer: string(t.Offer), Count: t.Count, Refunds: string(t.Refunds),
	}
}

func memberOf(m throng.Member) TransferMember {
	return TransferMember{Player: string(m.Player), Epoch: uint64(m.Epoch)}
}

func itemsOf(list []throng.Amount) map[string]int64 {
	if len(list) == 0 {
		return nil
	}
	out := make(map[string]int64, len(list))
	for _, a := range list {
		out[string(a.Item)] = a.Count
	}
	return out
}

func amountsOf(items map[string]int64) []throng.Amount {
	var out []throng.Amount
	for _, name := range slices.Sorted(maps.Keys(items)) {
		out = append(out, throng.Amount{Item: throng.ItemID(name), Count: items[name]})
	}
	return out
}

// Root returns the transfer. Its place is not looked at.
func (r TransferRequest) Root() (throng.Transfer, error) {
	f := fields{}
	f.atMost("gives", len(r.Gives), throng.TransferMost)
	f.atMost("takes", len(r.Takes), throng.TransferMost)
	out := throng.Transfer{
		ID:    check(&f, "id", r.ID, throng.ParseTransferID),
		Kind:  throng.TransferKind(r.Kind),
		First: throng.Member{Player: f.player("first.player", r.First.Player), Epoch: throng.Epoch(f.number("first.epoch", r.First.Epoch))},
		Offer: throng.ItemID(r.Offer), Count: r.Count, Refunds: throng.TransferID(r.Refunds),
	}
	if r.Second != (TransferMember{}) {
		out.Second = throng.Member{Player: f.player("second.player", r.Second.Player), Epoch: throng.Epoch(f.number("second.epoch", r.Second.Epoch))}
	}
	if f.err != nil {
		return throng.Transfer{}, f.err
	}
	out.Gives, out.Takes = amountsOf(r.Gives), amountsOf(r.Takes)
	if out.Kind == throng.TransferPurchase && out.Count == 0 {
		out.Count = 1
	}
	return out, nil
}

// InventoryOf turns what a player owns.
func InventoryOf(h throng.Holding) Inventory {
	items := itemsOf(h.Amounts)
	if items == nil {
		items = map[string]int64{}
	}
	return Inventory{Player: string(h.Player), Items: items, Copy: h.Copy}
}

// Root returns what a player owns.
func (i Inventory) Root() throng.Holding {
	return throng.Holding{Player: throng.PlayerID(i.Player), Amounts: amountsOf(i.Items), Copy: i.Copy}
}

// ReceiptOf turns what a transfer did.
func ReceiptOf(r throng.Receipt) Receipt {
	out := Receipt{ID: string(r.ID), Holdings: make([]Inventory, len(r.Holdings))}
	for i, h := range r.Holdings {
		out.Holdings[i] = InventoryOf(h)
	}
	return out
}

// Root returns what a transfer did.
func (r Receipt) Root() throng.Receipt {
	out := throng.Receipt{ID: throng.TransferID(r.ID)}
	for _, h := range r.Holdings {
		out.Holdings = append(out.Holdings, h.Root())
	}
	return out
}

// Root returns the save.
func (s SaveInfo) Root() throng.ProfileSave {
	return throng.ProfileSave{Revision: throng.Revision(s.Revision), SavedAt: s.SavedAt, Session: throng.SessionID(s.Session), Size: s.Size}
}

// TransferInfoOf turns a transfer as a player sees it.
func TransferInfoOf(e throng.LedgerEntry) TransferInfo {
	out := TransferInfo{ID: string(e.ID), First: string(e.First), Kind: string(e.Kind), At: e.At.UTC(), Changes: map[string]int64{}}
	for _, c := range e.Changes {
		out.Changes[string(c.Item)] += c.Count
	}
	return out
}

// Root returns the transfer.
func (t TransferInfo) Root() throng.LedgerEntry {
	return throng.LedgerEntry{
		At: t.At, First: throng.PlayerID(t.First), ID: throng.TransferID(t.ID), Kind: throng.TransferKind(t.Kind), Changes: amountsOf(t.Changes),
	}
}

// AuditReportOf turns what an audit found.
func AuditReportOf(r throng.AuditReport) AuditReport {
	out := AuditReport{Transfers: r.Transfers, Accounts: r.Accounts, Items: r.Items, Sum: r.Sum, Problems: r.Problems}
	if !r.Before.IsZero() {
		out.Before = r.Before.UTC().Truncate(time.Millisecond)
	}
	return out
}
