package script

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

// fakeStore keeps what it is asked, and answers when it is told to.
type fakeStore struct {
	saves []string
	posts []throng.Transfer
	todo  []func(vm *VM, result error) error
	turn  int
}

func (s *fakeStore) Save(call uint64, p throng.PlayerID, document []byte) {
	s.saves = append(s.saves, fmt.Sprintf("%s %s", p, document))
	s.todo = append(s.todo, func(vm *VM, result error) error { return vm.Saved(call, result) })
}

func (s *fakeStore) Post(call uint64, t throng.Transfer) {
	s.posts = append(s.posts, t)
	s.todo = append(s.todo, func(vm *VM, result error) error {
		return vm.Posted(call, throng.Receipt{ID: t.ID, Holdings: []throng.Holding{
			{Player: t.First.Player, Amounts: []throng.Amount{{Item: "gold", Count: 5}, {Item: "rope"}}},
		}}, result)
	})
}

func (s *fakeStore) Balance(call uint64, p throng.PlayerID) {
	s.todo = append(s.todo, func(vm *VM, result error) error {
		return vm.Held(call, throng.Holding{Player: p, Amounts: []throng.Amount{{Item: "gold", Count: 9}}}, result)
	})
}

// answer answers all: every second one badly.
func (s *fakeStore) answer(vm *VM) error {
	todo := s.todo
	s.todo = nil
	var errs []error
	for _, f := range todo {
		var result error
		if s.turn++; s.turn%2 == 0 {
			result = throng.Errorf(throng.Unavailable, "the store is away")
		}
		errs = append(errs, f(vm, result))
	}
	return errors.Join(errs...)
}

// keeping is a place with a store.
func keeping(tb testing.TB, source string) (*place, *fakeStore) {
	tb.Helper()
	p := newPlace(tb, source)
	s := &fakeStore{}
	p.cfg.Store = s
	return p, s
}

func TestDataIsLoadedAndSaved(t *testing.T) {
	p, s := keeping(t, `
place.on("join", function(player) print("join", player.data, player.data_state, pcall(player.save, player)) end)
place.on("data", function(player)
  local d = player.data
  print("data", player.data_state, d and d.name, d and #d.bag, d and d.bag[2].n, d and d.deep.deeper.ok)
end)
place.on("tick", function()
  local ada = players.get("ada")
  ada.data.bag[3], ada.data.n, ada.data.text = -0.25, 2^53, "a\"b\\c\n\1é"
  ada:save(function(...) print("saved", ...) end)
  ada:save()
end)
place.on("leave", function(player) if player.data then player.data = {last = true} end end)
`)
	must(t, p.Start(), p.Join("ada"), p.Join("bo"))
	must(t, p.Loaded("ada", throng.Profile{Document: []byte(`{"name":"x","bag":["a",{"n":1.5}],"deep":{"deeper":{"ok":true}}}`)}, nil))
	must(t, p.Loaded("bo", throng.Profile{}, throng.Errorf(throng.Unavailable, "away")), p.Loaded("cy", throng.Profile{}, nil))
	must(t, p.Tick(0.1))
	doc, err := p.Document("ada")
	must(t, err)
	must(t, s.answer(p.VM), p.Leave("ada"), p.Leave("bo"), s.answer(p.VM))
	want := `{"bag":["a",{"n":1.5},-0.25],"deep":{"deeper":{"ok":true}},"n":9007199254740992,"name":"x","text":"a\"b\\c\n\u0001é"}`
	if string(doc) != want {
		t.Errorf("got %s\nwant %s", doc, want)
	}
	if err := throng.CheckDocument("doc", doc); err != nil {
		t.Error(err)
	}
	if got := strings.Join(s.saves, "; "); got != "ada "+want+"; ada "+want+`; ada {"last":true}` {
		t.Errorf("saved %s", got)
	}
	wantLog := `join	nil	loading	false	data of ada is not loaded yet
join	nil	loading	false	data of bo is not loaded yet
data	ready	x	2	1.5	true
data	unavailable	nil	nil	nil	nil
saved	true`
	if got := strings.ReplaceAll(p.log(), "scripts/main.lua:2: ", ""); got != wantLog {
		t.Errorf("got:\n%s\nwant:\n%s", got, wantLog)
	}
}

func TestDataThatANewerSessionHas(t *testing.T) {
	p, s := keeping(t, `
place.on("data", function(player) print(player.data_state) end)
place.on("tick", function() players.get("ada"):save(function(...) print(...) end) end)`)
	must(t, p.Start(), p.Join("ada"), p.Loaded("ada", throng.Profile{}, nil), p.Tick(0.1))
	must(t, s.todo[0](p.VM, throng.Errorf(throng.Denied, "fenced")))
	if err := p.Tick(0.1); err == nil || !strings.Contains(err.Error(), "belongs to a newer session") {
		t.Errorf("got %v, want no save of what is lost", err)
	}
	must(t, p.Leave("ada"))
	if want := "ready\nlost\nfalse\tfenced\tdenied"; !strings.HasPrefix(p.log(), want) || len(s.saves) != 1 {
		t.Errorf("got %q and saves %q, want %q and one", p.log(), s.saves, want)
	}
}

// While the home of profiles is away the script has a copy: it may read and change it,
// saving fails like any call, and nothing is kept of it by itself.
func TestDataThatIsACopy(t *testing.T) {
	p, s := keeping(t, `
place.on("data", function(player) print(player.data_state, player.data.n) end)
place.on("tick", function()
  local ada = players.get("ada")
  ada.data.n = ada.data.n + 1
  ada.data = {n = ada.data.n}
  ada:save(function(...) print(...) end)
end)`)
	stale := throng.Profile{Document: []byte(`{"n":1}`), Revision: 1, Copy: true}
	must(t, p.Start(), p.Join("ada"), p.Loaded("ada", stale, nil), p.Loaded("ada", stale, nil), p.Tick(0.1))
	must(t, s.todo[0](p.VM, throng.Errorf(throng.Unavailable, "away")))
	if doc, err := p.Document("ada"); doc != nil || err != nil {
		t.Errorf("a copy is to be saved: %s, %v", doc, err)
	}
	must(t, p.Loaded("ada", throng.Profile{Document: []byte(`{"n":7}`), Revision: 3}, nil), p.Leave("ada"))
	if want := "read_only\t1\nfalse\taway\tunavailable\nready\t7"; p.log() != want || s.saves[len(s.saves)-1] != `ada {"n":7}` {
		t.Errorf("got %q and saves %q, want %q and what the home had", p.log(), s.saves, want)
	}
}

// What cannot be kept is an error that says where it is, and nothing is saved.
func TestDataThatCannotBeKept(t *testing.T) {
	p, s := keeping(t, `
local deep = {} for i = 1, 40 do deep = {d = deep} end
local loop = {} loop.loop = loop
local wide = {} for i = 1, 5e4 do wide[i] = 1e-300 / 3 end
local long = ("x"):rep(5e5)
place.on("tick", function()
  local ada = players.get("ada")
  local function try(v)
    ada.data = {a = {v}}
    print(select(2, pcall(ada.save, ada)))
  end
  for _, v in ipairs({print, 0/0, 1/0, ada, "\255", {1, nil, 3}, {[1.5] = 1}, {[true] = 1}, {1, 2, x = 3}, deep, loop, wide, long}) do try(v) end
  ada.data = {1, 2} print(select(2, pcall(ada.save, ada)))
  print(select(2, pcall(function() ada.data = 1 end)))
  print(select(2, pcall(function() ada.name = 1 end)))
end)`)
	p.cfg.StepsPerTick = 5_000_000
	must(t, p.Start(), p.Join("ada"), p.Loaded("ada", throng.Profile{}, nil), p.Tick(0.1))
	want := `player.data.a[1] is a function, which cannot be kept
player.data.a[1] is NaN, which cannot be kept
player.data.a[1] is +Inf, which cannot be kept
player.data.a[1] is a userdata, which cannot be kept
player.data.a[1] is not UTF-8
player.data.a[1] has keys beside 1 to 1: a list has none, and no holes
player.data.a[1] has a key that is a number; keys are strings, or 1 to n
player.data.a[1] has a key that is a boolean; keys are strings, or 1 to n
player.data.a[1] has keys beside 1 to 2: a list has none, and no holes
player.data....d.d.d.d.d.d.d.d is more than 16 tables deep
player.data....loop.loop.loop.loop.loop.loop.loop.loop is more than 16 tables deep
player.data has more than 400000 bytes as JSON
player.data.a[1] has more than 400000 bytes
player.data is a list; its keys must be strings
player.data must be a table, got number
player.name cannot be set; what is the script's own goes into player.state`
	var got []string
	for _, line := range p.lines {
		_, words, _ := strings.Cut(line, ": ")
		got = append(got, words)
	}
	if g := strings.Join(got, "\n"); g != want {
		t.Errorf("got:\n%s\nwant:\n%s", g, want)
	}
	if len(s.saves) != 0 {
		t.Errorf("saved %q", s.saves)
	}
}

// A document that was damaged elsewhere is not loaded as if it were empty.
func TestDocumentsThatAreNone(t *testing.T) {
	for _, doc := range []string{`[1]`, `{"a":`, "{\"a\":\"\xff\"}", `{} {}`, strings.Repeat(`{"a":`, 20) + "1" + strings.Repeat("}", 20), `"` + strings.Repeat("x", 5e5) + `"`} {
		p, _ := keeping(t, `place.on("data", function(player) print(player.data_state, player.data) end)`)
		must(t, p.Start(), p.Join("ada"), p.Loaded("ada", throng.Profile{Document: []byte(doc)}, nil))
		if len(p.lines) == 0 || !strings.HasPrefix(p.lines[0], "data of ada: document") {
			t.Errorf("%.20s: got %q, want the fault in the log", doc, p.lines)
		}
		must(t, p.Leave("ada"))
	}
}

func TestLedger(t *testing.T) {
	p, s := keeping(t, `
place.on("tick", function()
  local ada, bo = players.get("ada"), players.get("bo")
  local function told(what) return function(ok, a, code) print(what, ok, type(a) == "table" and a.balances and a.balances.ada.gold or a, code) end end
  ledger.reward(ada, {id = "quest:1", gives = {silver = 2, gold = 50}}, told("reward"))
  ledger.purchase(bo, {offer = "rope"}, told("purchase"))
  ledger.trade(ada, bo, {gives = {["sword#7fk2m"] = 1}, takes = {gold = 3}}, told("trade"))
  ledger.balance(ada, function(ok, items) print("balance", ok, items.gold, items.rope) end)
  for _, f in ipairs({
    function() ledger.reward(ada, {}) end, function() ledger.reward(ada, {gives = {gold = -1}}) end,
    function() ledger.reward(ada, {gives = {gold = 1e300}}) end, function() ledger.reward(ada, {gives = {["no spaces"] = 1}}) end,
    function() ledger.reward(ada, {takes = {gold = 1}}) end, function() ledger.reward(ada, {id = "a b", gives = {gold = 1}}) end,
    function() ledger.purchase(ada, {}) end, function() ledger.purchase(ada, {offer = "rope", gives = {gold = 1}}) end,
    function() ledger.trade(ada, ada, {gives = {gold = 1}}) end, function() ledger.trade(ada, "bo", {gives = {gold = 1}}) end,
    function() ledger.reward(ada, {gives = {["sword#1"] = 2}}) end, function() ledger.balance(ada) end,
  }) do print(select(2, pcall(f))) end
  for i = 1, 60 do ledger.balance(ada, print) end
  print(pcall(ledger.balance, ada, print))
end)`)
	must(t, p.Start(), p.Join("ada"), p.Join("bo"), p.Tick(0.1))
	want := []throng.Transfer{
		{ID: "quest:1", Kind: throng.TransferReward, First: throng.Member{Player: "ada"}, Gives: []throng.Amount{{Item: "gold", Count: 50}, {Item: "silver", Count: 2}}},
		{Kind: throng.TransferPurchase, First: throng.Member{Player: "bo"}, Offer: "rope", Count: 1},
		{
			Kind: throng.TransferTrade, First: throng.Member{Player: "ada"}, Second: throng.Member{Player: "bo"},
			Gives: []throng.Amount{{Item: "sword#7fk2m", Count: 1}}, Takes: []throng.Amount{{Item: "gold", Count: 3}},
		},
	}
	if fmt.Sprint(s.posts) != fmt.Sprint(want) {
		t.Errorf("got %v\nwant %v", s.posts, want)
	}
	for i, part := range []string{
		"gives: is nothing", "gold is -1", "gold is 1e+300", `"no spaces" is no item`, "'takes' does not belong to a reward", `id: "a b"`,
		`offer: "" is no item`, "'gives' does not belong to a purchase", "nobody trades with himself", "a player expected", "there is one sword#1",
		"function expected", "64 calls of 'balance' are under way",
	} {
		if !strings.Contains(p.lines[i], part) {
			t.Errorf("line %d: got %q, want %q in it", i, p.lines[i], part)
		}
	}
	p.lines = nil
	s.todo = s.todo[:4]
	must(t, s.answer(p.VM))
	if want := "reward\ttrue\t5\tnil\npurchase\tfalse\tthe store is away\tunavailable\ntrade\ttrue\t5\tnil"; !strings.HasPrefix(p.log(), want) {
		t.Errorf("got %q, want %q", p.log(), want)
	}
}
