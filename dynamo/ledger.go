package dynamo

import (
	"context"
	"fmt"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb/types"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
)

// Ledger is the part of a Store that keeps the ledger.
type Ledger struct{ s *Store }

var (
	_ ledger.Store    = Ledger{}
	_ ledger.Catalogs = Ledger{}
	_ ledger.Books    = Ledger{}
)

// Ledger returns the part that keeps the ledger.
func (s *Store) Ledger() Ledger { return Ledger{s} }

const (
	balance = "b:" // begins the names of an account's balances
	copied  = "c"  // is set in records that were posted elsewhere
)

func ownerPK(g throng.GameID, a ledger.AccountID) string { return string(g) + "/" + string(a) }

func accountKey(g throng.GameID, a ledger.AccountID) item { return keyOf(ownerPK(g, a), "A") }

func recordKey(g throng.GameID, k ledger.Key) item {
	return keyOf(ownerPK(g, ledger.AccountID(k.Player)), "R#"+string(k.ID))
}

func uniqueKey(g throng.GameID, u ledger.Unique) item {
	return keyOf(ownerPK(g, ledger.AccountID(u.Player)), "U#"+string(u.Item))
}

func entryKey(g throng.GameID, a ledger.AccountID, e ledger.Entry) item {
	return keyOf(ownerPK(g, a), fmt.Sprintf("E#%016x#%s#%s", e.At.UnixMilli(), e.Key.Player, e.Key.ID))
}

func accountOf(id ledger.AccountID, i item) ledger.Account {
	a := ledger.Account{
		ID: id, Revision: uint64(i.number("v")), Fence: throng.Epoch(i.number("f")), Entries: uint64(i.number("n")), Uniques: int(i.number("u")),
	}
	for name := range i {
		if of, ok := strings.CutPrefix(name, balance); ok {
			if a.Balances == nil {
				a.Balances = map[throng.ItemID]int64{}
			}
			a.Balances[throng.ItemID(of)] = i.number(name)
		}
	}
	return a
}

// Change reads, decides, and writes on condition that nothing has changed.
func (l Ledger) Change(ctx context.Context, t ledger.Touch, decide ledger.Decide) error {
	return l.s.again(ctx, "post a transfer", func(ctx context.Context) error {
		state, err := l.state(ctx, t)
		if err != nil {
			return err
		}
		out, err := decide(state)
		if err != nil || out == nil {
			return err
		}
		_, err = request(ctx, l.s, func(ctx context.Context, in *dynamodb.TransactWriteItemsInput) (*dynamodb.TransactWriteItemsOutput, error) {
			return l.s.client.TransactWriteItems(ctx, in)
		}, &dynamodb.TransactWriteItemsInput{TransactItems: l.writes(t, state, *out)})
		return canceled(err)
	})
}

// state reads what a transfer names, in one request.
func (l Ledger) state(ctx context.Context, t ledger.Touch) (s ledger.State, err error) {
	keys := []item{recordKey(t.Game, t.Key)}
	if t.Refunds != nil {
		keys = append(keys, recordKey(t.Game, *t.Refunds))
	}
	for _, p := range t.Players {
		keys = append(keys, accountKey(t.Game, ledger.AccountID(p)))
	}
	for _, u := range t.Uniques {
		keys = append(keys, uniqueKey(t.Game, u))
	}
	found, err := l.batch(ctx, keys)
	if err != nil {
		return s, err
	}
	if s.Record, err = recordOf(found[0]); err != nil {
		return s, err
	}
	found = found[1:]
	if t.Refunds != nil {
		if s.Refunded, err = recordOf(found[0]); err != nil {
			return s, err
		}
		found = found[1:]
	}
	for n, p := range t.Players {
		s.Players = append(s.Players, accountOf(ledger.AccountID(p), found[n]))
	}
	for n := range t.Uniques {
		s.Owned = append(s.Owned, movesOf(found[len(t.Players)+n]))
	}
	return s, nil
}

// batch reads items, in their order; nil: it is not there.
func (l Ledger) batch(ctx context.Context, keys []item) ([]item, error) {
	name := func(i item) string { return i.text("pk") + "\x00" + i.text("sk") }
	in := types.KeysAndAttributes{ConsistentRead: aws.Bool(true)}
	for _, k := range keys {
		in.Keys = append(in.Keys, k)
	}
	out, err := request(ctx, l.s, func(ctx context.Context, in *dynamodb.BatchGetItemInput) (*dynamodb.BatchGetItemOutput, error) {
		return l.s.client.BatchGetItem(ctx, in)
	}, &dynamodb.BatchGetItemInput{RequestItems: map[string]types.KeysAndAttributes{l.s.economy: in}})
	if err != nil {
		return nil, err
	}
	if len(out.UnprocessedKeys) > 0 { // throttled, or too large: not all of one moment anyway
		return nil, errChanged
	}
	found := map[string]item{}
	for _, i := range out.Responses[l.s.economy] {
		found[name(i)] = i
	}
	list := make([]item, len(keys))
	for n, k := range keys {
		list[n] = found[name(k)]
	}
	return list, nil
}

// movesOf is how many moves a unique item has made; 0: it is not there. Those of
// before do not say.
func movesOf(i item) uint64 {
	if i == nil {
		return 0
	}
	return uint64(max(i.number("m"), 1))
}

func recordOf(i item) (*ledger.Record, error) {
	if i == nil {
		return nil, nil //nolint:nilnil // there is none
	}
	r, err := ledger.DecodeRecord([]byte(i.text("d")))
	return &r, err
}

// writes is the transaction.
func (l Ledger) writes(t ledger.Touch, was ledger.State, out ledger.Outcome) []types.TransactWriteItem {
	w := transaction{table: l.s.economy}
	record := recordKey(t.Game, t.Key)
	record["d"] = text(string(ledger.EncodeRecord(out.Record)))
	if t.Copied {
		record[copied] = flag(true)
	}
	w.put(record, "attribute_not_exists(pk)", nil)
	for n, a := range out.Players {
		i := accountKey(t.Game, a.ID)
		i["v"], i["f"], i["n"], i["u"] = number(was.Players[n].Revision+1), number(a.Fence), number(a.Entries), number(a.Uniques)
		for name, count := range a.Balances {
			i[balance+string(name)] = number(count)
		}
		if was.Players[n].Revision == 0 {
			w.put(i, "attribute_not_exists(pk)", nil)
		} else {
			w.put(i, "v = :v", item{":v": number(was.Players[n].Revision)})
		}
		w.entry(t.Game, a.ID, out.Record)
	}
	if lines := ledger.LinesOf(t.House, out.Record.Lines); len(lines) > 0 {
		w.house(accountKey(t.Game, t.House), lines)
		w.entry(t.Game, t.House, out.Record)
	}
	for _, m := range out.Moves {
		if m.From != "" {
			w.remove(uniqueKey(t.Game, ledger.Unique{Player: m.From, Item: m.Item}))
		}
		if m.To != "" {
			i := uniqueKey(t.Game, ledger.Unique{Player: m.To, Item: m.Item})
			i["m"] = number(m.Nth)
			w.put(i, "attribute_not_exists(pk)", nil)
		}
	}
	if out.Refunded != nil {
		back := recordKey(t.Game, *t.Refunds)
		back["d"], back["b"] = text(string(ledger.EncodeRecord(*out.Refunded))), flag(true)
		w.put(back, "attribute_exists(pk) AND attribute_not_exists(b)", nil)
	}
	return w.items
}

// transaction gathers writes.
type transaction struct {
	table string
	items []types.TransactWriteItem
}

func (w *transaction) put(i item, condition string, values item) {
	p := &types.Put{TableName: &w.table, Item: i, ExpressionAttributeValues: values}
	if condition != "" {
		p.ConditionExpression = &condition
	}
	w.items = append(w.items, types.TransactWriteItem{Put: p})
}

func (w *transaction) remove(key item) {
	w.items = append(w.items, types.TransactWriteItem{Delete: &types.Delete{
		TableName: &w.table, Key: key, ConditionExpression: aws.String("attribute_exists(pk)"),
	}})
}

func (w *transaction) entry(g throng.GameID, a ledger.AccountID, r ledger.Record) {
	e := ledger.EntryOf(a, r)
	i := entryKey(g, a, e)
	i["d"] = text(string(ledger.EncodeEntry(e)))
	w.put(i, "", nil)
}

// house adds to a stripe, whatever is there.
func (w *transaction) house(key item, lines []ledger.Line) {
	sums := map[throng.ItemID]int64{}
	for _, line := range lines {
		sums[line.Item] += line.Change
	}
	names, values := map[string]string{}, item{":one": number(1)}
	add := []string{"v :one", "n :one"}
	for name, sum := range sums {
		n := fmt.Sprint(len(names))
		names["#b"+n], values[":d"+n] = balance+string(name), number(sum)
		add = append(add, "#b"+n+" :d"+n)
	}
	w.items = append(w.items, types.TransactWriteItem{Update: &types.Update{
		TableName: &w.table, Key: key, UpdateExpression: aws.String("ADD " + strings.Join(add, ", ")),
		ExpressionAttributeNames: names, ExpressionAttributeValues: values,
	}})
}

// Fence sets a player's fence.
func (l Ledger) Fence(ctx context.Context, g throng.GameID, p throng.PlayerID, e throng.Epoch) error {
	key := accountKey(g, ledger.AccountID(p))
	return l.s.again(ctx, "fence a wallet", func(ctx context.Context) error {
		_, err := l.s.update(ctx, &dynamodb.UpdateItemInput{
			TableName: &l.s.economy, Key: key, UpdateExpression: aws.String("SET f = :f ADD v :one"),
			ConditionExpression:       aws.String("attribute_not_exists(f) OR f < :f"),
			ExpressionAttributeValues: item{":f": number(e), ":one": number(1)},
		})
		if !refused(err) {
			return err
		}
		i, err := l.s.get(ctx, l.s.economy, key)
		if err != nil {
			return err
		}
		if fence := throng.Epoch(i.number("f")); fence > e {
			return ledger.Fenced(p, fence, e)
		}
		return nil
	})
}
