package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/bolt"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/dynamo"
	"github.com/throng-gg/throng/home"
	"github.com/throng-gg/throng/ledger"
	"github.com/throng-gg/throng/place"
	"github.com/throng-gg/throng/profile"
	"github.com/throng-gg/throng/script"
	"github.com/throng-gg/throng/session"
)

// ownFile is where a control plane without DynamoDB keeps what players own.
const ownFile = "throng.db"

// dynamoSettled is longer than a transfer is tried for.
const dynamoSettled = 30 * time.Second

// ownStore keeps what players own.
type ownStore struct {
	profiles profile.Mirror
	ledger   interface {
		ledger.Store
		ledger.Catalogs
		ledger.Books
	}
	home    home.Store     // who writes it
	outbox  ledger.Outbox  // of what was committed; nil: nothing is published
	bans    banStore       // nil: they are not kept here
	shards  consumer.Store // of consumers of events, for all control planes together; nil: each has its own
	copies  consumer.Store // of what comes from other regions
	settled time.Duration  // see ledger.AuditConfig
	close   func() error
}

// openOwn opens it as the flags say: nil where several control planes share a
// folder and have nothing that they could share it in.
func (g *ground) openOwn(ctx context.Context) (*ownStore, error) {
	if g.flags.Dynamo != "" {
		tables, err := dynamo.New(ctx, dynamo.Config{URL: g.flags.Dynamo})
		if err != nil {
			return nil, fmt.Errorf("--dynamo: %w", err)
		}
		return &ownStore{
			profiles: tables.Profiles(), ledger: tables.Ledger(), home: tables, outbox: tables.Outbox(processName()), shards: tables.Shards(), copies: tables.Shards(),
			settled: dynamoSettled, close: func() error { return nil },
		}, nil
	}
	if g.flags.Redis != "" {
		g.logger.WarnContext(ctx, "nothing of what players own is kept, there are neither profiles nor a ledger: "+
			"control planes that share --redis need --dynamo as well")
		return nil, nil //nolint:nilnil // nothing is kept
	}
	file, err := bolt.Open(bolt.Config{Path: filepath.Join(g.flags.Data, ownFile), Outbox: g.flags.Kafka != ""})
	if err != nil {
		return nil, fmt.Errorf("--data: %w", err)
	}
	if err := os.WriteFile(filepath.Join(g.flags.Data, doorFile), []byte(g.url+"\n"), 0o600); err != nil {
		return nil, errors.Join(fmt.Errorf("--data: %w", err), file.Close())
	}
	return &ownStore{
		profiles: file.Profiles(), ledger: file.Ledger(), home: file, outbox: file.Ledger(), bans: file.Bans(0), copies: file.Shards(), close: file.Close,
	}, nil
}

// own is the parts that keep what players own.
type own struct {
	store    *ownStore
	profiles *profile.Profiles
	ledger   *ledger.Ledger
	relay    *ledger.Relay // nil: nothing is published
}

// buildOwn makes them; nothing when nothing is kept.
func (c *control) buildOwn() (err error) {
	store := c.cfg.stores.own
	if store == nil {
		return nil
	}
	c.own = &own{store: store}
	c.own.ledger, err = ledger.New(ledger.Config{
		Store: store.ledger, Catalogs: store.ledger, Now: time.Now, Logger: c.cfg.logger.With("part", "ledger"), Metrics: c.cfg.metrics,
	})
	if err != nil {
		return err
	}
	if c.copied, err = newCopied(c); err != nil {
		return err
	}
	if c.events != nil {
		relay := ledger.RelayConfig{
			Outbox: store.outbox, Log: c.events.Log, Region: c.cfg.region.ID, Logger: c.cfg.logger.With("part", "ledger"), Metrics: c.cfg.metrics,
		}
		if c.copied != nil {
			relay.Term = c.copied.term
		}
		if c.own.relay, err = ledger.NewRelay(relay); err != nil {
			return err
		}
	}
	profiles := profile.Config{
		Store: store.profiles, Wallets: c.own.ledger, Flusher: flusher{registry: c.registry, courier: c.fleet.Deliver}, Region: c.cfg.region,
		Now: time.Now, Logger: c.cfg.logger.With("part", "profile"), Metrics: c.cfg.metrics,
	}
	if c.copied != nil {
		c.copied.relay, profiles.Changes = c.own.relay, c.copied.copier
	}
	c.own.profiles, err = profile.New(profiles)
	return err
}

// Audit proves the ledger's books.
func (o *own) Audit(ctx context.Context) (throng.AuditReport, error) {
	return ledger.Audit(ctx, ledger.AuditConfig{Books: o.store.ledger, Now: time.Now, Settled: o.store.settled})
}

// flusher asks the server of a session for a player's profile. The order has no
// number: nobody repeats it, and nobody counts on it.
type flusher struct {
	registry *session.Registry
	courier  func(throng.SessionID, throng.ServerID, throng.Order)
}

// Flush sends the order, if the session has a server.
func (f flusher) Flush(ctx context.Context, id throng.SessionID, p throng.PlayerID, e throng.Epoch) {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	s, err := f.registry.Session(ctx, id)
	if err != nil || s.Server == "" {
		return
	}
	f.courier(id, s.Server, throng.Order{Kind: throng.OrderFlush, Player: p, Epoch: e, Reason: "another session of the player wants his profile"})
}

// checkFiles compiles a place's scripts and reads its catalog, before anything is
// stored.
func checkFiles(files map[string][]byte, entry string) error {
	err := script.Check(files, entry)
	if file, ok := files[ledger.CatalogFile]; ok {
		_, wrong := ledger.ParseCatalog(file)
		err = errors.Join(err, wrong, ownCatalog(files[place.ManifestFile]))
	}
	return err
}

// ownCatalog says whether a place of this manifest may bring a catalog: not if it
// shares another's game.
func ownCatalog(manifest []byte) error {
	m, err := place.ParseManifest(manifest)
	if err == nil && m.Game != "" {
		err = throng.AtField(throng.Invalid, ledger.CatalogFile, "belongs to the game, which is %s: publish it there", m.Game)
	}
	return err
}

// publisher is the catalog of places; what a place that is published says of its
// game's economy counts once Publish has returned.
type publisher struct {
	*place.Catalog
	ledger *ledger.Ledger // nil: nothing is kept
}

// Publish makes an upload live, and then its catalog.
func (p publisher) Publish(
	ctx context.Context, by throng.Editor, id throng.PlaceID, upload io.Reader, how throng.Publication,
) (throng.Published, error) {
	release, err := p.Catalog.Publish(ctx, by, id, upload, how)
	if err != nil || p.ledger == nil {
		return release, err
	}
	body, _, err := p.Package(ctx, release.Package)
	if err != nil {
		return release, err
	}
	defer body.Close()
	files, err := place.Unpack(body, release.Package)
	if err != nil {
		return release, err
	}
	file, ok := files[ledger.CatalogFile]
	if !ok {
		return release, nil
	}
	if _, err := p.ledger.SetCatalog(ctx, release.Keeps(), bytes.Clone(file)); err != nil {
		return release, fmt.Errorf("version %d is live, but its catalog is not: %w", release.Version, err)
	}
	return release, nil
}
