package bolt

import (
	"reflect"
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
)

// FuzzAccount: any bytes are an account, which is written and read the same, or
// an error.
func FuzzAccount(f *testing.F) {
	f.Add(formAccount(ledger.Account{Revision: 1}))
	f.Add(formAccount(ledger.Account{
		Revision: 300, Fence: 1 << 52, Entries: 299, Uniques: 2, Balances: map[throng.ItemID]int64{"gold": 1 << 53, "apple": -1 << 60},
	}))
	f.Add([]byte(`{"v":3,"f":7,"n":2,"b":{"gold":5}}`))
	f.Add([]byte{formatAccount, 0, 0, 0, 0, 200, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		a, err := parseAccount("p", data)
		if err != nil {
			return
		}
		again, err := parseAccount("p", formAccount(a))
		if len(a.Balances) == 0 {
			a.Balances, again.Balances = nil, nil
		}
		if err != nil || !reflect.DeepEqual(again, a) {
			t.Errorf("got %+v, %v, want %+v", again, err, a)
		}
	})
}

// TestAccountOfBefore reads what older files have.
func TestAccountOfBefore(t *testing.T) {
	t.Parallel()
	got, err := parseAccount("ada", []byte(`{"v":3,"f":7,"n":2,"u":1,"b":{"gold":5}}`))
	want := ledger.Account{ID: "ada", Revision: 3, Fence: 7, Entries: 2, Uniques: 1, Balances: map[throng.ItemID]int64{"gold": 5}}
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v, %v, want %+v", got, err, want)
	}
}
