package ledger

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

// Whatever can be posted, or could be before there was MaxMoves, can be announced: one transfer that is too large for an event
// would keep all that come after it.
func TestLargestIsAnnounced(t *testing.T) {
	catalog := Catalog{Goods: map[throng.ItemID]Good{}, Offers: map[throng.ItemID]Offer{}}
	var offer Offer
	for i := range throng.TransferMost {
		coin := throng.ItemID(fmt.Sprintf("c%02d", i) + strings.Repeat("x", 37))
		sword := throng.ItemID(fmt.Sprintf("s%02d", i) + strings.Repeat("x", 37))
		catalog.Goods[coin], catalog.Goods[sword] = Good{Kind: Currency, Most: throng.AmountMost}, Good{Kind: UniqueOne, Most: MaxUniques}
		offer.Price = append(offer.Price, throng.Amount{Item: coin, Count: throng.AmountMost})
		offer.Gives = append(offer.Gives, throng.Amount{Item: sword, Count: throng.TransferMost})
	}
	long := strings.Repeat("p", 64)
	p := &posting{
		game: throng.GameID("g" + long[1:]), catalog: catalog, now: time.Now(),
		transfer: throng.Transfer{ID: throng.TransferID(long), Kind: throng.TransferPurchase, First: throng.Member{Player: throng.PlayerID(long), Epoch: 1}, Offer: "o", Count: 1},
	}
	catalog.Offers["o"] = offer
	p.newTouch(nil)
	lines, err := p.lines(State{})
	if err != nil || len(lines) != 2*throng.TransferMost*(throng.TransferMost+1) {
		t.Fatalf("%d lines: %v", len(lines), err)
	}
	posted := Posting{Game: p.game, Record: Record{Transfer: p.transfer, At: p.now, Lines: lines}}
	for name, event := range map[string]func() (throng.Event, error){
		"event": func() (throng.Event, error) { return EventOf("local", posted) },
		"copy":  func() (throng.Event, error) { return CopyOf("local", 1, posted) },
	} {
		e, err := event()
		if err == nil {
			err = e.Check()
		}
		if err != nil {
			t.Errorf("%s of %d bytes: %v", name, len(e.Data), err)
		}
		t.Logf("%s: %d bytes", name, len(e.Data))
	}
}
