package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/home"
	"github.com/throng-gg/throng/ledger"
	"github.com/throng-gg/throng/profile"
)

const (
	callOwned = "owned"
	callYield = "yield"
	// heldTime is how long a checkout waits for an older holder.
	heldTime = profile.FlushTime
)

// Owned is what another region does with what players own.
func (d *regionDoors) Owned(r throng.RegionID) home.Owned {
	door, err := d.door(r)
	if err != nil {
		return nowhere{err}
	}
	return door.Owned(func(ctx context.Context, call func(context.Context) error) error {
		return d.breakers.Do(ctx, d.key(r, callOwned), heldTime, call)
	})
}

// Yield tells another region who is home. An operator asked for it, so that a region
// that fails is asked all the same.
func (d *regionDoors) Yield(ctx context.Context, r throng.RegionID, h throng.Home) error {
	door, err := d.door(r)
	if err != nil {
		return err
	}
	return door.Yield(ctx, h)
}

// nowhere is a home that is not among the regions that are known.
type nowhere struct{ err error }

func (n nowhere) away() error {
	return throng.RetryLater(throng.Unavailable, time.Second, "the home of what players own cannot be asked: %w", n.err)
}

func (n nowhere) Checkout(context.Context, throng.ProfileClaim) (throng.Profile, error) {
	return throng.Profile{}, n.away()
}

func (n nowhere) Save(context.Context, throng.ProfileClaim, throng.Revision, []byte) error {
	return n.away()
}

func (n nowhere) Return(context.Context, throng.ProfileClaim, throng.Revision, []byte) error {
	return n.away()
}

func (n nowhere) Get(context.Context, throng.ProfileKey, throng.Revision) (throng.Profile, error) {
	return throng.Profile{}, n.away()
}

func (n nowhere) Saves(context.Context, throng.ProfileKey) ([]throng.ProfileSave, error) {
	return nil, n.away()
}

func (n nowhere) Restore(context.Context, throng.ProfileKey, throng.Revision) (throng.Revision, error) {
	return 0, n.away()
}

func (n nowhere) Post(context.Context, throng.TransferOrder) (throng.Receipt, error) {
	return throng.Receipt{}, n.away()
}

func (n nowhere) Inventory(context.Context, throng.GameID, throng.PlayerID) (throng.Holding, error) {
	return throng.Holding{}, n.away()
}

func (n nowhere) Entries(context.Context, throng.GameID, throng.PlayerID, time.Time, int) ([]throng.LedgerEntry, error) {
	return nil, n.away()
}

// ownHere is the own stores.
type ownHere struct {
	*profile.Profiles
	ledgerHere
}

// ledgerHere is the ledger without what profile.Profiles has by the same name.
type ledgerHere struct{ *ledger.Ledger }

// homes is the parts of a region whose profiles and ledger have a home. Nil: it keeps
// what its own players own.
type homes struct{ *home.Homes }

// buildHome makes them once stores and regions are there; nothing without --home.
func (c *control) buildHome() error {
	first := throng.RegionID(c.cfg.flags.Home)
	switch {
	case first == "":
		return nil
	case c.own == nil:
		return throng.AtField(throng.Invalid, "--home", "goes with --dynamo where there is --redis: nothing of what players own is kept")
	case c.cfg.peers == nil:
		return throng.AtField(throng.Invalid, "--home", "goes with --peers: there is no other region")
	case first != c.cfg.region.ID && !slices.Contains(c.cfg.peers.ids, first):
		return throng.AtField(throng.Invalid, "--home", "%s is neither this region nor one of --peers", first)
	}
	cfg := home.Config{
		Own: c.cfg.region, First: first, Store: c.own.store.home, Regions: c.cfg.peers, Local: ownHere{c.own.profiles, ledgerHere{c.own.ledger}},
		Logger: c.cfg.logger.With("part", "home"), Metrics: c.cfg.metrics,
	}
	if c.copied != nil {
		cfg.Copies = c.copied
	}
	h, err := home.New(cfg)
	if err != nil {
		return err
	}
	if c.homes = (&homes{h}); c.copied != nil {
		c.copied.homes = h
	}
	return nil
}

// openOwned connects the door to what players own, here or at home.
func (c *control) openOwned(out *api.Config) {
	if c.own == nil {
		return
	}
	out.Auditor, out.Seats = c.own, c.registry
	if c.homes == nil {
		out.Profiles, out.Saves, out.Ledger = c.own.profiles, c.own.profiles, c.own.ledger
		return
	}
	owned := c.homes.Anywhere()
	out.Profiles, out.Saves, out.Ledger, out.Home = owned, owned, owned, c.homes
}

// Here is what other regions' doors may call.
func (h *homes) Here() api.Owned { return h.Homes.Here() }

// run learns who is home until ctx ends.
func (h *homes) run(ctx context.Context) error {
	if h == nil {
		return nil
	}
	return h.Run(ctx)
}

// copyWords is said of what the home did not answer.
const copyWords = "the region that this is written in is away: this is a copy, which may be old"

// homeCmd shows and changes which region is the home.
type homeCmd struct {
	Show    homeShowCmd    `cmd:"" default:"withargs" help:"Print which region is the home, as the door's region knows it, and how old its copy is."`
	Promote homePromoteCmd `cmd:"" help:"Make the door's region the home. One that is heard is told first and loses nothing; one that is lost is fenced once it is back."`
	Losses  homeLossesCmd  `cmd:"" help:"List transfers that an earlier home wrote and the one after it never got."`
}

type homeShowCmd struct {
	JSON bool `help:"Print JSON."`
	doorFlags
}

// Run prints it.
func (c *homeShowCmd) Run(e *env) error {
	door, err := c.door(e, "operator", api.RoleOperator)
	if err != nil {
		return err
	}
	s, err := door.Home(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.out, s)
	}
	return printHome(e, s)
}

func printHome(e *env, s gen.HomeState) error {
	writes := ""
	if s.Region == s.Own && !s.Writes {
		writes = ", which takes no writes yet"
	}
	fmt.Fprintf(e.out, "home is %s, term %d%s; says %s\n", s.Region, s.Term>>8, writes, s.Own)
	w := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "REGION\tHEARD\tITS HOME\tITS WRITES HERE")
	for _, p := range s.Regions {
		heard, says, behind := "no", "-", "not known"
		if p.Heard {
			heard = "yes"
		}
		if p.Home.Region != "" {
			says = fmt.Sprintf("%s, term %d", p.Home.Region, p.Home.Term>>8)
		}
		if p.BehindMs != nil {
			behind = fmt.Sprintf("as of %s ago", (time.Duration(*p.BehindMs) * time.Millisecond).Round(100*time.Millisecond))
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", p.Region, heard, says, behind)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if s.Losses > 0 {
		fmt.Fprintf(e.out, "%d transfers of earlier homes never got here: throng home losses\n", s.Losses)
	}
	return nil
}

type homePromoteCmd struct {
	Force bool `help:"Also if the home is heard and cannot be told, if its last writes do not come, or if there is no copy: what is missing here is lost."`
	JSON  bool `help:"Print JSON."`
	doorFlags
}

// Run makes the region the home, and proves its books.
func (c *homePromoteCmd) Run(e *env) error {
	door, err := c.door(e, "operator", api.RoleOperator)
	if err != nil {
		return err
	}
	s, err := door.PromoteHome(e.ctx, c.Force)
	if err != nil {
		return err
	}
	if c.JSON {
		err = writeJSON(e.out, s)
	} else {
		err = printHome(e, s)
	}
	if err != nil {
		return err
	}
	report, err := door.Audit(e.ctx)
	if err != nil {
		return fmt.Errorf("the region is the home, but its books were not proven (throng audit does): %w", err)
	}
	if !c.JSON {
		(&auditCmd{}).text(e, report)
	}
	if report.Sum != 0 || len(report.Problems) > 0 {
		return errors.New("the region is the home, but its books are not right")
	}
	return nil
}

type homeLossesCmd struct {
	JSON bool `help:"Print JSON."`
	doorFlags
}

// Run lists them.
func (c *homeLossesCmd) Run(e *env) error {
	door, err := c.door(e, "operator", api.RoleOperator)
	if err != nil {
		return err
	}
	list, err := door.HomeLosses(e.ctx)
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.out, list)
	}
	if len(list.Losses) == 0 {
		fmt.Fprintln(e.out, "nothing is known to be lost")
		return nil
	}
	w := tabwriter.NewWriter(e.out, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "AT\tGAME\tPLAYER\tKIND\tID\tGOT")
	for _, l := range list.Losses {
		t := l.Transfer
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", t.At.Format(time.RFC3339), l.Game, t.First, t.Kind, t.ID, itemWords(t.Changes))
	}
	return w.Flush()
}
