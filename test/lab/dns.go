package lab

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"sync"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

const (
	dnsIP     = "10.96.0.10"
	dnsDomain = ".svc.cluster.local"
	dnsTTL    = 1               // seconds: a lab changes fast
	dnsTime   = 2 * time.Second // for one answer
	dnsBusy   = 16              // questions at once; others are dropped, and asked again
	dnsLength = 512             // of a datagram
)

// resolver answers pods' questions for names. Services have theirs; any other
// name does not exist, which is said at once: programs that wait for an answer
// that never comes are what a cluster without one shows.
type resolver struct {
	conn    net.PacketConn
	cluster *Cluster
	busy    chan struct{}
	done    sync.WaitGroup
}

// serveNames starts the resolver in the node's network, behind the Service kube-dns.
func (n *Node) serveNames(ctx context.Context) error {
	var conn net.PacketConn
	err := n.spaces.inside(func() error {
		var err error
		conn, err = (&net.ListenConfig{}).ListenPacket(ctx, "udp", net.JoinHostPort(n.IP, "53"))
		return err
	})
	if err != nil {
		return fmt.Errorf("serve names: %w", err)
	}
	n.dns = &resolver{conn: conn, cluster: n.Cluster, busy: make(chan struct{}, dnsBusy)}
	n.dns.done.Go(func() { n.dns.serve(context.WithoutCancel(ctx)) })
	for path, object := range map[string]string{
		"/api/v1/namespaces/kube-system/services": `{"apiVersion":"v1","kind":"Service","metadata":{"name":"kube-dns"},
			"spec":{"clusterIP":"` + dnsIP + `","ports":[{"name":"dns","port":53,"protocol":"UDP"}]}}`,
		"/apis/discovery.k8s.io/v1/namespaces/kube-system/endpointslices": `{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice",
			"metadata":{"name":"kube-dns-lab","labels":{"kubernetes.io/service-name":"kube-dns"}},"addressType":"IPv4",
			"endpoints":[{"addresses":["` + n.IP + `"],"conditions":{"ready":true}}],"ports":[{"name":"dns","port":53,"protocol":"UDP"}]}`,
	} {
		// The namespace is there a moment after the API server.
		err := n.await(ctx, func() error { return n.call(ctx, http.MethodPost, path, strings.NewReader(object)) })
		if err != nil {
			return fmt.Errorf("serve names: %w", err)
		}
	}
	return nil
}

func (r *resolver) close() {
	_ = r.conn.Close() // serve ends
	r.done.Wait()
}

func (r *resolver) serve(ctx context.Context) {
	buffer := make([]byte, dnsLength)
	for {
		size, from, err := r.conn.ReadFrom(buffer)
		if err != nil {
			return // it is closed
		}
		question := bytes.Clone(buffer[:size])
		select {
		case r.busy <- struct{}{}:
		default:
			continue
		}
		r.done.Go(func() {
			defer func() { <-r.busy }()
			ctx, cancel := context.WithTimeout(ctx, dnsTime)
			defer cancel()
			if answer := r.answer(ctx, question); answer != nil {
				_, _ = r.conn.WriteTo(answer, from) // who got no answer asks again
			}
		})
	}
}

// answer is what a datagram is answered with, nil for nothing.
func (r *resolver) answer(ctx context.Context, datagram []byte) []byte {
	var p dnsmessage.Parser
	head, err := p.Start(datagram)
	if err != nil || head.Response {
		return nil
	}
	question, err := p.Question()
	if err != nil {
		return nil
	}
	ips, exists := r.lookUp(ctx, strings.ToLower(question.Name.String()))
	reply := dnsmessage.Message{
		Header:    dnsmessage.Header{ID: head.ID, Response: true, Authoritative: true, RecursionDesired: head.RecursionDesired, RecursionAvailable: true},
		Questions: []dnsmessage.Question{question},
	}
	if !exists {
		reply.RCode = dnsmessage.RCodeNameError
	}
	for _, ip := range ips {
		if question.Type != dnsmessage.TypeA || !ip.Is4() || len(reply.Answers) == 8 {
			continue
		}
		reply.Answers = append(reply.Answers, dnsmessage.Resource{
			Header: dnsmessage.ResourceHeader{Name: question.Name, Class: dnsmessage.ClassINET, TTL: dnsTTL},
			Body:   &dnsmessage.AResource{A: ip.As4()},
		})
	}
	packed, err := reply.Pack()
	if err != nil {
		return nil
	}
	return packed
}

// lookUp finds SERVICE.NAMESPACE.svc.cluster.local and, for Services without an
// address, their pods and POD.SERVICE.NAMESPACE.svc.cluster.local.
func (r *resolver) lookUp(ctx context.Context, name string) (ips []netip.Addr, exists bool) {
	service, ours := strings.CutSuffix(strings.TrimSuffix(name, "."), dnsDomain)
	labels := strings.Split(service, ".")
	if !ours || len(labels) < 2 || len(labels) > 3 {
		return nil, false
	}
	pod, service, namespace := "", labels[len(labels)-2], labels[len(labels)-1]
	if len(labels) == 3 {
		pod = labels[0]
	}
	var s struct {
		Spec struct {
			ClusterIP netip.Addr `json:"clusterIP"`
		} `json:"spec"`
	}
	err := r.cluster.fetch(ctx, "/api/v1/namespaces/"+namespace+"/services/"+service, &s)
	if err == nil && pod == "" {
		return []netip.Addr{s.Spec.ClusterIP}, true
	}
	ips = r.endpoints(ctx, namespace, service, pod)
	return ips, len(ips) > 0
}

// endpoints are the addresses of a Service's ready pods, or of the one with that
// host name.
func (r *resolver) endpoints(ctx context.Context, namespace, service, pod string) []netip.Addr {
	var slices struct {
		Items []struct {
			Endpoints []struct {
				Addresses  []netip.Addr `json:"addresses"`
				Hostname   string       `json:"hostname"`
				Conditions struct {
					Ready *bool `json:"ready"`
				} `json:"conditions"`
			} `json:"endpoints"`
		} `json:"items"`
	}
	path := "/apis/discovery.k8s.io/v1/namespaces/" + namespace + "/endpointslices?labelSelector=kubernetes.io/service-name=" + service
	if err := r.cluster.fetch(ctx, path, &slices); err != nil {
		return nil
	}
	var ips []netip.Addr
	for _, item := range slices.Items {
		for _, e := range item.Endpoints {
			if (pod == "" || pod == e.Hostname) && (e.Conditions.Ready == nil || *e.Conditions.Ready) {
				ips = append(ips, e.Addresses...)
			}
		}
	}
	return ips
}

// fetch gets an object of the cluster.
func (c *Cluster) fetch(ctx context.Context, path string, into any) error {
	body, err := c.ask(ctx, http.MethodGet, path, http.NoBody)
	if err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}
