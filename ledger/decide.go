package ledger

import (
	"crypto/sha256"
	"encoding/base32"
	"encoding/binary"
	"fmt"
	"maps"
	"math/bits"
	"reflect"
	"slices"
	"strings"
	"time"

	"github.com/throng-gg/throng"
)

const (
	// Stripes is how many accounts a game's house is spread over.
	Stripes = 64
	// MaxUniques is how many unique items a player can have in a game.
	MaxUniques = 1000
	// MaxMoves is how many unique items move in one transfer: 16 from either side of a
	// trade. DynamoDB takes 100 writes at once, two for each of them.
	MaxMoves = 2 * throng.TransferMost
)

// posting is one transfer on its way through.
type posting struct {
	game     throng.GameID
	transfer throng.Transfer
	session  throng.SessionID // empty: the game's owners post it, and fences do not count
	catalog  Catalog
	now      time.Time
	touch    Touch
}

// HouseOf is the stripe of the house that a transfer touches.
func HouseOf(k Key) AccountID {
	sum := sha256.Sum256([]byte(string(k.Player) + "\x00" + string(k.ID)))
	return AccountID(fmt.Sprintf("@%02x", sum[0]%Stripes))
}

// IsHouse says whether an account is a stripe of the house.
func (a AccountID) IsHouse() bool { return strings.HasPrefix(string(a), "@") }

// uniqueText writes 5 bits a character.
var uniqueText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding) //nolint:gochecknoglobals // a constant table

// uniqueID names the nth unique item that a transfer makes, the same each time.
func (p *posting) uniqueID(kind throng.ItemID, n int) throng.ItemID {
	h := sha256.New()
	for _, part := range []string{string(p.game), string(p.transfer.First.Player), string(p.transfer.ID), string(kind)} {
		_ = binary.Write(h, binary.BigEndian, uint32(len(part)))
		h.Write([]byte(part))
	}
	_ = binary.Write(h, binary.BigEndian, uint32(n))
	return kind + "#" + throng.ItemID(uniqueText.EncodeToString(h.Sum(nil)[:15]))
}

// newTouch says what the transfer reads. refunded is what it gives back; nil:
// nothing.
func (p *posting) newTouch(refunded *Record) {
	t := p.transfer
	key := Key{t.First.Player, t.ID}
	p.touch = Touch{Game: p.game, Key: key, Players: []throng.PlayerID{t.First.Player}, House: HouseOf(key)}
	if t.Kind == throng.TransferTrade {
		p.touch.Players = append(p.touch.Players, t.Second.Player)
		p.wantUniques(t.First.Player, t.Gives)
		p.wantUniques(t.Second.Player, t.Takes)
	}
	if refunded == nil {
		return
	}
	p.touch.Refunds = &Key{t.First.Player, t.Refunds}
	for _, l := range refunded.Lines {
		if IsUnique(l.Item) && l.Change > 0 && !l.Account.IsHouse() {
			p.touch.Uniques = append(p.touch.Uniques, Unique{t.First.Player, l.Item})
		}
	}
}

func (p *posting) wantUniques(owner throng.PlayerID, list []throng.Amount) {
	for _, a := range list {
		if IsUnique(a.Item) {
			p.touch.Uniques = append(p.touch.Uniques, Unique{owner, a.Item})
		}
	}
}

// decide is what the transfer makes of what is there.
func (p *posting) decide(s State) (*Outcome, error) {
	if s.Record != nil {
		return nil, p.compare(*s.Record)
	}
	if err := p.checkFences(s.Players); err != nil {
		return nil, err
	}
	lines, err := p.lines(s)
	if err != nil {
		return nil, err
	}
	out := &Outcome{Players: slices.Clone(s.Players)}
	for i := range out.Players {
		a := &out.Players[i]
		a.Balances = maps.Clone(a.Balances)
		if a.Balances == nil {
			a.Balances = map[throng.ItemID]int64{}
		}
		a.Entries++
	}
	for _, l := range lines {
		if err := p.apply(out, s, l); err != nil {
			return nil, err
		}
	}
	if len(out.Moves) > MaxMoves && p.transfer.Kind != throng.TransferRefund {
		return nil, throng.AtField(throng.Invalid, "items", "%d unique items at once, at most %d are allowed", len(out.Moves), MaxMoves)
	}
	number(lines, out.Moves)
	for _, a := range out.Players {
		if a.Uniques > MaxUniques {
			return nil, throng.AtField(throng.Full, "gives", "%s would have %d unique items, at most %d are allowed", a.ID, a.Uniques, MaxUniques)
		}
	}
	out.Record = Record{Transfer: p.transfer, At: p.now, Session: p.session, Lines: lines, Receipt: receipt(p.transfer.ID, out.Players, lines)}
	if s.Refunded != nil {
		back := *s.Refunded
		back.Refund = p.transfer.ID
		out.Refunded = &back
	}
	return out, nil
}

// compare says whether the transfer that was posted under this ID is this one.
// The sessions that post it may differ.
func (p *posting) compare(r Record) error {
	was, is := content(r.Transfer), content(p.transfer)
	if reflect.DeepEqual(was, is) {
		return nil
	}
	return throng.AtField(throng.Conflict, "id", "%s was posted at %s as %s, and now as %s",
		p.transfer.ID, r.At.UTC().Format(time.RFC3339Nano), words(was), words(is))
}

// content is what of a transfer has to be the same when it is repeated.
func content(t throng.Transfer) throng.Transfer {
	t.First.Epoch, t.Second.Epoch = 0, 0
	t.Gives, t.Takes = sorted(t.Gives), sorted(t.Takes)
	return t
}

func sorted(list []throng.Amount) []throng.Amount {
	if len(list) == 0 {
		return nil
	}
	return slices.SortedFunc(slices.Values(list), func(a, b throng.Amount) int { return strings.Compare(string(a.Item), string(b.Item)) })
}

// words says a transfer to people.
func words(t throng.Transfer) string {
	switch t.Kind {
	case throng.TransferReward:
		return fmt.Sprintf("reward of %s to %s", amountWords(t.Gives), t.First.Player)
	case throng.TransferPurchase:
		return fmt.Sprintf("purchase of %d %s by %s", t.Count, t.Offer, t.First.Player)
	case throng.TransferTrade:
		return fmt.Sprintf("trade of %s by %s for %s by %s", amountWords(t.Gives), t.First.Player, amountWords(t.Takes), t.Second.Player)
	case throng.TransferRefund:
		return fmt.Sprintf("refund of %s to %s", t.Refunds, t.First.Player)
	}
	return string(t.Kind)
}

func amountWords(list []throng.Amount) string {
	if len(list) == 0 {
		return "nothing"
	}
	parts := make([]string, len(list))
	for i, a := range list {
		parts[i] = fmt.Sprintf("%d %s", a.Count, a.Item)
	}
	return strings.Join(parts, ", ")
}

func (p *posting) checkFences(accounts []Account) error {
	if p.session == "" {
		return nil
	}
	for i, m := range p.members() {
		if accounts[i].Fence != m.Epoch {
			return throng.AtField(throng.Denied, []string{"first", "second"}[i],
				"%s is in another session, or was not checked out: the fence is %d, the transfer's epoch %d", m.Player, accounts[i].Fence, m.Epoch)
		}
	}
	return nil
}

func (p *posting) members() []throng.Member {
	if p.transfer.Kind == throng.TransferTrade {
		return []throng.Member{p.transfer.First, p.transfer.Second}
	}
	return []throng.Member{p.transfer.First}
}

// lines is what moves.
func (p *posting) lines(s State) ([]Line, error) {
	t := p.transfer
	first, house := AccountID(t.First.Player), p.touch.House
	switch t.Kind {
	case throng.TransferReward:
		return p.move(nil, house, first, t.Gives)
	case throng.TransferPurchase:
		return p.purchase(first, house)
	case throng.TransferTrade:
		second := AccountID(t.Second.Player)
		lines, err := p.move(nil, first, second, t.Gives)
		if err != nil {
			return nil, err
		}
		return p.move(lines, second, first, t.Takes)
	case throng.TransferRefund:
		return p.refund(s)
	}
	return nil, throng.AtField(throng.Invalid, "kind", "%q is no kind of transfer", t.Kind)
}

func (p *posting) purchase(first, house AccountID) ([]Line, error) {
	offer, ok := p.catalog.Offers[p.transfer.Offer]
	if !ok {
		return nil, throng.AtField(throng.NotFound, "offer", "the catalog has no offer %s", p.transfer.Offer)
	}
	price, err := times(offer.Price, p.transfer.Count)
	if err != nil {
		return nil, err
	}
	gives, err := times(offer.Gives, p.transfer.Count)
	if err != nil {
		return nil, err
	}
	lines, err := p.move(nil, first, house, price)
	if err != nil {
		return nil, err
	}
	return p.move(lines, house, first, gives)
}

// times multiplies amounts.
func times(list []throng.Amount, n int64) ([]throng.Amount, error) {
	out := make([]throng.Amount, len(list))
	for i, a := range list {
		high, low := bits.Mul64(uint64(a.Count), uint64(n))
		if high != 0 || low > throng.AmountMost {
			return nil, throng.AtField(throng.Invalid, "count", "%d times %d %s is more than can be counted", n, a.Count, a.Item)
		}
		out[i] = throng.Amount{Item: a.Item, Count: int64(low)}
	}
	return out, nil
}

// move adds the lines of amounts that go from one account to another. Unique
// items that come out of the house are made.
func (p *posting) move(lines []Line, from, to AccountID, list []throng.Amount) ([]Line, error) {
	for _, a := range list {
		good, ok := p.catalog.Goods[kindOf(a.Item)]
		single := IsUnique(a.Item)
		switch {
		case !ok:
			return nil, throng.AtField(throng.Invalid, "items", "the catalog has no currency or item %s", kindOf(a.Item))
		case single && good.Kind != UniqueOne:
			return nil, throng.AtField(throng.Invalid, "items", "%s is not unique in the catalog", a.Item)
		case single && from.IsHouse():
			return nil, throng.AtField(throng.Invalid, "items", "%s: the ledger names new items, give so many %s", a.Item, kindOf(a.Item))
		case !single && good.Kind == UniqueOne && !from.IsHouse():
			return nil, throng.AtField(throng.Invalid, "items", "%s is unique: say which", a.Item)
		case !single && good.Kind == UniqueOne:
			if a.Count > throng.TransferMost {
				return nil, throng.AtField(throng.Invalid, "items", "%d unique items at once, at most %d are allowed", a.Count, throng.TransferMost)
			}
			for n := range int(a.Count) {
				id := p.uniqueID(a.Item, n)
				lines = append(lines, Line{Account: from, Item: id, Change: -1}, Line{Account: to, Item: id, Change: 1})
			}
		default:
			lines = append(lines, Line{Account: from, Item: a.Item, Change: -a.Count}, Line{Account: to, Item: a.Item, Change: a.Count})
		}
	}
	return lines, nil
}

// refund is the reverse of what is given back.
func (p *posting) refund(s State) ([]Line, error) {
	id := p.transfer.Refunds
	switch {
	case s.Refunded == nil:
		return nil, throng.AtField(throng.NotFound, "refunds", "%s has no transfer %s", p.transfer.First.Player, id)
	case s.Refunded.Transfer.Kind != throng.TransferPurchase:
		return nil, throng.AtField(throng.Invalid, "refunds", "%s is a %s, only purchases are given back", id, s.Refunded.Transfer.Kind)
	case s.Refunded.Refund != "":
		return nil, throng.AtField(throng.Conflict, "refunds", "%s was given back by %s", id, s.Refunded.Refund)
	}
	lines := make([]Line, len(s.Refunded.Lines))
	for i, l := range s.Refunded.Lines {
		l.Change, l.Nth = -l.Change, 0
		if l.Account.IsHouse() { // the stripe of this transfer, not of that one
			l.Account = p.touch.House
		}
		lines[i] = l
	}
	return lines, nil
}

// apply takes one line into the accounts, or says why it cannot be.
func (p *posting) apply(out *Outcome, s State, l Line) error {
	i := slices.Index(p.touch.Players, throng.PlayerID(l.Account))
	if l.Account.IsHouse() {
		return nil
	}
	a := &out.Players[i]
	if IsUnique(l.Item) {
		return p.applyUnique(out, s, a, l)
	}
	have := a.Balances[l.Item]
	next := have + l.Change // both are below 2^53 + 1
	most := p.catalog.Goods[l.Item].Most
	switch {
	case next < 0:
		return throng.AtField(throng.Full, "amount", "%s has %d %s and needs %d", a.ID, have, l.Item, -l.Change)
	case l.Change > 0 && next > most:
		return throng.AtField(throng.Full, "amount", "%s would have %d %s, at most %d are allowed", a.ID, next, l.Item, most)
	}
	a.Balances[l.Item] = next
	return nil
}

// applyUnique moves a single item. Its line of the giver comes first.
func (p *posting) applyUnique(out *Outcome, s State, a *Account, l Line) error {
	a.Uniques += int(l.Change)
	owner := throng.PlayerID(a.ID)
	move := slices.IndexFunc(out.Moves, func(m Move) bool { return m.Item == l.Item })
	if move < 0 {
		out.Moves = append(out.Moves, Move{Item: l.Item, Nth: 1})
		move = len(out.Moves) - 1
	}
	if l.Change > 0 {
		out.Moves[move].To = owner
		return nil
	}
	out.Moves[move].From = owner
	at := slices.Index(p.touch.Uniques, Unique{owner, l.Item})
	if at < 0 || s.Owned[at] == 0 {
		return throng.AtField(throng.Full, "items", "%s does not have %s", owner, l.Item)
	}
	out.Moves[move].Nth = s.Owned[at] + 1
	return nil
}

// number says in the lines of unique items which of their moves it is, so that who
// copies transfers knows in which order they were.
func number(lines []Line, moves []Move) {
	for i, l := range lines {
		if move := slices.IndexFunc(moves, func(m Move) bool { return m.Item == l.Item }); move >= 0 {
			lines[i].Nth = moves[move].Nth
		}
	}
}

// receipt says what the players have of what moved.
func receipt(id throng.TransferID, accounts []Account, lines []Line) throng.Receipt {
	r := throng.Receipt{ID: id}
	for _, a := range accounts {
		h := throng.Holding{Player: throng.PlayerID(a.ID)}
		moved := map[throng.ItemID]int64{}
		for _, l := range lines {
			if l.Account != a.ID {
				continue
			}
			moved[l.Item] = a.Balances[l.Item]
			if IsUnique(l.Item) {
				moved[l.Item] = max(l.Change, 0)
			}
		}
		for _, item := range slices.Sorted(maps.Keys(moved)) {
			h.Amounts = append(h.Amounts, throng.Amount{Item: item, Count: moved[item]})
		}
		r.Holdings = append(r.Holdings, h)
	}
	return r
}

// LinesOf is the lines of one account.
func LinesOf(a AccountID, lines []Line) []Line {
	var own []Line
	for _, l := range lines {
		if l.Account == a {
			own = append(own, l)
		}
	}
	return own
}

// sameAmounts compares lists by item.
func sameAmounts(a, b []throng.Amount) bool { return slices.Equal(sorted(a), sorted(b)) }

// Fenced is the refusal of an epoch below a player's fence.
func Fenced(p throng.PlayerID, fence, e throng.Epoch) error {
	return throng.AtField(throng.Denied, "epoch", "a newer session has had %s since, at epoch %d: epoch %d is fenced", p, fence, e)
}
