package main

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// ledgerCmd shows what a player owns in a place's game, and gives.
type ledgerCmd struct {
	Show   ledgerShowCmd   `cmd:"" default:"withargs" help:"Print what a player owns, and his newest transfers."`
	Reward ledgerRewardCmd `cmd:"" help:"Give a player something, in or out of a session."`
	Refund ledgerRefundCmd `cmd:"" help:"Undo a purchase, once: the price comes back, what it bought goes."`
}

type ledgerShowCmd struct {
	ownedBy
	Limit int  `default:"20" help:"How many transfers at most, up to 200."`
	JSON  bool `help:"Print JSON."`
	creatorFlags
}

// Run prints both.
func (c *ledgerShowCmd) Run(e *env) error {
	o, err := c.open(e, c.creatorFlags)
	if err != nil {
		return err
	}
	has, err := o.door.Inventory(e.ctx, o.place, o.player)
	if err != nil {
		return err
	}
	if has.Copy {
		fmt.Fprintln(e.err, copyWords)
	}
	list, err := o.door.Transfers(e.ctx, o.place, o.player, c.Limit)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.out, struct {
			gen.Inventory
			Transfers []gen.TransferInfo `json:"transfers"`
		}{has, list.Transfers})
	}
	fmt.Fprintf(e.out, "%s has %s\n", o.player, itemWords(has.Items))
	w := tabwriter.NewWriter(e.out, 0, 0, 2, ' ', 0)
	for _, t := range list.Transfers {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", t.At.Format(time.RFC3339), t.Kind, t.ID, itemWords(t.Changes))
	}
	return w.Flush()
}

func itemWords(items map[string]int64) string {
	if len(items) == 0 {
		return "nothing"
	}
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(items)) {
		parts = append(parts, strconv.FormatInt(items[name], 10)+" "+name)
	}
	return strings.Join(parts, ", ")
}

type ledgerRewardCmd struct {
	ownedBy
	Items []string `arg:"" help:"How many of what, like gold=50."`
	ID    string   `required:"" help:"Of the transfer: repeated with the same ID nothing more is given."`
	JSON  bool     `help:"Print JSON."`
	creatorFlags
}

// Run posts the reward.
func (c *ledgerRewardCmd) Run(e *env) error {
	t := throng.Transfer{ID: throng.TransferID(c.ID), Kind: throng.TransferReward}
	for _, item := range c.Items {
		name, count, _ := strings.Cut(item, "=")
		n, err := strconv.ParseInt(count, 10, 64)
		if err != nil {
			return throng.AtField(throng.Invalid, "ITEMS", "%.80q is not like gold=50", item)
		}
		t.Gives = append(t.Gives, throng.Amount{Item: throng.ItemID(name), Count: n})
	}
	return c.post(e, c.ownedBy, t, c.JSON)
}

type ledgerRefundCmd struct {
	ownedBy
	Purchase string `arg:"" help:"ID of the purchase."`
	ID       string `required:"" help:"Of the refund itself."`
	JSON     bool   `help:"Print JSON."`
	creatorFlags
}

// Run posts the refund.
func (c *ledgerRefundCmd) Run(e *env) error {
	t := throng.Transfer{ID: throng.TransferID(c.ID), Kind: throng.TransferRefund, Refunds: throng.TransferID(c.Purchase)}
	return c.post(e, c.ownedBy, t, c.JSON)
}

// post posts a transfer as an owner of the place, and prints the receipt.
func (f creatorFlags) post(e *env, of ownedBy, t throng.Transfer, asJSON bool) error {
	o, err := of.open(e, f)
	if err != nil {
		return err
	}
	t.First.Player = o.player
	receipt, err := o.door.PostTransfer(e.ctx, o.place, t)
	switch {
	case err != nil:
		return err
	case asJSON:
		return writeJSON(e.out, receipt)
	}
	for _, h := range receipt.Holdings {
		fmt.Fprintf(e.out, "%s: %s has %s\n", receipt.ID, h.Player, itemWords(h.Items))
	}
	return nil
}
