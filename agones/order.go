package agones

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/url"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

const maxOrder = 1 << 20 // bytes of an answer to an allocation

// allocator is who allocates in a cluster. It is asked once for each ID.
type allocator interface {
	order(ctx context.Context, id throng.ServerID) outcome
}

// mark is what is written on the GameServers of a control plane.
type mark struct {
	door string // empty: none
}

// patch is what a server is marked by. Keys that are set here are written as
// they are; those that a game server sets by its SDK get a prefix.
func (m mark) patch(id throng.ServerID) kind.MetaPatch {
	p := kind.MetaPatch{Labels: map[string]string{
		kind.LabelServer: string(id), kind.LabelRegion: string(id.Region()),
	}}
	if m.door != "" {
		p.Annotations = map[string]string{kind.AnnotationDoor: m.door}
	}
	return p
}

// direct allocates by the API server. There is no trying it: a dry run
// allocates, too.
type direct struct {
	mark
	server           *server
	namespace, fleet string
}

func (d direct) order(ctx context.Context, id throng.ServerID) outcome {
	resp, err := d.server.do(ctx, request{
		verb: "allocate", method: http.MethodPost,
		path: "/apis/allocation.agones.dev/v1/namespaces/" + d.namespace + "/gameserverallocations",
		body: kind.GameServerAllocation{
			APIVersion: "allocation.agones.dev/v1", Kind: "GameServerAllocation",
			Spec: kind.AllocationSpec{
				Selectors: []kind.Selector{{MatchLabels: map[string]string{kind.LabelFleet: d.fleet}, State: kind.StateReady}},
				Metadata:  d.patch(id),
			},
		},
	})
	if err != nil {
		return lost(err)
	}
	return answered(resp, readOrder)
}

// service allocates by Agones' allocator service.
type service struct {
	mark
	server           *server // its own, not the API server
	namespace, fleet string
}

func (s service) order(ctx context.Context, id throng.ServerID) outcome {
	resp, err := s.server.do(ctx, request{
		verb: "allocate", method: http.MethodPost, path: "/gameserverallocation",
		body: kind.AllocationRequest{
			Namespace: s.namespace, // it knows no default
			Selectors: []kind.RequestSelector{{MatchLabels: map[string]string{kind.LabelFleet: s.fleet}}},
			Metadata:  s.patch(id),
		},
	})
	if err != nil {
		return lost(err)
	}
	return answered(resp, readAllocator)
}

func answered(resp *http.Response, read func(code int, text []byte) outcome) outcome {
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxOrder))
	if err != nil && resp.StatusCode/100 == 2 {
		return lost(throng.Errorf(throng.Unavailable, "the allocation's answer broke off: %w", err))
	}
	return read(resp.StatusCode, text)
}

// newService makes the client of an allocator service.
func newService(cfg AllocatorConfig, count func(verb string)) (*server, error) {
	base, err := url.Parse(cfg.URL)
	if err != nil || base.Scheme != "https" && base.Scheme != "http" || base.Host == "" {
		return nil, throng.AtField(throng.Invalid, "allocator", "url: %q is no URL like https://allocator.agones-system:443", cfg.URL)
	}
	return &server{base: base, count: count, http: &http.Client{Transport: &http.Transport{
		DialContext:         (&net.Dialer{Timeout: dialTime, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:     cfg.TLS,
		TLSHandshakeTimeout: dialTime,
		MaxIdleConnsPerHost: 64,
		IdleConnTimeout:     90 * time.Second,
		ForceAttemptHTTP2:   true,
		HTTP2:               &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTime},
	}}}, nil
}

// AllocatorConfig says how a cluster's allocator service is reached.
type AllocatorConfig struct {
	URL string
	TLS *tls.Config // client certificate, and whom to trust; nil: the system
}
