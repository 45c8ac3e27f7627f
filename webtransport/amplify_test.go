package webtransport

import (
	"context"
	"crypto/tls"
	"net"
	"testing"
	"time"

	"github.com/quic-go/quic-go"
)

// mute is a socket of a client that hears nothing: what it says is kept.
type mute struct {
	net.PacketConn
	said chan []byte
}

func (m mute) WriteTo(b []byte, _ net.Addr) (int, error) {
	select {
	case m.said <- append([]byte(nil), b...):
	default:
	}
	return len(b), nil
}

// firstPacket is what a QUIC client sends at first.
func firstPacket(t *testing.T, r running) []byte {
	t.Helper()
	socket, err := net.ListenPacket("udp4", "127.0.0.1:0") //nolint:noctx // it sends nothing
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	m := mute{socket, make(chan []byte, 8)}
	ctx, cancel := context.WithCancel(t.Context())
	over := make(chan struct{})
	go func() {
		defer close(over)
		small := trusting(r.WebAddress().Certificates)
		small.CurvePreferences = []tls.CurveID{tls.X25519} // all of its first words fit into one packet
		_, _ = quic.Dial(ctx, m, net.UDPAddrFromAddrPort(r.Address()), small, &quic.Config{})
	}()
	defer func() {
		cancel()
		<-over
	}()
	select {
	case b := <-m.said:
		return b
	case <-time.After(time.Minute):
		t.Fatal("the client says nothing")
		return nil
	}
}

// Nobody's first packet is answered with more than it has, and no answer is repeated: with another's
// address there is nothing to gain.
func TestFirstPacketAmplifiesNothing(t *testing.T) {
	r := listen(t, 4)
	first := firstPacket(t, r)
	socket, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(r.Address()))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = socket.Close() }()
	if _, err := socket.Write(first); err != nil {
		t.Fatal(err)
	}
	answered, buffer := 0, make([]byte, 2000)
	_ = socket.SetReadDeadline(time.Now().Add(time.Minute))
	for {
		n, err := socket.Read(buffer)
		if err != nil {
			break
		}
		answered += n
		_ = socket.SetReadDeadline(time.Now().Add(handshakeTime + time.Second)) // when a handshake would be over
	}
	if answered == 0 || answered > len(first) {
		t.Errorf("%d bytes were answered with %d, want some and no more", len(first), answered)
	}
}
