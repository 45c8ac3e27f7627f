package copies

import (
	"context"
	"fmt"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/ledger"
)

const (
	mostLosses = 10_000 // that are kept. Full: more are told, and not kept
	lossTries  = 10     // to write beside other control planes
)

// losses is where they are kept.
var losses = consumer.Shard{Group: "copies-lost", Stream: throng.StreamCopies} //nolint:gochecknoglobals // a constant

// Losses are the transfers that a region posted while it was the home and that this
// region, which followed it, never got; at most 10,000, by game, player and transfer.
func (c *Copies) Losses(ctx context.Context) ([]ledger.Posting, error) {
	var list []ledger.Posting
	_, _, err := c.cfg.Store.Load(ctx, losses, func(row consumer.Row) error {
		lost, err := parseRow(row)
		if err == nil {
			list = append(list, lost.posting)
		}
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("losses: %w", err)
	}
	return list, nil
}

// keepLost adds to them, each once.
func (c *Copies) keepLost(ctx context.Context, gone []result) error {
	if len(gone) == 0 {
		return nil
	}
	var err error
	for range lossTries {
		known := map[string]bool{}
		var mark consumer.Mark
		mark, _, err = c.cfg.Store.Load(ctx, losses, func(row consumer.Row) error {
			known[row.Key] = true
			return nil
		})
		if err != nil {
			break
		}
		commit := consumer.Commit{Mark: consumer.Mark{Number: mark.Number + 1}}
		for _, r := range gone {
			if !known[r.copied.key] && len(known) < mostLosses {
				known[r.copied.key] = true
				commit.Rows = append(commit.Rows, consumer.Row{Key: r.copied.key, Value: r.copied.data})
			}
		}
		if len(commit.Rows) == 0 {
			return nil
		}
		if err = c.cfg.Store.Commit(ctx, losses, commit); err == nil || throng.KindOf(err) != throng.Conflict {
			break
		}
	}
	if err != nil {
		return fmt.Errorf("keep what is lost: %w", err)
	}
	return nil
}
