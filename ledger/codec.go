package ledger

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/throng-gg/throng"
)

// What stores keep of records and entries: JSON with short names, because it is
// paid for by the kilobyte. Fields that are not known are ignored.
type (
	storedAmount struct {
		Item  throng.ItemID `json:"i"`
		Count int64         `json:"n,omitempty"`
	}
	storedMember struct {
		Player throng.PlayerID `json:"p,omitempty"`
		Epoch  throng.Epoch    `json:"e,omitempty"`
	}
	storedLine struct {
		Account AccountID     `json:"a,omitempty"` // empty: the entry's
		Item    throng.ItemID `json:"i"`
		Change  int64         `json:"n"`
		Nth     uint64        `json:"m,omitempty"` // not in entries
	}
	storedHolding struct {
		Player  throng.PlayerID `json:"p"`
		Amounts []storedAmount  `json:"a,omitempty"`
	}
	storedRecord struct {
		ID       throng.TransferID   `json:"id"`
		Kind     throng.TransferKind `json:"k"`
		First    storedMember        `json:"f"`
		Second   storedMember        `json:"s,omitzero"`
		Gives    []storedAmount      `json:"g,omitempty"`
		Takes    []storedAmount      `json:"t,omitempty"`
		Offer    throng.ItemID       `json:"o,omitempty"`
		Count    int64               `json:"c,omitempty"`
		Refunds  throng.TransferID   `json:"of,omitempty"`
		At       int64               `json:"at"` // Unix milliseconds
		Session  throng.SessionID    `json:"ses,omitempty"`
		Lines    []storedLine        `json:"l"`
		Holdings []storedHolding     `json:"h"`
		Refund   throng.TransferID   `json:"r,omitempty"`
	}
	storedEntry struct {
		At    int64               `json:"at"`
		First throng.PlayerID     `json:"p"`
		ID    throng.TransferID   `json:"id"`
		Kind  throng.TransferKind `json:"k"`
		Lines []storedLine        `json:"l,omitempty"`
	}
)

// EncodeRecord writes a record for a store.
func EncodeRecord(r Record) []byte {
	t := r.Transfer
	o := object{out: make([]byte, 0, 512)}
	o.open()
	o.text("id", string(t.ID))
	o.text("k", string(t.Kind))
	o.member("f", t.First)
	if t.Second != (throng.Member{}) {
		o.member("s", t.Second)
	}
	o.amounts("g", t.Gives)
	o.amounts("t", t.Takes)
	o.some("o", string(t.Offer))
	o.count("c", t.Count)
	o.some("of", string(t.Refunds))
	o.number("at", r.At.UnixMilli())
	o.some("ses", string(r.Session))
	o.list("l", len(r.Lines), func(i int) {
		o.some("a", string(r.Lines[i].Account))
		o.line(r.Lines[i])
		if nth := r.Lines[i].Nth; nth != 0 {
			o.key("m")
			o.out = strconv.AppendUint(o.out, nth, 10)
		}
	})
	o.list("h", len(r.Receipt.Holdings), func(i int) {
		o.text("p", string(r.Receipt.Holdings[i].Player))
		o.amounts("a", r.Receipt.Holdings[i].Amounts)
	})
	o.some("r", string(r.Refund))
	o.close()
	return o.out
}

func (o *object) member(name string, m throng.Member) {
	o.key(name)
	o.open()
	o.some("p", string(m.Player))
	if m.Epoch != 0 {
		o.key("e")
		o.out = strconv.AppendUint(o.out, uint64(m.Epoch), 10)
	}
	o.close()
}

func (o *object) amounts(name string, list []throng.Amount) {
	if len(list) == 0 {
		return
	}
	o.list(name, len(list), func(i int) {
		o.text("i", string(list[i].Item))
		o.count("n", list[i].Count)
	})
}

// line is what moved, whosever it was.
func (o *object) line(l Line) {
	o.text("i", string(l.Item))
	o.number("n", l.Change)
}

// DecodeRecord reads what EncodeRecord wrote.
func DecodeRecord(data []byte) (Record, error) {
	var s storedRecord
	if err := json.Unmarshal(data, &s); err != nil {
		return Record{}, throng.Errorf(throng.Internal, "a stored transfer cannot be read: %w", err)
	}
	r := Record{
		Transfer: throng.Transfer{
			ID: s.ID, Kind: s.Kind, First: throng.Member(s.First), Second: throng.Member(s.Second), Gives: fromStored(s.Gives),
			Takes: fromStored(s.Takes), Offer: s.Offer, Count: s.Count, Refunds: s.Refunds,
		},
		At: time.UnixMilli(s.At).UTC(), Session: s.Session, Receipt: throng.Receipt{ID: s.ID}, Refund: s.Refund,
	}
	for _, l := range s.Lines {
		r.Lines = append(r.Lines, Line(l))
	}
	for _, h := range s.Holdings {
		r.Receipt.Holdings = append(r.Receipt.Holdings, throng.Holding{Player: h.Player, Amounts: fromStored(h.Amounts)})
	}
	return r, nil
}

// EncodeEntry writes an entry for a store. Its lines are all of one account.
func EncodeEntry(e Entry) []byte {
	o := object{out: make([]byte, 0, 192)}
	o.open()
	o.number("at", e.At.UnixMilli())
	o.text("p", string(e.Key.Player))
	o.text("id", string(e.Key.ID))
	o.text("k", string(e.Kind))
	if len(e.Lines) > 0 {
		o.list("l", len(e.Lines), func(i int) { o.line(e.Lines[i]) })
	}
	o.close()
	return o.out
}

// DecodeEntry reads what EncodeEntry wrote of an account.
func DecodeEntry(of AccountID, data []byte) (Entry, error) {
	var s storedEntry
	if err := json.Unmarshal(data, &s); err != nil {
		return Entry{}, throng.Errorf(throng.Internal, "a stored entry of %s cannot be read: %w", of, err)
	}
	e := Entry{At: time.UnixMilli(s.At).UTC(), Key: Key{s.First, s.ID}, Kind: s.Kind}
	for _, l := range s.Lines {
		e.Lines = append(e.Lines, Line{Account: of, Item: l.Item, Change: l.Change})
	}
	return e, nil
}

// EntryOf is a record as one of its accounts sees it.
func EntryOf(a AccountID, r Record) Entry {
	return Entry{At: r.At, Key: Key{r.Transfer.First.Player, r.Transfer.ID}, Kind: r.Transfer.Kind, Lines: LinesOf(a, r.Lines)}
}

func fromStored(list []storedAmount) []throng.Amount {
	var out []throng.Amount
	for _, a := range list {
		out = append(out, throng.Amount(a))
	}
	return out
}
