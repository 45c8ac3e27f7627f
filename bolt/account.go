package bolt

import (
	"encoding/binary"
	"maps"
	"slices"

	"go.etcd.io/bbolt"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
)

// formatAccount is the first byte of an account as it is stored: revision, fence,
// entries, unique items and how many balances follow as varints, then each with
// its item's length. Every transfer reads and writes two while others wait, so
// it is not JSON. Files of before have JSON, which is read as well.
const formatAccount = 1

func readAccount(tx *bbolt.Tx, g throng.GameID, id ledger.AccountID) (ledger.Account, error) {
	data := bucket(tx, accounts).Get(key(string(g), string(id)))
	if data == nil {
		return ledger.Account{ID: id}, nil
	}
	return parseAccount(id, data)
}

// putAccount stores an account under its next revision.
func putAccount(tx *bbolt.Tx, g throng.GameID, a ledger.Account) error {
	a.Revision++
	return bucket(tx, accounts).Put(key(string(g), string(a.ID)), formAccount(a))
}

func formAccount(a ledger.Account) []byte {
	out := append(make([]byte, 0, 32+24*len(a.Balances)), formatAccount)
	for _, n := range []uint64{a.Revision, uint64(a.Fence), a.Entries, uint64(a.Uniques), uint64(len(a.Balances))} {
		out = binary.AppendUvarint(out, n)
	}
	for _, item := range slices.Sorted(maps.Keys(a.Balances)) {
		out = binary.AppendVarint(appendText(out, string(item)), a.Balances[item])
	}
	return out
}

func parseAccount(id ledger.AccountID, data []byte) (ledger.Account, error) {
	if len(data) > 0 && data[0] == '{' {
		return parseJSONAccount(id, data)
	}
	in := fields{data: data}
	in.bad = in.byte() != formatAccount
	a := ledger.Account{ID: id, Revision: in.number(), Fence: throng.Epoch(in.number()), Entries: in.number(), Uniques: int(in.number())}
	n := in.number()
	if n > uint64(len(data)) {
		in.bad = true
	}
	if n > 0 && !in.bad {
		a.Balances = make(map[throng.ItemID]int64, n+1)
	}
	for range n {
		item := throng.ItemID(in.text())
		count := in.signed()
		if in.bad {
			break
		}
		a.Balances[item] = count
	}
	if in.bad || len(in.data) > 0 {
		return ledger.Account{}, throng.Errorf(throng.Internal, "the stored account of %s cannot be read", id)
	}
	return a, nil
}

func parseJSONAccount(id ledger.AccountID, data []byte) (ledger.Account, error) {
	var a struct {
		Revision uint64                  `json:"v"`
		Fence    throng.Epoch            `json:"f"`
		Entries  uint64                  `json:"n"`
		Uniques  int                     `json:"u"`
		Balances map[throng.ItemID]int64 `json:"b"`
	}
	err := decode(data, &a)
	return ledger.Account{ID: id, Revision: a.Revision, Fence: a.Fence, Entries: a.Entries, Uniques: a.Uniques, Balances: a.Balances}, err
}
