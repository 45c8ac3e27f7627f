package script

import (
	"slices"
	"strings"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/script/lua"
)

func (vm *VM) openLedger() {
	lib := vm.m.Library("ledger")
	vm.m.Define(lib, "reward", func(c lua.Call) []lua.Value {
		return vm.post(c, throng.Transfer{Kind: throng.TransferReward, First: memberOf(c, 0)}, 1)
	})
	vm.m.Define(lib, "purchase", func(c lua.Call) []lua.Value {
		return vm.post(c, throng.Transfer{Kind: throng.TransferPurchase, First: memberOf(c, 0), Count: 1}, 1)
	})
	vm.m.Define(lib, "trade", func(c lua.Call) []lua.Value {
		return vm.post(c, throng.Transfer{Kind: throng.TransferTrade, First: memberOf(c, 0), Second: memberOf(c, 1)}, 2)
	})
	vm.m.Define(lib, "balance", func(c lua.Call) []lua.Value {
		c.T.Charge(50)
		of := memberOf(c, 0)
		c.Function(1)
		vm.needStore(c)
		vm.cfg.Store.Balance(vm.begin(c, 1, maxPosts, call{what: "ledger"}), of.Player)
		return nil
	})
	lib.Lock()
}

func (vm *VM) needStore(c lua.Call) {
	if vm.cfg.Store == nil {
		c.T.Throw("nothing is kept here")
	}
}

// memberOf is argument i, a player who is in. His epoch is the Store's to say.
func memberOf(c lua.Call, i int) throng.Member {
	p, ok := c.Arg(i).Object().(*player)
	switch {
	case !ok:
		c.Fail(i, "a player expected")
	case p.left:
		c.Fail(i, "player %s left", p.id)
	}
	return throng.Member{Player: p.id}
}

// post asks for a transfer, whose details are argument i.
func (vm *VM) post(c lua.Call, blank throng.Transfer, i int) []lua.Value {
	c.T.Charge(100)
	tr := blank
	terms := c.Table(i)
	for k, v := terms.Next(lua.Value{}); !k.IsNil(); k, v = terms.Next(k) {
		term(c, &tr, words(k), v)
	}
	checked := tr
	checked.First.Epoch = 1 // the Store knows
	if tr.Kind == throng.TransferTrade {
		checked.Second.Epoch = 1
	}
	if checked.ID == "" {
		checked.ID = "made-by-the-store"
	}
	if err := checked.Check(); err != nil {
		c.T.Throw("%.300s", err.Error())
	}
	vm.needStore(c)
	vm.cfg.Store.Post(vm.begin(c, i+1, maxPosts, call{what: "ledger"}), tr)
	return nil
}

// term reads one detail of a transfer.
func term(c lua.Call, tr *throng.Transfer, key string, v lua.Value) {
	text, isText := v.Text()
	n, isNumber := v.Number()
	purchase := tr.Kind == throng.TransferPurchase
	switch {
	case key == "id" && isText:
		if text == "" {
			c.T.Throw("id is empty; leave it out to have one made")
		}
		tr.ID = throng.TransferID(text)
	case key == "gives" && v.Table() != nil && !purchase:
		tr.Gives = amounts(c, key, v.Table())
	case key == "takes" && v.Table() != nil && tr.Kind == throng.TransferTrade:
		tr.Takes = amounts(c, key, v.Table())
	case key == "offer" && isText && purchase:
		tr.Offer = throng.ItemID(text)
	case key == "count" && isNumber && purchase:
		tr.Count = wholeOf(c, key, n)
	default:
		c.T.Throw("'%.40s' does not belong to a %s, or has the wrong type (%s)", key, tr.Kind, v.Type())
	}
}

// amounts reads a table like {gold = 50}, in the order of names.
func amounts(c lua.Call, key string, table *lua.Table) []throng.Amount {
	var list []throng.Amount
	for k, v := table.Next(lua.Value{}); !k.IsNil(); k, v = table.Next(k) {
		name, isText := k.Text()
		n, isNumber := v.Number()
		if !isText || !isNumber {
			c.T.Throw("'%s' is like {gold = 50}, got %.40s = %s", key, words(k), v.Type())
		}
		list = append(list, throng.Amount{Item: throng.ItemID(strings.Clone(name)), Count: wholeOf(c, name, n)})
		if len(list) > throng.TransferMost {
			c.T.Throw("'%s' has more than %d items", key, throng.TransferMost)
		}
	}
	slices.SortFunc(list, func(a, b throng.Amount) int { return strings.Compare(string(a.Item), string(b.Item)) })
	return list
}

func wholeOf(c lua.Call, name string, n float64) int64 {
	if n < 1 || n > throng.AmountMost || n != float64(int64(n)) {
		c.T.Throw("%.40s is %.14g: a whole number from 1 is expected", name, n)
	}
	return int64(n)
}

// Posted tells the script what became of a transfer.
func (vm *VM) Posted(id uint64, r throng.Receipt, result error) error {
	return vm.answer(id, "ledger", result, func(*lua.Thread) lua.Value {
		receipt, all := vm.m.NewTable(), vm.m.NewTable()
		for _, h := range r.Holdings {
			all.Set(vm.m.String(string(h.Player)), lua.Of(vm.holding(h)))
		}
		receipt.SetField("id", vm.m.String(string(r.ID)))
		receipt.SetField("balances", lua.Of(all))
		return lua.Of(receipt)
	})
}

// Held tells the script what a player owns.
func (vm *VM) Held(id uint64, h throng.Holding, result error) error {
	return vm.answer(id, "ledger", result, func(*lua.Thread) lua.Value { return lua.Of(vm.holding(h)) })
}

// holding is what a player owns, for scripts.
func (vm *VM) holding(h throng.Holding) *lua.Table {
	table := vm.m.NewTable()
	for _, a := range h.Amounts {
		if a.Count != 0 {
			table.Set(vm.m.String(string(a.Item)), lua.Number(float64(a.Count)))
		}
	}
	return table
}
