package main

import (
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/auth"
	"github.com/throng-gg/throng/cmd/command"
	"github.com/throng-gg/throng/disk"
)

// groundFlags say where a control plane stands.
type groundFlags struct {
	Addr   string `default:"127.0.0.1:7700" help:"Where the door listens." placeholder:"HOST:PORT"`
	Data   string `default:"./data" type:"path" help:"Folder for places, secrets and logs; made when missing."`
	Warm   int    `default:"2" help:"Idle game servers kept ready, by each replica."`
	Max    int    `default:"64" help:"Most game servers at once, of all replicas together."`
	Region string `default:"local" help:"Name of the region."`

	RegionNumber int `default:"1" help:"Number of the region, 1 to 255, by which it is told who joined last: each region of a deployment has one of its own."`

	placesFlags
	gatewaysFlags
	beaconsFlags

	Redis string `env:"THRONG_REDIS" help:"Where the registry is kept: a Redis or Valkey, like redis://user:password@host:6379/0, rediss:// for TLS, several hosts with commas for a Cluster; control planes on the same one are replicas. Without it, in memory." placeholder:"URL" secret:""`

	Dynamo string `env:"THRONG_DYNAMO" help:"Where profiles, the ledger and what --consumers make of events are kept: tables in DynamoDB, like dynamodb://eu-west-1/throng (throng setup dynamo makes them), or http://127.0.0.1:8000/throng of a DynamoDB Local. Without it, in DATA/throng.db; with --redis nowhere." placeholder:"URL"`

	Home string `help:"The region in which profiles and the ledger of all games are written: the other regions (--peers) forward to it, and keep a copy. It counts until an operator promotes another (throng home promote). Without it, each region keeps what its own players own." placeholder:"REGION"`

	command.KafkaFlags
	PlaceEvents int `default:"2000" help:"Events a second that scripts of one place may publish (events.publish), shared among its sessions in this region; 0: as many as its sessions may."`
	consumerFlags

	KeepSeat time.Duration `default:"30s" env:"THRONG_KEEP_SEAT" help:"How long game servers keep the seat of a player whose connection was lost."`
	authFlags
	tlsFlags
	ExplainMemory int   `default:"64" help:"Remember how tickets were answered in so much memory, for throng explain: MiB; 0: not at all." placeholder:"MIB"`
	ExplainDisk   int64 `default:"0" help:"Remember joins in files under DATA/joins too, so that they survive a restart: MiB; 0: in memory only." placeholder:"MIB"`
	command.TraceFlags
	command.LogFlags
}

// ground is what a control plane stands on: its folder, its port, its secrets.
type ground struct {
	flags    groundFlags
	region   throng.Region
	data     *disk.Store
	places   placeStores
	listener net.Listener
	secrets  *secrets
	auth     *auth.Auth
	keys     *auth.Keys
	tls      *tls.Config // nil: the door is plain
	url      string      // of the door, as it listens
	metrics  *prometheus.Registry
	logger   *slog.Logger
}

// regionOf names a region.
func regionOf(name string, number int) (throng.Region, error) {
	id, err := throng.ParseRegionID("--region", name)
	if err == nil && (number < 1 || number > math.MaxUint8) {
		err = throng.AtField(throng.Invalid, "--region-number", "%d is not allowed, 1 to %d are", number, math.MaxUint8)
	}
	return throng.Region{ID: id, Number: uint8(number)}, err
}

// Validate checks what the values say together, before anything is opened.
func (f groundFlags) Validate() error {
	switch {
	case f.Warm < 0 || f.Warm > f.Max:
		return throng.AtField(throng.Invalid, "--warm", "%d idle servers make no sense, 0 to %d (--max) are allowed", f.Warm, f.Max)
	case f.Max < 1:
		return throng.AtField(throng.Invalid, "--max", "%d servers make no sense, 1 or more are allowed", f.Max)
	case f.PlaceEvents < 0:
		return throng.AtField(throng.Invalid, "--place-events", "%d is not allowed, it must be 0 (as many as sessions may) or more", f.PlaceEvents)
	case f.KeepSeat < 0:
		return throng.AtField(throng.Invalid, "--keep-seat", "%s is not allowed, it must be 0s or more", f.KeepSeat)
	}
	if f.ExplainDisk < 0 || f.ExplainMemory < 0 {
		return throng.AtField(throng.Invalid, "--explain-memory", "and --explain-disk are %d and %d MiB, 0 (none) or more are allowed", f.ExplainMemory, f.ExplainDisk)
	}
	if f.Home != "" {
		if _, err := throng.ParseRegionID("--home", f.Home); err != nil {
			return err
		}
	}
	if _, err := f.addresses(); err != nil {
		return err
	}
	if err := f.checkBeacons(); err != nil {
		return err
	}
	_, err := regionOf(f.Region, f.RegionNumber)
	return errors.Join(err, f.KafkaFlags.Validate())
}

// open takes the folder and the port. Its errors are one line that names which.
// The folder is opened for this process alone, or to be shared with replicas.
func (f groundFlags) open(e *env, folder func(dir string) (*disk.Store, error)) (g *ground, err error) {
	g = &ground{flags: f, metrics: newMetrics(), logger: f.Logger(e.err)}
	if g.region, err = regionOf(f.Region, f.RegionNumber); err != nil {
		return nil, err
	}
	if g.data, err = folder(f.Data); err != nil {
		return nil, err
	}
	if g.places, err = f.stores(e, g); err != nil {
		return nil, errors.Join(err, g.data.Close())
	}
	if g.listener, err = listen(e, f.Addr); err != nil {
		return nil, errors.Join(err, g.data.Close())
	}
	g.url = "http://" + g.listener.Addr().String()
	if f.on() {
		g.url = "https://" + g.listener.Addr().String()
	}
	if err := g.secure(); err != nil {
		return nil, errors.Join(err, g.close())
	}
	return g, nil
}

// secure reads secrets, issuers and certificates.
func (g *ground) secure() error {
	ring, err := g.flags.ring(g)
	if err != nil {
		return err
	}
	g.secrets = &secrets{Ring: ring}
	if g.secrets.gateways, err = g.flags.addresses(); err != nil {
		return err
	}
	if g.auth, g.keys, err = g.flags.who(g); err != nil {
		return err
	}
	g.tls, err = g.flags.config(g.logger.With("part", "api"))
	return err
}

// close gives the folder and the port back. A server that was shut down has
// closed the port already.
func (g *ground) close() error {
	err := g.listener.Close()
	if errors.Is(err, net.ErrClosed) {
		err = nil
	}
	if err := errors.Join(err, g.data.Close()); err != nil {
		return fmt.Errorf("close: %w", err)
	}
	return nil
}
