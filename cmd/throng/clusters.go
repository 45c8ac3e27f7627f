package main

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones"
	"github.com/throng-gg/throng/agones/autoscale"
)

// clusterAllocations is how many allocations are under way with clusters: Agones
// answers them in batches, two a second to one caller, a hundred to 64.
const clusterAllocations = 64

// clusterPatience is how long a session waits for a server when no cluster has
// one that is ready: Agones makes more within seconds.
const clusterPatience = 10 * time.Second

// clusterEntry is what a file of clusters says of one.
type clusterEntry struct {
	line                      int
	name, kubeconfig, context string
	namespace, fleet          string
	weight                    int
	allocator, cert, key, ca  string
	allocatorLine             int
	ready, servers            span
	set                       map[string]int // keys, with their lines
}

// readClusters reads which clusters a region's servers run on. Errors tell all
// faults, each with the file, the line and the key.
func readClusters(name string) ([]agones.ClusterConfig, []autoscale.Fleet, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, nil, throng.AtField(throng.Invalid, "--clusters", "%w", err)
	}
	defer func() { _ = f.Close() }() // it was only read
	data, err := io.ReadAll(io.LimitReader(f, maxConfig+1))
	if err != nil {
		return nil, nil, throng.AtField(throng.Invalid, "--clusters", "%w", err)
	}
	r := &clusterReader{configReader: configReader{file: &configFile{name: name}}}
	if len(data) > maxConfig {
		r.fail(0, "the file is larger than %d bytes", maxConfig)
	} else {
		r.read(data)
	}
	return r.configs, r.fleets, errors.Join(r.faults...)
}

// clusterReader reads a file of clusters.
type clusterReader struct {
	configReader
	configs []agones.ClusterConfig
	fleets  []autoscale.Fleet // the same, as their FleetAutoscalers are answered
}

func (r *clusterReader) read(data []byte) {
	var doc yaml.Node
	if err := yaml.Unmarshal(data, &doc); err != nil {
		r.fail(0, "%s", err)
		return
	}
	if len(doc.Content) == 0 {
		r.fail(0, "clusters: is missing")
		return
	}
	found := false
	r.pairs(doc.Content[0], "", func(key, value *yaml.Node) {
		if key.Value != "clusters" {
			r.fail(key.Line, "%s: there is no such key, there is clusters", clipText(key.Value))
			return
		}
		found = true
		if value.Kind != yaml.SequenceNode || len(value.Content) == 0 {
			r.fail(value.Line, "clusters: must be a list of clusters")
			return
		}
		for i, one := range value.Content {
			r.cluster(fmt.Sprintf("clusters[%d]", i), one)
		}
	})
	if !found && len(r.faults) == 0 {
		r.fail(doc.Content[0].Line, "clusters: is missing")
	}
}

// clusterKeys are the keys of a cluster.
func clusterKeys() []string {
	return []string{"name", "kubeconfig", "context", "namespace", "fleet", "weight", "allocator", "ready", "servers"}
}

func (r *clusterReader) cluster(path string, n *yaml.Node) {
	before := len(r.faults)
	e := clusterEntry{line: n.Line, weight: 1, set: map[string]int{}}
	r.pairs(n, path, func(key, value *yaml.Node) {
		e.set[key.Value] = value.Line
		at := dotted(path, key.Value)
		switch key.Value {
		case "name":
			e.name = r.text(at, value)
		case "kubeconfig":
			e.kubeconfig = r.path(at, value)
		case "context":
			e.context = r.text(at, value)
		case "namespace":
			e.namespace = r.text(at, value)
		case "fleet":
			e.fleet = r.text(at, value)
		case "weight":
			n, err := strconv.Atoi(r.text(at, value))
			if err != nil || n < 0 {
				r.fail(value.Line, "%s: %q is not allowed, it must be a whole number, 0 or more", at, clipText(value.Value))
			}
			e.weight = n
		case "allocator":
			e.allocatorLine = value.Line
			r.allocator(&e, at, value)
		case "ready":
			e.ready = r.span(at, value)
		case "servers":
			e.servers = r.span(at, value)
		default:
			r.fail(key.Line, "%s: there is no such key%s", at, nearest(key.Value, clusterKeys()))
		}
	})
	for _, key := range []string{"name", "fleet"} {
		if e.set[key] == 0 {
			r.fail(n.Line, "%s: is missing", dotted(path, key))
		}
	}
	if len(r.faults) > before {
		return
	}
	cfg, err := e.config()
	if err != nil {
		line, field := n.Line, ""
		if known, ok := errors.AsType[*throng.Error](err); ok {
			line, field, err = cmp.Or(e.set[known.Field], n.Line), known.Field, known.Err
		}
		r.fail(line, "%s: %w", dotted(path, field), err)
		return
	}
	if slices.ContainsFunc(r.configs, func(o agones.ClusterConfig) bool { return o.Name == cfg.Name }) {
		r.fail(e.set["name"], "%s: %q is of another cluster, too", dotted(path, "name"), cfg.Name)
		return
	}
	r.configs = append(r.configs, cfg)
	r.fleets = append(r.fleets, autoscale.Fleet{
		Cluster: cfg.Name, Namespace: cfg.Namespace, Name: cfg.Fleet, Weight: float64(cfg.Weight),
		ReadyLeast: e.ready.least, ReadyMost: e.ready.most, Least: e.servers.least, Most: e.servers.most,
	})
}

// span is how many of something there may be; most 0: the default.
type span struct{ least, most int }

// mostOfFleet is the largest number of servers that a file may say.
const mostOfFleet = 100_000

func (r *clusterReader) span(path string, n *yaml.Node) (s span) {
	r.pairs(n, path, func(key, value *yaml.Node) {
		at := dotted(path, key.Value)
		number, err := strconv.Atoi(r.text(at, value))
		if err != nil || number < 0 || number > mostOfFleet {
			r.fail(value.Line, "%s: %q is not allowed, it must be a whole number, 0 to %d", at, clipText(value.Value), mostOfFleet)
		}
		switch key.Value {
		case "least":
			s.least = number
		case "most":
			s.most = number
		default:
			r.fail(key.Line, "%s: there is no such key%s", at, nearest(key.Value, []string{"least", "most"}))
		}
	})
	if s.most != 0 && s.most < s.least {
		r.fail(n.Line, "%s: the most, %d, is less than the least, %d", path, s.most, s.least)
	}
	return s
}

func (r *clusterReader) allocator(e *clusterEntry, path string, n *yaml.Node) {
	r.pairs(n, path, func(key, value *yaml.Node) {
		at := dotted(path, key.Value)
		switch key.Value {
		case "url":
			e.allocator = r.text(at, value)
		case "cert":
			e.cert = r.path(at, value)
		case "key":
			e.key = r.path(at, value)
		case "ca":
			e.ca = r.path(at, value)
		default:
			r.fail(key.Line, "%s: there is no such key%s", at, nearest(key.Value, []string{"url", "cert", "key", "ca"}))
		}
	})
	switch {
	case e.allocator == "":
		r.fail(n.Line, "%s: is missing", dotted(path, "url"))
	case (e.cert == "") != (e.key == ""):
		r.fail(n.Line, "%s: cert and key belong together", path)
	}
}

func (r *clusterReader) text(at string, n *yaml.Node) string {
	if n.Kind != yaml.ScalarNode || n.Tag == "!!null" {
		r.fail(n.Line, "%s: must be a value", at)
		return ""
	}
	return n.Value
}

// path is a file's name, seen from the file's own folder.
func (r *clusterReader) path(at string, n *yaml.Node) string {
	text := r.text(at, n)
	if text == "" || filepath.IsAbs(text) {
		return text
	}
	return filepath.Join(filepath.Dir(r.file.name), text)
}

// config opens what the entry names. Errors name the key.
func (e clusterEntry) config() (cfg agones.ClusterConfig, err error) {
	cfg = agones.ClusterConfig{Name: e.name, Fleet: e.fleet, Weight: e.weight}
	if cfg.Server, cfg.Namespace, err = agones.Kubeconfig(e.kubeconfig, e.context); err != nil {
		return cfg, err
	}
	cfg.Namespace = cmp.Or(e.namespace, cfg.Namespace)
	if e.allocator == "" {
		return cfg, cfg.Validate()
	}
	cfg.Allocator = &agones.AllocatorConfig{URL: e.allocator, TLS: &tls.Config{MinVersion: tls.VersionTLS12}}
	if e.cert != "" {
		pair, err := tls.LoadX509KeyPair(e.cert, e.key)
		if err != nil {
			return cfg, throng.AtField(throng.Invalid, "allocator", "cert and key: %w", err)
		}
		cfg.Allocator.TLS.Certificates = []tls.Certificate{pair}
	}
	if e.ca != "" {
		text, err := os.ReadFile(e.ca)
		if err != nil {
			return cfg, throng.AtField(throng.Invalid, "allocator", "ca: %w", err)
		}
		cfg.Allocator.TLS.RootCAs = x509.NewCertPool()
		if !cfg.Allocator.TLS.RootCAs.AppendCertsFromPEM(text) {
			return cfg, throng.AtField(throng.Invalid, "allocator", "ca: %s has no certificate", e.ca)
		}
	}
	return cfg, cfg.Validate()
}

// claims tells game servers on clusters who they are.
type claims struct {
	*agones.Backend
	region throng.RegionID
	keys   *secrets
	doors  func() []string
}

// Claim returns which server a pod is, and what it needs to connect.
func (c claims) Claim(ctx context.Context, token string) (throng.ServerClaim, error) {
	id, err := c.Identify(ctx, token)
	if err != nil {
		return throng.ServerClaim{}, err
	}
	enroll, err := c.keys.EnrollToken(id)
	if err != nil {
		return throng.ServerClaim{}, err
	}
	return throng.ServerClaim{Server: id, Token: enroll, Region: c.region, Doors: foremost(c.doors(), c.DoorOf(id))}, nil
}

// foremost puts the door first of whoever allocated a server and waits for it
// there. What the cluster says is believed if it is a door of the region, now.
func foremost(doors []string, door string) []string {
	at := slices.Index(doors, door)
	if at < 1 {
		return doors
	}
	return slices.Concat(doors[at:at+1], doors[:at], doors[at+1:])
}

// clusterHosts makes what game servers run on of a file of clusters.
func clusterHosts(file, public string, g *ground, doors func() []string) (hosts, error) {
	all, fleets, err := readClusters(file)
	if err != nil {
		return hosts{}, err
	}
	backend, err := agones.New(agones.Config{
		Region: g.region.ID, Clusters: all, Door: public, Logger: g.logger.With("part", "agones"), Metrics: g.metrics,
	})
	if err != nil {
		return hosts{}, err
	}
	return hosts{
		backend:  backend,
		claims:   claims{backend, g.region.ID, g.secrets, doors},
		atOnce:   clusterAllocations,
		patience: clusterPatience,
		buries:   true, // what Agones hears from a server costs it one more write, and a while
		sites:    backend,
		fleets:   fleets,
		servers:  serversOf(all),
		run:      backend.Run,
	}, nil
}
