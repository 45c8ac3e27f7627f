package dynamo

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/dynamodb"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
)

// last is past all names.
const last = "~"

// Account returns an account.
func (l Ledger) Account(ctx context.Context, g throng.GameID, id ledger.AccountID) (a ledger.Account, err error) {
	err = l.s.again(ctx, "look at an account", func(ctx context.Context) error {
		i, err := l.s.get(ctx, l.s.economy, accountKey(g, id))
		a = accountOf(id, i)
		return err
	})
	return a, err
}

// Uniques lists a player's unique items.
func (l Ledger) Uniques(ctx context.Context, g throng.GameID, p throng.PlayerID, after throng.ItemID, limit int) (list []throng.ItemID, err error) {
	err = l.s.again(ctx, "list items", func(ctx context.Context) error {
		list = nil
		low := "U#" + string(after) + "!" // before every name that goes on
		if after == "" {
			low = "U#"
		}
		return l.s.query(ctx, span{l.s.economy, ownerPK(g, ledger.AccountID(p)), low, "U#" + last}, queryOptions{limit: limit, visit: func(i item) (bool, error) {
			list = append(list, throng.ItemID(strings.TrimPrefix(i.text("sk"), "U#")))
			return len(list) < limit, nil
		}})
	})
	return list, err
}

// Entries lists the newest of an account.
func (l Ledger) Entries(ctx context.Context, g throng.GameID, a ledger.AccountID, before time.Time, limit int) (list []ledger.Entry, err error) {
	high := "E#" + last
	if !before.IsZero() {
		high = fmt.Sprintf("E#%016x%s", before.UnixMilli(), last)
	}
	err = l.s.again(ctx, "list transfers", func(ctx context.Context) error {
		list = nil
		return l.s.query(ctx, span{l.s.economy, ownerPK(g, a), "E#", high}, queryOptions{newest: true, limit: limit, visit: func(i item) (bool, error) {
			e, err := ledger.DecodeEntry(a, []byte(i.text("d")))
			list = append(list, e)
			return len(list) < limit, err
		}})
	})
	return list, err
}

// Record returns a transfer.
func (l Ledger) Record(ctx context.Context, g throng.GameID, k ledger.Key) (r ledger.Record, err error) {
	err = l.s.again(ctx, "look at a transfer", func(ctx context.Context) error {
		i, err := l.s.get(ctx, l.s.economy, recordKey(g, k))
		if err != nil {
			return err
		}
		found, err := recordOf(i)
		switch {
		case err != nil:
			return err
		case found == nil:
			return throng.Errorf(throng.NotFound, "%s has no transfer %s", k.Player, k.ID)
		}
		r = *found
		return nil
	})
	return r, err
}

// Catalog returns a game's.
func (l Ledger) Catalog(ctx context.Context, g throng.GameID) (c ledger.Catalog, err error) {
	err = l.s.again(ctx, "read a catalog", func(ctx context.Context) error {
		i, err := l.s.get(ctx, l.s.catalog, item{"pk": text(string(g))})
		switch {
		case err != nil:
			return err
		case i == nil:
			return throng.Errorf(throng.NotFound, "game %s has no catalog", g)
		}
		if err := json.Unmarshal([]byte(i.text("d")), &c); err != nil {
			return throng.Errorf(throng.Internal, "the catalog of %s cannot be read: %w", g, err)
		}
		return nil
	})
	return c, err
}

// SetCatalog replaces a game's.
func (l Ledger) SetCatalog(ctx context.Context, g throng.GameID, c ledger.Catalog) error {
	was := c.Revision
	c.Revision++
	data, err := json.Marshal(c)
	if err != nil {
		return throng.Errorf(throng.Internal, "write a catalog: %w", err)
	}
	return l.s.again(ctx, "set a catalog", func(ctx context.Context) error {
		i, err := l.s.get(ctx, l.s.catalog, item{"pk": text(string(g))})
		if err != nil {
			return err
		}
		if now := throng.Revision(i.number("v")); now != was {
			if now == c.Revision && i.text("d") == string(data) { // the first try got through
				return nil
			}
			return throng.Errorf(throng.Conflict, "the catalog of %s has revision %d, not %d", g, now, was)
		}
		return changed(l.s.put(ctx, &dynamodb.PutItemInput{
			TableName: &l.s.catalog, Item: item{"pk": text(string(g)), "v": number(c.Revision), "d": text(string(data))},
			ConditionExpression:       aws.String("v = :was OR (:was = :zero AND attribute_not_exists(pk))"),
			ExpressionAttributeValues: item{":was": number(was), ":zero": number(0)},
		}))
	})
}

// Still says that Walk does not show one moment.
func (l Ledger) Still() bool { return false }

// Walk shows the whole table, owner by owner.
func (l Ledger) Walk(ctx context.Context, visit func(ledger.Row) error) error {
	in := &dynamodb.ScanInput{TableName: &l.s.economy, ConsistentRead: aws.Bool(true)}
	for {
		var out *dynamodb.ScanOutput
		err := l.s.again(ctx, "walk the ledger", func(ctx context.Context) (err error) {
			out, err = request(ctx, l.s, func(ctx context.Context, in *dynamodb.ScanInput) (*dynamodb.ScanOutput, error) {
				return l.s.client.Scan(ctx, in)
			}, in)
			return err
		})
		if err != nil {
			return err
		}
		for _, i := range out.Items {
			if err := show(i, visit); err != nil {
				return err
			}
		}
		if len(out.LastEvaluatedKey) == 0 {
			return nil
		}
		in.ExclusiveStartKey = out.LastEvaluatedKey
	}
}

// WalkOwner shows the rows of one owner.
func (l Ledger) WalkOwner(ctx context.Context, g throng.GameID, a ledger.AccountID, visit func(ledger.Row) error) error {
	var rows []item
	err := l.s.again(ctx, "walk an account", func(ctx context.Context) error {
		rows = nil
		return l.s.query(ctx, span{l.s.economy, ownerPK(g, a), "A", last}, queryOptions{visit: func(i item) (bool, error) {
			rows = append(rows, i)
			return true, nil
		}})
	})
	for _, i := range rows {
		if err == nil {
			err = show(i, visit)
		}
	}
	return err
}

// show makes a row of an item.
func show(i item, visit func(ledger.Row) error) error {
	game, owner, _ := strings.Cut(i.text("pk"), "/")
	row := ledger.Row{Game: throng.GameID(game), Owner: ledger.AccountID(owner)}
	sk := i.text("sk")
	switch {
	case sk == "A":
		a := accountOf(row.Owner, i)
		row.Account = &a
	case strings.HasPrefix(sk, "E#"):
		e, err := ledger.DecodeEntry(row.Owner, []byte(i.text("d")))
		if err != nil {
			return err
		}
		row.Entry = &e
	case strings.HasPrefix(sk, "R#"):
		r, err := recordOf(i)
		if err != nil {
			return err
		}
		row.Record = r
	case strings.HasPrefix(sk, "U#"):
		row.Unique = throng.ItemID(strings.TrimPrefix(sk, "U#"))
	default:
		return throng.Errorf(throng.Internal, "%s has a row %q, which is none of ours", i.text("pk"), sk)
	}
	return visit(row)
}
