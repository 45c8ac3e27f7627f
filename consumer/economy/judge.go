package economy

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
)

// told is what one side says of a transfer, in an order of its own, so that two that
// mean the same are equal.
type told struct {
	Kind   throng.TransferKind `json:"k"`
	Second throng.PlayerID     `json:"s,omitempty"`
	Offer  throng.ItemID       `json:"o,omitempty"`
	Count  int64               `json:"n,omitempty"`
	Moves  string              `json:"m,omitempty"` // of rewards and trades: what First and Second got
	At     int64               `json:"a"`           // ms
	Game   throng.GameID       `json:"g"`
	Server bool                `json:"v,omitempty"` // a session posted it, so a server reports it
}

// kind is an item's name without what makes a unique one unique: who asks for a
// sword does not know yet which it will be.
func kind(i throng.ItemID) string {
	name, _, _ := strings.Cut(string(i), "#")
	return name
}

func moves(first, second map[string]int64) string {
	var b strings.Builder
	for _, side := range []map[string]int64{first, second} {
		for _, item := range slices.Sorted(maps.Keys(side)) {
			if side[item] != 0 {
				fmt.Fprintf(&b, "%s%+d ", item, side[item])
			}
		}
		b.WriteByte('/')
	}
	return b.String()
}

// postedAs is what the ledger says.
func postedAs(d *throng.LedgerPosted, at int64, server bool) told {
	t := told{Kind: d.Kind, Second: d.Second, Offer: d.Offer, Count: d.Count, At: at, Game: d.Game, Server: server}
	if d.Kind == throng.TransferReward || d.Kind == throng.TransferTrade {
		first, second := map[string]int64{}, map[string]int64{}
		for _, l := range d.Lines {
			switch l.Account {
			case string(d.First):
				first[kind(l.Item)] += l.Change
			case string(d.Second):
				second[kind(l.Item)] += l.Change
			}
		}
		t.Moves = moves(first, second)
	}
	return t
}

// reportedAs is what a server says.
func reportedAs(d *throng.LedgerReported, at int64) told {
	t := told{Kind: d.Kind, Second: d.Second, Offer: d.Offer, Count: d.Count, At: at, Game: d.Game, Server: true}
	first, second := map[string]int64{}, map[string]int64{}
	switch d.Kind {
	case throng.TransferReward:
		for _, a := range d.Gives {
			first[kind(a.Item)] += a.Count
		}
	case throng.TransferTrade:
		for _, a := range d.Gives {
			first[kind(a.Item)] -= a.Count
			second[kind(a.Item)] += a.Count
		}
		for _, a := range d.Takes {
			first[kind(a.Item)] += a.Count
			second[kind(a.Item)] -= a.Count
		}
	case throng.TransferPurchase, throng.TransferRefund:
		return t
	}
	t.Moves = moves(first, second)
	return t
}

// same says whether both mean the same transfer; otherwise what differs.
func same(posted, reported told) (difference string) {
	switch {
	case posted.Kind != reported.Kind:
		return fmt.Sprintf("the ledger says %s, the server %s", posted.Kind, reported.Kind)
	case posted.Second != reported.Second:
		return fmt.Sprintf("the ledger says with %q, the server with %q", posted.Second, reported.Second)
	case posted.Offer != reported.Offer || posted.Count != reported.Count:
		return fmt.Sprintf("the ledger says %d of %q, the server %d of %q", posted.Count, posted.Offer, reported.Count, reported.Offer)
	case posted.Moves != reported.Moves:
		return fmt.Sprintf("the ledger moved %s, the server says %s", posted.Moves, reported.Moves)
	}
	return ""
}

// impossible says what of a posted transfer no catalog allows; empty: nothing. A nil
// catalog is not known.
func impossible(d *throng.LedgerPosted, c *ledger.Catalog) string {
	sums, got := map[throng.ItemID]int64{}, map[string]int64{}
	for _, l := range d.Lines {
		sums[l.Item] += l.Change
		if l.Account == string(d.First) {
			got[kind(l.Item)] += l.Change
		}
	}
	for _, item := range slices.Sorted(maps.Keys(sums)) {
		if sums[item] != 0 {
			return fmt.Sprintf("it makes %d %s out of nothing", sums[item], item)
		}
	}
	if c == nil {
		return ""
	}
	for _, item := range slices.Sorted(maps.Keys(got)) {
		good, sold := c.Goods[throng.ItemID(item)]
		switch {
		case !sold:
			return fmt.Sprintf("it moves %d %s, which the catalog does not have", got[item], item)
		case good.Kind != ledger.UniqueOne && got[item] > good.Most:
			return fmt.Sprintf("it gives %d %s, of which one can have %d", got[item], item, good.Most)
		}
	}
	offer, sold := c.Offers[d.Offer]
	if d.Kind != throng.TransferPurchase || !sold {
		return ""
	}
	want := map[string]int64{}
	for _, a := range offer.Gives {
		want[string(a.Item)] += a.Count * d.Count
	}
	for _, a := range offer.Price {
		want[string(a.Item)] -= a.Count * d.Count
	}
	maps.DeleteFunc(want, func(_ string, n int64) bool { return n == 0 })
	maps.DeleteFunc(got, func(_ string, n int64) bool { return n == 0 })
	if !maps.Equal(want, got) {
		return fmt.Sprintf("%d of %s moved %s, by the catalog it is %s", d.Count, d.Offer, moves(got, nil), moves(want, nil))
	}
	return ""
}
