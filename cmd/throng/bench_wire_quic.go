package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
)

// quicProtocol is what both sides of bench wire speak over QUIC.
const quicProtocol = "throng-bench"

// quicConfig has datagrams, and as webtransport/ no discovery of the path's MTU.
func quicConfig() *quic.Config {
	return &quic.Config{EnableDatagrams: true, DisablePathMTUDiscovery: true, MaxIdleTimeout: 10 * time.Second}
}

// quic serves datagrams of quic-go and nothing else.
func (c *benchWireSideCmd) quic(counts *wireCounts) (wireHello, func(context.Context) error, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return wireHello{}, nil, err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
		IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, IsCA: true, BasicConstraintsValid: true,
	}
	certificate, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return wireHello{}, nil, err
	}
	l, err := quic.ListenAddr("127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{{Certificate: [][]byte{certificate}, PrivateKey: key}},
		NextProtos:   []string{quicProtocol}, MinVersion: tls.VersionTLS13,
	}, quicConfig())
	if err != nil {
		return wireHello{}, nil, err
	}
	addr, err := netip.ParseAddrPort(l.Addr().String())
	s := &quicServer{listener: l, counts: counts, down: make([]byte, c.Down)}
	return wireHello{Addr: addr, Certificate: certificate}, func(ctx context.Context) error { return s.run(ctx, c.Rate) }, err
}

type quicServer struct {
	listener *quic.Listener
	counts   *wireCounts
	down     []byte

	mu    sync.Mutex // guards what follows
	conns []*quic.Conn
}

func (s *quicServer) run(ctx context.Context, rate int) error {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(func() {
		for {
			conn, err := s.listener.Accept(ctx)
			if err != nil {
				return
			}
			s.mu.Lock()
			s.conns = append(s.conns, conn)
			s.mu.Unlock()
			running.Go(func() {
				for {
					if _, err := conn.ReceiveDatagram(ctx); err != nil {
						return
					}
					s.counts.in.Add(1)
				}
			})
		}
	})
	ticker := time.NewTicker(time.Second / time.Duration(rate))
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.listener.Close()
		case <-ticker.C:
			s.tick()
		}
	}
}

func (s *quicServer) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.conns {
		if c.SendDatagram(s.down) == nil {
			s.counts.out.Add(1)
		}
	}
}

// quicClient is a player over quic-go.
type quicClient struct {
	conn    *quic.Conn
	receive func([]byte)
}

func dialQUIC(ctx context.Context, at wireHello, receive func([]byte)) (wirePlayer, error) {
	certificate, err := x509.ParseCertificate(at.Certificate)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	roots.AddCert(certificate)
	conn, err := quic.DialAddr(ctx, at.Addr.String(), &tls.Config{
		RootCAs: roots, ServerName: "127.0.0.1", NextProtos: []string{quicProtocol}, MinVersion: tls.VersionTLS13,
	}, quicConfig())
	return &quicClient{conn, receive}, err
}

func (c *quicClient) Send(payload []byte) error { return c.conn.SendDatagram(payload) }

func (c *quicClient) Run(ctx context.Context) error {
	for {
		payload, err := c.conn.ReceiveDatagram(ctx)
		if err != nil {
			return errors.Join(err, c.conn.CloseWithError(0, "left"))
		}
		c.receive(payload)
	}
}
