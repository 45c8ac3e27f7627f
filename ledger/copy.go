package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"reflect"
	"slices"

	"github.com/throng-gg/throng"
)

// maxCopied is how many lines a transfer that is copied may have. A purchase of 16
// kinds of unique items, 16 of each, at a price of 16 others has 544.
const maxCopied = 1024

// Copy takes in a transfer as another region's ledger posted it, whatever players
// have here: balances are below zero as long as transfers that came first there have
// not come here. Nothing announces it. The same again changes nothing. Invalid: it
// can never have been posted. Conflict: another one has its ID. Contention: a unique
// item, or the purchase that is given back, has not come so far; it is for later.
// Unavailable: it is not known; the same call will tell.
func (l *Ledger) Copy(ctx context.Context, p Posting) error {
	touch, err := copyTouch(p)
	if err != nil {
		return fmt.Errorf("copy transfer %.64s: %w", p.Record.Transfer.ID, err)
	}
	err = l.cfg.Store.Change(ctx, touch, func(s State) (*Outcome, error) { return copyOutcome(touch, p.Record, s) })
	if err != nil {
		return fmt.Errorf("copy transfer %s of %s: %w", p.Record.Transfer.ID, p.Record.Transfer.First.Player, err)
	}
	return nil
}

// CopyOf is a transfer as other regions are told of it. term is the home's that says
// so.
func CopyOf(region throng.RegionID, term uint64, p Posting) (throng.Event, error) {
	t := p.Record.Transfer
	return throng.MakeEvent(throng.Event{
		ID: eventID("cpy_", p), Type: throng.EventLedgerCopied, Stream: throng.StreamCopies, Key: throng.LedgerCopyKey(p.Game, t.First.Player, t.ID),
		Region: region, Place: throng.PlaceID(p.Game), Session: p.Record.Session, Player: t.First.Player, Time: p.Record.At,
	}, throng.LedgerCopied{Term: term, Game: p.Game, Record: EncodeRecord(p.Record)})
}

// ParseCopy reads what CopyOf made. Invalid: it is no such event, or can never have
// been posted.
func ParseCopy(e throng.Event) (term uint64, p Posting, err error) {
	if e.Type != throng.EventLedgerCopied {
		return 0, p, throng.AtField(throng.Invalid, "type", "%s is not %s", e.Type, throng.EventLedgerCopied)
	}
	var data throng.LedgerCopied
	if err := json.Unmarshal(e.Data, &data); err != nil {
		return 0, p, throng.AtField(throng.Invalid, "data", "cannot be read: %w", err)
	}
	if p.Game = data.Game; data.Term == 0 {
		return 0, p, throng.AtField(throng.Invalid, "term", "is 0")
	}
	if p.Record, err = DecodeRecord(data.Record); err != nil {
		return 0, p, throng.AtField(throng.Invalid, "record", "%w", err)
	}
	if t := p.Record.Transfer; e.Key != throng.LedgerCopyKey(p.Game, t.First.Player, t.ID) {
		return 0, p, throng.AtField(throng.Invalid, "key", "is not the transfer's")
	}
	_, err = copyTouch(p)
	return data.Term, p, err
}

// copyTouch checks a posting and says what its copy reads.
func copyTouch(p Posting) (Touch, error) {
	t := p.Record.Transfer
	key := Key{t.First.Player, t.ID}
	touch := Touch{Game: p.Game, Key: key, Players: []throng.PlayerID{t.First.Player}, House: HouseOf(key), Copied: true}
	if t.Kind == throng.TransferTrade {
		touch.Players = append(touch.Players, t.Second.Player)
	}
	if t.Kind == throng.TransferRefund {
		touch.Refunds = &Key{t.First.Player, t.Refunds}
	}
	if err := check(Order{Game: p.Game, Session: p.Record.Session, Transfer: t}); err != nil {
		return touch, err
	}
	if n := len(p.Record.Lines); n > maxCopied {
		return touch, throng.AtField(throng.Invalid, "lines", "are %d, at most %d are allowed", n, maxCopied)
	}
	if p.Record.At.UnixMilli() <= 0 {
		return touch, throng.AtField(throng.Invalid, "at", "is missing")
	}
	sums, ends := map[throng.ItemID]int64{}, map[throng.ItemID][]AccountID{}
	for _, line := range p.Record.Lines {
		if err := touch.takeLine(line); err != nil {
			return touch, err
		}
		sums[line.Item] += line.Change
		if !IsUnique(line.Item) {
			continue
		}
		if ends[line.Item] = append(ends[line.Item], line.Account); len(ends[line.Item]) > 2 || slices.Contains(ends[line.Item][1:], ends[line.Item][0]) {
			return touch, throng.AtField(throng.Invalid, "lines", "move %s twice", line.Item)
		}
	}
	for item, sum := range sums {
		if sum != 0 {
			return touch, throng.AtField(throng.Invalid, "lines", "move %d %s out of nothing", sum, item)
		}
	}
	return touch, nil
}

// takeLine checks a line, and adds the item that it gives away, if there is only one.
func (t *Touch) takeLine(l Line) error {
	if _, err := throng.ParseItemID("lines", string(l.Item)); err != nil {
		return err
	}
	player := throng.PlayerID(l.Account)
	most := int64(throng.AmountMost)
	if IsUnique(l.Item) {
		most = 1
	}
	switch {
	case l.Account != t.House && !slices.Contains(t.Players, player):
		return throng.AtField(throng.Invalid, "lines", "move what %.80q has, which is none of its accounts", l.Account)
	case l.Change == 0 || l.Change < -most || l.Change > most:
		return throng.AtField(throng.Invalid, "lines", "move %d %s", l.Change, l.Item)
	case most == 1 && l.Account != t.House && l.Change < 0:
		t.Uniques = append(t.Uniques, Unique{player, l.Item})
	}
	return nil
}

// copyOutcome is what a transfer that was posted elsewhere makes of what is there.
func copyOutcome(t Touch, r Record, s State) (*Outcome, error) {
	r.Refund = "" // that comes with the refund
	if s.Record != nil {
		return nil, Same(*s.Record, r)
	}
	out := &Outcome{Record: r, Players: slices.Clone(s.Players)}
	for i := range out.Players {
		a := &out.Players[i]
		if a.Balances = maps.Clone(a.Balances); a.Balances == nil {
			a.Balances = map[throng.ItemID]int64{}
		}
		a.Entries++
	}
	for _, l := range r.Lines {
		i := slices.Index(t.Players, throng.PlayerID(l.Account))
		switch {
		case i < 0: // the house, which the store adds to
		case IsUnique(l.Item):
			out.Players[i].Uniques += int(l.Change)
			if err := copyMove(t, out, s, l); err != nil {
				return nil, err
			}
		default:
			out.Players[i].Balances[l.Item] += l.Change
		}
	}
	if t.Refunds == nil {
		return out, nil
	}
	if s.Refunded == nil {
		return nil, throng.Errorf(throng.Contention, "transfer %s, which it gives back, has not come so far", t.Refunds.ID)
	}
	if was := s.Refunded.Refund; was != "" {
		return nil, throng.AtField(throng.Conflict, "refunds", "%s was given back by %s", t.Refunds.ID, was)
	}
	back := *s.Refunded
	back.Refund = r.Transfer.ID
	out.Refunded = &back
	return out, nil
}

// copyMove moves a unique item, in the order of its moves.
func copyMove(t Touch, out *Outcome, s State, l Line) error {
	player := throng.PlayerID(l.Account)
	move := slices.IndexFunc(out.Moves, func(m Move) bool { return m.Item == l.Item })
	if move < 0 {
		out.Moves = append(out.Moves, Move{Item: l.Item, Nth: max(l.Nth, 1)})
		move = len(out.Moves) - 1
	}
	if l.Change > 0 {
		out.Moves[move].To = player
		return nil
	}
	made := s.Owned[slices.Index(t.Uniques, Unique{player, l.Item})]
	if made == 0 || l.Nth != 0 && l.Nth != made+1 {
		return throng.Errorf(throng.Contention, "%s has not come to %s so far", l.Item, player)
	}
	out.Moves[move].From, out.Moves[move].Nth = player, made+1
	return nil
}

// Same says whether a transfer that is there already is the one that is copied. Conflict:
// it is not.
func Same(was, is Record) error {
	if !reflect.DeepEqual(content(was.Transfer), content(is.Transfer)) {
		return throng.AtField(throng.Conflict, "id", "%s is here as %s, and comes as %s", is.Transfer.ID, words(content(was.Transfer)), words(content(is.Transfer)))
	}
	if !slices.EqualFunc(was.Lines, is.Lines, func(a, b Line) bool { return a.Item == b.Item && a.Change == b.Change && a.Account == b.Account }) {
		return throng.AtField(throng.Conflict, "lines", "%s moved something else here", is.Transfer.ID)
	}
	return nil
}
