package ledger

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

// wrote is a record as encoding/json writes it.
func wrote(r Record) []byte {
	t := r.Transfer
	amounts := func(list []throng.Amount) (out []storedAmount) {
		for _, a := range list {
			out = append(out, storedAmount(a))
		}
		return out
	}
	s := storedRecord{
		ID: t.ID, Kind: t.Kind, First: storedMember(t.First), Second: storedMember(t.Second), Gives: amounts(t.Gives), Takes: amounts(t.Takes),
		Offer: t.Offer, Count: t.Count, Refunds: t.Refunds, At: r.At.UnixMilli(), Session: r.Session, Refund: r.Refund,
		Lines: []storedLine{}, Holdings: []storedHolding{},
	}
	for _, l := range r.Lines {
		s.Lines = append(s.Lines, storedLine(l))
	}
	for _, h := range r.Receipt.Holdings {
		s.Holdings = append(s.Holdings, storedHolding{h.Player, amounts(h.Amounts)})
	}
	return encode(s)
}

// FuzzCodec: what is written is what encoding/json writes, and reads the same.
func FuzzCodec(f *testing.F) {
	f.Add("p1", "tr-1", "gold", "", int64(3), uint64(1<<53), int64(1790000000123))
	f.Add("a\"b", "ö<&>\u2028", "x\\", "second", int64(-1), uint64(0), int64(0))
	f.Fuzz(func(t *testing.T, player, id, item, second string, count int64, epoch uint64, at int64) {
		at %= 1 << 42
		r := Record{
			Transfer: throng.Transfer{
				ID: throng.TransferID(id), Kind: throng.TransferKind(item), First: throng.Member{Player: throng.PlayerID(player), Epoch: throng.Epoch(epoch)},
				Second: throng.Member{Player: throng.PlayerID(second)}, Gives: []throng.Amount{{Item: throng.ItemID(item), Count: count}},
				Offer: throng.ItemID(item), Count: count, Refunds: throng.TransferID(second),
			},
			At: time.UnixMilli(at).UTC(), Session: throng.SessionID(second), Refund: throng.TransferID(second),
			Lines:   []Line{{AccountID(player), throng.ItemID(item), count, epoch}, {AccountID(second), throng.ItemID(item), -count, 0}},
			Receipt: throng.Receipt{ID: throng.TransferID(id), Holdings: []throng.Holding{{Player: throng.PlayerID(player)}}},
		}
		data := EncodeRecord(r)
		if want := wrote(r); string(data) != string(want) {
			t.Fatalf("wrote %s\n, want %s", data, want)
		}
		e := EntryOf(AccountID(player), r)
		lines := make([]storedLine, len(e.Lines))
		for i, l := range e.Lines {
			lines[i] = storedLine{Item: l.Item, Change: l.Change}
		}
		entry, want := EncodeEntry(e), encode(storedEntry{at, e.Key.Player, e.Key.ID, e.Kind, lines})
		if string(entry) != string(want) {
			t.Fatalf("wrote %s\n, want %s", entry, want)
		}
		if !json.Valid(data) || !json.Valid(entry) {
			t.Fatal("that is not JSON")
		}
		first, err := DecodeRecord(data)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := DecodeRecord(EncodeRecord(first)); err != nil || !reflect.DeepEqual(again, first) {
			t.Fatalf("read %+v, %v, want %+v", again, err, first)
		}
	})
}
