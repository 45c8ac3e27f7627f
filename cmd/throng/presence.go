package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/disk"
	"github.com/throng-gg/throng/kafka"
	"github.com/throng-gg/throng/presence"
	"github.com/throng-gg/throng/session"
)

// maxPeerKafka bounds the file of other regions' Kafkas.
const maxPeerKafka = 64 << 10 // bytes

// presenceFlags say where other regions' events are.
type presenceFlags struct {
	PeerKafka string `type:"path" help:"File with the Kafka of each other region of the deployment, a line REGION=URL each, as for --kafka: with it a player is found in all regions, and has a seat in one. It goes with --kafka; only the presence topics are read, and with --home the copies." placeholder:"FILE"`
}

// kafkas reads the URLs of the other regions' Kafkas; nil: there are none. Its errors
// name the line and tell no URL.
func (f peersFlags) kafkas(g groundFlags) (map[throng.RegionID]string, error) {
	own, ownKafka := throng.RegionID(g.Region), g.Kafka
	others, err := f.others(own)
	if err != nil {
		return nil, err
	}
	if f.PeerKafka == "" {
		return nil, nil //nolint:nilnil // no region is followed
	}
	bad := func(format string, args ...any) error {
		return throng.AtField(throng.Invalid, "--peer-kafka", "%s: %w", f.PeerKafka, fmt.Errorf(format, args...))
	}
	if ownKafka == "" {
		return nil, throng.AtField(throng.Invalid, "--peer-kafka", "goes with --kafka, by which the others hear of this region")
	}
	text, err := readBounded(f.PeerKafka, maxPeerKafka)
	if err != nil {
		return nil, throng.AtField(throng.Invalid, "--peer-kafka", "cannot be read: %w", err)
	}
	urls, number := map[throng.RegionID]string{}, 0
	for line := range strings.Lines(string(text)) {
		number++
		if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
			continue
		}
		name, url, _ := strings.Cut(line, "=")
		id, err := throng.ParseRegionID("", strings.TrimSpace(name))
		if err != nil {
			return nil, bad("line %d does not begin with a region's name and =", number)
		}
		url = strings.TrimSpace(url)
		switch _, twice := urls[id]; {
		case twice:
			return nil, bad("line %d: %s is there twice", number, id)
		case id == own:
			return nil, bad("line %d: %s is this region itself", number, id)
		case kafka.CheckURL(url) != nil:
			return nil, bad("line %d: is not like %s=host:9092,host:9092 or %s=kafkas://user:password@host:9092/throng", number, id, id)
		}
		urls[id] = url
	}
	for id := range others {
		if urls[id] == "" {
			return nil, bad("has no line for region %s", id)
		}
	}
	if len(urls) == 0 || len(urls) >= throng.MaxRegions {
		return nil, bad("has %d regions, 1 to %d are allowed", len(urls), throng.MaxRegions-1)
	}
	return urls, nil
}

// readBounded reads a file of at most so many bytes.
func readBounded(name string, most int64) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }() // it was only read
	text, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(text)) > most {
		err = throng.Errorf(throng.Invalid, "%s is larger than %d bytes", name, most)
	}
	return text, err
}

// abroad is what the control plane knows of players in other regions. Nil: nothing.
type abroad struct{ *presence.Presence }

// newAbroad makes what follows the regions; it starts nothing. Nil: there are none.
func newAbroad(c *control, urls map[throng.RegionID]string) (*abroad, error) {
	if len(urls) == 0 {
		return nil, nil //nolint:nilnil // no region is followed
	}
	logger := c.cfg.logger.With("part", "presence")
	logs := map[throng.RegionID]presence.Log{c.cfg.region.ID: c.events.Log}
	for id, url := range urls {
		log, err := kafka.New(kafka.Config{URL: url, Client: "throng-of-" + string(c.cfg.region.ID), Logger: logger.With("region", string(id))})
		if err != nil {
			return nil, fmt.Errorf("--peer-kafka: region %s: %w", id, err)
		}
		logs[id] = log
	}
	p, err := presence.New(presence.Config{Own: c.cfg.region.ID, Logs: logs, Registry: c.registry, Settings: c.friends, Logger: logger, Metrics: c.cfg.metrics})
	return &abroad{p}, err
}

// highest is what session.Config wants to know.
func (a *abroad) highest(p throng.PlayerID) throng.Epoch {
	if a == nil {
		return 0
	}
	return a.Highest(p)
}

// run follows the regions until ctx ends.
func (a *abroad) run(ctx context.Context) error {
	if a == nil {
		return nil
	}
	return a.Run(ctx)
}

// whereabouts is where players are, in all regions.
type whereabouts struct{ *control }

// Where answers from the own region's registry, or with what another region said if
// that is newer; age is how old its copy is.
func (w whereabouts) Where(ctx context.Context, p throng.PlayerID) (at throng.Presence, age time.Duration, err error) {
	at, err = w.registry.Presence(ctx, p)
	if w.abroad == nil {
		return at, 0, err
	}
	other, asOf := w.abroad.Elsewhere(p)
	switch {
	case other.State == throng.PresenceNone, err == nil && at.Epoch >= other.Epoch:
		return at, 0, err
	case err != nil && other.State != throng.PresencePlaying:
		return at, 0, err // he may play here
	}
	return other, time.Since(asOf), nil
}

// tellGone tells of players who were in sessions that ended: their game servers may
// not be there to say so. What they say has the same name.
func (e *events) tellGone(list []session.Departure) {
	if e == nil {
		return
	}
	for _, d := range list {
		out, err := throng.MakeEvent(throng.Event{
			ID: throng.EventID(fmt.Sprintf("%s/out/%s/%d", d.Session, d.Player, d.Epoch)), Type: throng.EventPresenceChanged, Stream: throng.StreamPresence,
			Key: throng.PresenceKey(d.Player, d.Session), Place: d.Place, Session: d.Session, Player: d.Player, Time: time.Now(),
		}, throng.PresenceChanged{Epoch: d.Epoch})
		if err == nil {
			e.Publish(out)
		}
	}
}

// sideKafkas is the file in a region's folder with the brokers of the others.
const sideKafkas = "peers.kafka"

// sideBrokers says where the brokers of throng dev's regions are going to be: at ports
// that are free now.
func (c *devCmd) sideBrokers(list []devRegion) error {
	for range list {
		l, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // it waits for nothing
		if err != nil {
			return throng.Errorf(throng.Unavailable, "find a port for a broker: %w", err)
		}
		defer func() { _ = l.Close() }() // its broker takes it
		c.brokers = append(c.brokers, l.Addr().(*net.TCPAddr).Port)
	}
	for i, r := range list {
		var others strings.Builder
		for j, other := range list {
			if j != i {
				fmt.Fprintf(&others, "%s=127.0.0.1:%d\n", other.id, c.brokers[j])
			}
		}
		if err := disk.Replace(filepath.Join(c.sideFolder(r), sideKafkas), []byte(others.String()), 0o600); err != nil {
			return err
		}
	}
	return nil
}
