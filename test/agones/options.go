package agones

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/throng-gg/throng/test/agones/control"
)

// Mode says how the allocator service guards its port.
type Mode string

// The modes of the allocator service.
const (
	MTLS  Mode = "mtls" // as installed by default: only clients with a certificate of ours
	TLS   Mode = "tls"  // DISABLE_MTLS=true
	Plain Mode = "http" // DISABLE_TLS=true
)

// Options of a stand-in. The zero value is Agones as it is installed by
// default, with fake servers.
type Options struct {
	// Host is where the API server finds this process. Default 127.0.0.1, for an
	// API server on this machine that runs without --enable-aggregator-routing;
	// any other address needs that flag.
	Host string
	// System is the namespace of Agones itself. Default agones-system.
	System string
	// Namespaces are made if need be and get the account of game servers' Pods.
	// Default "default".
	Namespaces []string

	// BatchWait is how long allocations are collected. Default 500 ms, as Agones.
	BatchWait time.Duration
	// Allocator is how the allocator service listens. Default MTLS.
	Allocator Mode
	// AllocatorPort is its port. Default any that is free.
	AllocatorPort int

	// Ports are the first and last host port of game servers. Default 7000 to 8000.
	Ports [2]int32
	// Nodes are those of servers without a real Pod, filled one after the other.
	// Default: fake-1 to fake-20 at 127.0.0.1.
	Nodes []control.Node
	// Pods says which Pods game servers get. Default none.
	Pods control.PodMode
	// SDKImage is the image of the sidecar in Pods: for real ones, one with
	// cmd/standin. Default one that there isn't.
	SDKImage string
	// Ready is how long a fake server takes from Scheduled to RequestReady;
	// negative: for ever. Default at once.
	Ready time.Duration
	// Straight skips the states before Ready, for many servers in little time.
	Straight bool
	// Play is the game server process of every server; see control.Config.
	Play func(ctx context.Context, p control.Player) error
	// SDKDelay is how long the sidecar collects writes. Default 500 ms, as Agones.
	SDKDelay time.Duration
	// ExitLag is how long the end of a process goes unseen. Default 3.5 s.
	ExitLag time.Duration
	// Lag is how long a Fleet takes to see a change below it. Default 200 ms.
	Lag time.Duration
	// WebhookTimeout is how long an autoscaler waits for its webhook. Default 15 s.
	WebhookTimeout time.Duration
	// Quiet writes no Kubernetes events.
	Quiet bool
	// Log takes what goes wrong. Default nothing.
	Log *slog.Logger
}

const fakeNodes = 20

func (o Options) withDefaults() Options {
	set(&o.Host, "127.0.0.1")
	set(&o.System, "agones-system")
	if len(o.Namespaces) == 0 {
		o.Namespaces = []string{"default"}
	}
	set(&o.BatchWait, 500*time.Millisecond)
	set(&o.Allocator, MTLS)
	set(&o.Ports, [2]int32{7000, 8000})
	if o.Nodes == nil {
		for i := range fakeNodes {
			o.Nodes = append(o.Nodes, control.Node{Name: fmt.Sprintf("fake-%d", i+1), Address: "127.0.0.1"})
		}
	}
	set(&o.SDKImage, "none.test/sidecar:1")
	set(&o.SDKDelay, 500*time.Millisecond)
	set(&o.ExitLag, 3500*time.Millisecond)
	set(&o.Lag, 200*time.Millisecond)
	set(&o.WebhookTimeout, control.WebhookTimeout)
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

func set[T comparable](p *T, v T) {
	var zero T
	if *p == zero {
		*p = v
	}
}
