package main

import (
	"context"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os/exec"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/throng-gg/throng/udp"
	"github.com/throng-gg/throng/webtransport"
	"github.com/throng-gg/throng/wire/netcode"
)

// wirePlayers is the crowd of one side.
type wirePlayers interface {
	sent() int64
	got() int64
	end()
}

// wirePlayer is one connection of a player.
type wirePlayer interface {
	Run(ctx context.Context) error
	Send(payload []byte) error
}

// wireCrowd is players in this process.
type wireCrowd struct {
	stop     context.CancelFunc
	running  sync.WaitGroup
	up, down atomic.Int64
}

func (c *wireCrowd) sent() int64 { return c.up.Load() }
func (c *wireCrowd) got() int64  { return c.down.Load() }

func (c *wireCrowd) end() {
	c.stop()
	c.running.Wait()
}

// play connects all players of a side and lets them play until end.
func (b *wireBench) play(name string, server *wireProcess) (wirePlayers, error) {
	if name == sideENet {
		return b.playENet(server)
	}
	ctx, stop := context.WithCancel(b.env.ctx)
	c := &wireCrowd{stop: stop}
	for i := range b.Players {
		dialing, cancel := context.WithTimeout(ctx, 20*time.Second)
		p, err := dialSide(dialing, name, server.hello, i, func([]byte) { c.down.Add(1) })
		cancel()
		if err != nil {
			c.end()
			return nil, fmt.Errorf("connect player %d: %w", i, err)
		}
		c.running.Go(func() { _ = p.Run(ctx) })
		c.running.Go(func() { c.speak(ctx, p, b.Rate, make([]byte, b.Up)) })
	}
	return c, nil
}

// speak sends a player's inputs, at his own beat.
func (c *wireCrowd) speak(ctx context.Context, p wirePlayer, rate int, input []byte) {
	step := time.Second / time.Duration(rate)
	if pauseFor(ctx, rand.N(step)) != nil {
		return
	}
	ticker := time.NewTicker(step)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
			if p.Send(input) == nil {
				c.up.Add(1)
			}
		}
	}
}

func dialSide(ctx context.Context, name string, at wireHello, i int, receive func([]byte)) (wirePlayer, error) {
	switch name {
	case sideThrongEcho, sideThrongTick, sideForgedThrong:
		token, err := wireToken(at.Addr, i)
		if err != nil {
			return nil, err
		}
		return udp.Dial(ctx, token, receive)
	case sideWebTransport:
		token, err := wireToken(netip.MustParseAddrPort("127.0.0.1:1"), i)
		if err != nil {
			return nil, err
		}
		hashes := make([][32]byte, len(at.Certificates))
		for i, h := range at.Certificates {
			hashes[i] = [32]byte(h)
		}
		return webtransport.Dial(ctx, at.URL, hashes, token, receive)
	case sideQUIC:
		return dialQUIC(ctx, at, receive)
	}
	return dialBare(at.Addr, i, receive)
}

// wireToken is the join token of player i.
func wireToken(server netip.AddrPort, i int) ([]byte, error) {
	now := uint64(time.Now().Unix())
	c := netcode.TokenConfig{
		Key: wireKey, Create: now, Expire: now + 30, ClientID: uint64(i) + 1, Servers: []netip.AddrPort{server},
	}
	binary.LittleEndian.PutUint64(c.Nonce[:], rand.Uint64())
	binary.LittleEndian.PutUint64(c.ClientToServer[:], rand.Uint64())
	binary.LittleEndian.PutUint64(c.ServerToClient[:], rand.Uint64())
	return netcode.MakeToken(c)
}

// A bare datagram is the player's number in 2 bytes, its own in 8, and what is
// sealed with the player's key.
const bareHead = 2 + 8

// bareBox seals and opens one player's datagrams.
type bareBox struct {
	aead   cipher.AEAD
	nonce  [chacha20poly1305.NonceSize]byte
	number uint64
	player uint16
}

func newBareBox(i int) (*bareBox, error) {
	var key [chacha20poly1305.KeySize]byte
	binary.LittleEndian.PutUint16(key[:], uint16(i))
	aead, err := chacha20poly1305.New(key[:])
	return &bareBox{aead: aead, player: uint16(i)}, err
}

func (b *bareBox) seal(out, payload []byte) []byte {
	b.number++
	out = binary.LittleEndian.AppendUint16(out[:0], b.player)
	out = binary.LittleEndian.AppendUint64(out, b.number)
	copy(b.nonce[4:], out[2:])
	return b.aead.Seal(out, b.nonce[:], payload, nil)
}

func (b *bareBox) open(datagram []byte) ([]byte, error) {
	copy(b.nonce[4:], datagram[2:bareHead])
	return b.aead.Open(datagram[bareHead:bareHead], b.nonce[:], datagram[bareHead:], nil)
}

// bare serves on one socket with what seals and opens, and nothing else.
func (c *benchWireSideCmd) bare(counts *wireCounts) (netip.AddrPort, func(context.Context) error, error) {
	socket, err := net.ListenUDP("udp", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return netip.AddrPort{}, nil, err
	}
	if err := socket.SetReadBuffer(4 << 20); err != nil {
		return netip.AddrPort{}, nil, errors.Join(err, socket.Close())
	}
	s := &bareServer{socket: socket, counts: counts, name: c.Name, down: make([]byte, c.Down), out: make([]byte, 0, 2000)}
	for i := range c.Players {
		in, err := newBareBox(i)
		if err != nil {
			return netip.AddrPort{}, nil, errors.Join(err, socket.Close())
		}
		out, err := newBareBox(i)
		if err != nil {
			return netip.AddrPort{}, nil, errors.Join(err, socket.Close())
		}
		s.players = append(s.players, barePlayer{in: in, out: out})
	}
	addr, err := netip.ParseAddrPort(socket.LocalAddr().String())
	return addr, func(ctx context.Context) error { return s.run(ctx, c.Rate) }, err
}

type bareServer struct {
	socket *net.UDPConn
	counts *wireCounts
	name   string
	down   []byte

	mu      sync.Mutex // guards what follows
	players []barePlayer
	out     []byte
}

type barePlayer struct {
	in, out *bareBox
	addr    netip.AddrPort
}

func (s *bareServer) run(ctx context.Context, rate int) error {
	var running sync.WaitGroup
	defer running.Wait()
	running.Go(s.read)
	step := time.Second / time.Duration(rate)
	next, timer := time.Now().Add(step), time.NewTimer(step)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return s.socket.Close()
		case <-timer.C:
			if s.name == sideBareTick {
				begun := time.Now()
				s.tick()
				s.counts.tick(begun.Sub(next), time.Since(begun))
			}
			next = next.Add(step)
			timer.Reset(time.Until(next))
		}
	}
}

func (s *bareServer) tick() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.players {
		if s.players[i].addr.IsValid() {
			s.send(&s.players[i])
		}
	}
}

// send is called under mu.
func (s *bareServer) send(p *barePlayer) {
	s.out = p.out.seal(s.out, s.down)
	if _, err := s.socket.WriteToUDPAddrPort(s.out, p.addr); err == nil {
		s.counts.out.Add(1)
	}
}

func (s *bareServer) read() {
	for b := make([]byte, 2000); ; {
		n, from, err := s.socket.ReadFromUDPAddrPort(b)
		if errors.Is(err, net.ErrClosed) {
			return
		}
		s.counts.in.Add(1)
		if s.name == sideForgedRead || n < bareHead {
			continue
		}
		s.mu.Lock()
		if i := int(binary.LittleEndian.Uint16(b)); i < len(s.players) {
			p := &s.players[i]
			if _, err := p.in.open(b[:n]); err == nil {
				p.addr = from
				if s.name == sideBareEcho {
					s.send(p)
				}
			}
		}
		s.mu.Unlock()
	}
}

// bareClient is a player at a bare server.
type bareClient struct {
	socket  *net.UDPConn
	in, out *bareBox
	buffer  []byte
	receive func([]byte)
}

func dialBare(server netip.AddrPort, i int, receive func([]byte)) (wirePlayer, error) {
	in, err := newBareBox(i)
	if err != nil {
		return nil, err
	}
	out, err := newBareBox(i)
	if err != nil {
		return nil, err
	}
	socket, err := net.DialUDP("udp", nil, net.UDPAddrFromAddrPort(server))
	return &bareClient{socket: socket, in: in, out: out, receive: receive}, err
}

func (c *bareClient) Send(payload []byte) error {
	c.buffer = c.out.seal(c.buffer, payload)
	_, err := c.socket.Write(c.buffer)
	return err
}

func (c *bareClient) Run(ctx context.Context) error {
	stop := context.AfterFunc(ctx, func() { _ = c.socket.Close() })
	defer stop()
	for b := make([]byte, 2000); ; {
		n, err := c.socket.Read(b)
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err == nil && n >= bareHead:
			if payload, err := c.in.open(b[:n]); err == nil {
				c.receive(payload)
			}
		}
	}
}

// enetPlayers is players in a process of their own.
type enetPlayers struct {
	cmd *exec.Cmd
}

// What was sent and got is not told before the end, which is after the marks.
func (p *enetPlayers) sent() int64 { return 0 }
func (p *enetPlayers) got() int64  { return 0 }

func (p *enetPlayers) end() {
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (b *wireBench) playENet(server *wireProcess) (wirePlayers, error) {
	cmd := exec.CommandContext(b.env.ctx, b.enet, "clients", strconv.Itoa(int(server.hello.Port)), //nolint:gosec // a program of ours
		strconv.Itoa(b.Players), strconv.Itoa(b.Rate), strconv.Itoa(b.Up), strconv.Itoa(int(b.For.Seconds())+60))
	cmd.Stderr = b.env.err
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	return &enetPlayers{cmd}, nil
}
