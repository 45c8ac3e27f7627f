package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/cmd/command"
	"github.com/throng-gg/throng/edge/breaker"
	regions "github.com/throng-gg/throng/region"
)

// maxPeerTokens bounds the file of tokens.
const maxPeerTokens = 256 << 10 // bytes

// peersFlags say which other regions the deployment has.
type peersFlags struct {
	Peers []string `help:"The other regions of the deployment, by the URLs of their doors; one with several doors stands there once for each." placeholder:"REGION=URL,..."`
	presenceFlags
	PeerTokens string `type:"path" help:"File with the credential that each of them made for this region (throng token region), a line REGION=TOKEN each. It is read again when it changes." placeholder:"FILE"`
}

// others returns the URLs of the other regions' doors, with commas between those of
// one. Invalid: they are not the other regions of one.
func (f peersFlags) others(own throng.RegionID) (map[throng.RegionID]string, error) {
	if (len(f.Peers) == 0) != (f.PeerTokens == "") {
		return nil, throng.AtField(throng.Invalid, "--peers", "and --peer-tokens are needed both")
	}
	doors := map[throng.RegionID]string{}
	for _, one := range f.Peers {
		name, addr, _ := strings.Cut(strings.TrimSpace(one), "=")
		id, err := throng.ParseRegionID("--peers", name)
		if err != nil {
			return nil, err
		}
		if id == own {
			return nil, throng.AtField(throng.Invalid, "--peers", "%s is this region itself", id)
		}
		url, err := command.DoorURL(addr)
		if err != nil {
			return nil, throng.AtField(throng.Invalid, "--peers", "%q of region %s is not allowed, it must be a URL like https://eu.example.com", clipText(addr), id)
		}
		if before := doors[id]; before != "" {
			url = before + "," + url
		}
		doors[id] = url
	}
	if len(doors) >= throng.MaxRegions {
		return nil, throng.AtField(throng.Invalid, "--peers", "%d regions are too many, %d are allowed", len(doors), throng.MaxRegions-1)
	}
	return doors, nil
}

// peerTokens are credentials by the region that made them.
type peerTokens map[throng.RegionID]string

// readPeerTokens reads what other regions made for one. Its errors name the line
// and tell no token.
func readPeerTokens(name string, own throng.RegionID, peers []throng.RegionID) (peerTokens, error) {
	bad := func(format string, args ...any) error {
		return throng.AtField(throng.Invalid, "--peer-tokens", "%s", name+": "+fmt.Sprintf(format, args...))
	}
	f, err := os.Open(name)
	if err != nil {
		return nil, throng.AtField(throng.Invalid, "--peer-tokens", "%w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, maxPeerTokens+1))
	if err != nil {
		return nil, throng.AtField(throng.Invalid, "--peer-tokens", "%w", err)
	}
	if len(text) > maxPeerTokens {
		return nil, bad("is larger than %d bytes", maxPeerTokens)
	}
	tokens, number := peerTokens{}, 0
	for line := range strings.Lines(string(text)) {
		number++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		region, token, _ := strings.Cut(line, "=")
		id, err := throng.ParseRegionID("", strings.TrimSpace(region))
		if err != nil {
			return nil, bad("line %d does not begin with a region's name and =", number)
		}
		if _, twice := tokens[id]; twice {
			return nil, bad("line %d: %s is there twice", number, id)
		}
		token = strings.TrimSpace(token)
		var claims jwt.RegisteredClaims // whether it is good is for the other door to say
		if _, _, err := jwt.NewParser().ParseUnverified(token, &claims); err != nil || claims.Subject != string(own) {
			return nil, bad("line %d: is no credential of region %s: make it with throng token region --name %s, in region %s", number, own, own, id)
		}
		tokens[id] = token
	}
	for _, id := range peers {
		if tokens[id] == "" {
			return nil, bad("has no line for region %s", id)
		}
	}
	return tokens, nil
}

// tokens reads them when it is asked, and again when they change.
func (f peersFlags) tokens(own throng.RegionID, peers []throng.RegionID, logger *slog.Logger) *command.Watched[peerTokens] {
	return &command.Watched[peerTokens]{What: "credentials for other regions", Files: []string{f.PeerTokens}, Logger: logger, Load: func() (peerTokens, error) {
		return readPeerTokens(f.PeerTokens, own, peers)
	}}
}

// newPeers makes what knows the other regions; nil: there are none. over makes the
// calls of one; nil: the defaults.
func (f peersFlags) newPeers(g *ground, over func(throng.RegionID) *http.Client) (*elsewhere, error) {
	doors, err := f.others(g.region.ID)
	if err != nil || len(doors) == 0 {
		return nil, err
	}
	breakers, err := breaker.New(breaker.Config{Metrics: g.metrics})
	if err != nil {
		return nil, err
	}
	logger := g.logger.With("part", "region")
	others := &regionDoors{own: g.region.ID, breakers: breakers, doors: map[throng.RegionID]*client.Region{}}
	var ids []throng.RegionID
	for id := range doors {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	others.ids = ids
	tokens := f.tokens(g.region.ID, ids, logger)
	if _, err := tokens.Get(); err != nil {
		return nil, err
	}
	for _, id := range ids {
		token := func() string {
			all, _ := tokens.Get() // they were read before
			return all[id]
		}
		if others.doors[id], err = client.NewRegion(client.Config{Addr: doors[id], HTTP: over(id)}, id, token); err != nil {
			return nil, fmt.Errorf("--peers: region %s: %w", id, err)
		}
	}
	peers, err := regions.New(regions.Config{Own: g.region, Regions: ids, Doors: others, Logger: logger, Metrics: g.metrics})
	return &elsewhere{Peers: peers, regionDoors: others}, err
}

// elsewhere is the other regions: what is known of them, and how they are called.
type elsewhere struct {
	*regions.Peers
	*regionDoors
}

// The calls of other regions that are told apart.
const (
	callSummary   = "summary"
	callMatchmake = "matchmake"
	callLookup    = "lookup"
	callLeave     = "leave"
)

// regionDoors calls other regions' doors, and spares those that fail.
type regionDoors struct {
	own      throng.RegionID
	breakers *breaker.Breakers
	ids      []throng.RegionID
	doors    map[throng.RegionID]*client.Region // of all that are asked for
}

func (d *regionDoors) key(r throng.RegionID, call string) breaker.Key {
	return breaker.Key{Caller: string(d.own), Region: r, Operation: call}
}

// door is a region's; Unavailable: it is none of the others.
func (d *regionDoors) door(r throng.RegionID) (*client.Region, error) {
	if door := d.doors[r]; door != nil {
		return door, nil
	}
	return nil, throng.Errorf(throng.NotFound, "there is no region %s that this one knows", r)
}

// Others are the regions that are called, but for those that fail now.
func (d *regionDoors) Others() []throng.RegionID {
	return slices.DeleteFunc(slices.Clone(d.ids), d.Refused)
}

// Summary asks a region what it has.
func (d *regionDoors) Summary(ctx context.Context, r throng.RegionID) (throng.RegionSummary, error) {
	return breaker.Read(ctx, d.breakers, d.key(r, callSummary), d.doors[r].Summary)
}

// Refused says whether a region is not called for now.
func (d *regionDoors) Refused(r throng.RegionID) bool {
	return d.breakers.State(d.key(r, callSummary)) == breaker.Open || d.breakers.State(d.key(r, callMatchmake)) == breaker.Open
}

// Again says whether a ticket may be sent to one more region.
func (d *regionDoors) Again() bool { return d.breakers.Again(string(d.own), callMatchmake) }

// Matchmake sends a ticket to a region.
func (d *regionDoors) Matchmake(ctx context.Context, r throng.RegionID, t throng.Ticket, wait time.Duration) (placed gen.Placed, err error) {
	door, err := d.door(r)
	if err != nil {
		return gen.Placed{}, err
	}
	err = d.breakers.Do(ctx, d.key(r, callMatchmake), wait, func(ctx context.Context) (err error) {
		placed, err = door.Matchmake(ctx, t, wait)
		return err
	})
	return placed, err
}

// Lookup asks a region for a ticket.
func (d *regionDoors) Lookup(ctx context.Context, r throng.RegionID, ask throng.TicketAsk, wait time.Duration) (placed gen.Placed, err error) {
	door, err := d.door(r)
	if err != nil {
		return gen.Placed{}, err
	}
	err = d.breakers.Do(ctx, d.key(r, callLookup), wait, func(ctx context.Context) (err error) {
		placed, err = door.Lookup(ctx, ask, wait)
		return err
	})
	return placed, err
}

// Leave gives a seat back that a region has.
func (d *regionDoors) Leave(ctx context.Context, r throng.RegionID, k throng.TicketKey, player throng.PlayerID) error {
	door, err := d.door(r)
	if err != nil {
		return err
	}
	return d.breakers.Do(ctx, d.key(r, callLeave), 0, func(ctx context.Context) error { return door.Leave(ctx, k, player) })
}
