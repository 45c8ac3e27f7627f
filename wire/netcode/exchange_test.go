package netcode

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// exchange replays what was recorded with another implementation: what our side
// was given, and when, must bring forth again what it brought forth then, which
// the other side took. testdata/exchanges/README.md says how it was recorded.
type exchange struct {
	t     *testing.T
	start time.Time
	ms    int64
	text  bytes.Buffer
	conn  ConnID
}

func (x *exchange) line(format string, args ...any) {
	fmt.Fprintf(&x.text, "%d "+format+"\n", append([]any{x.ms}, args...)...)
}

func (x *exchange) Datagram(to netip.AddrPort, b []byte) { x.line("> %s %x", to, b) }

func (x *exchange) Connected(c ConnID, from netip.AddrPort, data *[UserDataSize]byte) bool {
	x.conn = c
	x.line("connected %s %x", from, bytes.TrimRight(data[:], "\x00"))
	return true
}

func (x *exchange) Moved(ConnID, netip.AddrPort)         { x.t.Error("moved") }
func (x *exchange) Payload(_ ConnID, b []byte)           { x.line("payload %x", b) }
func (x *exchange) Disconnected(_ ConnID, reason Reason) { x.line("disconnected %s", reason) }

type exchangeClient struct{ *exchange }

func (x exchangeClient) Payload(b []byte) { x.line("payload %x", b) }

// side is what a Server and a Client are given alike.
type side struct {
	receive func(now time.Time, from netip.AddrPort, b []byte) Drop
	tick    func(now time.Time)
	send    func(now time.Time, b []byte) error
	close   func(now time.Time)
	reason  func() Reason
}

func (x *exchange) unhex(s string) []byte {
	x.t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		x.t.Fatal(err)
	}
	return b
}

func (x *exchange) open(fields []string) side {
	x.t.Helper()
	var unix int64
	if _, err := fmt.Sscan(fields[1], &unix); err != nil {
		x.t.Fatal(err)
	}
	x.start = time.UnixMilli(unix)
	if fields[0] == "client" {
		c, err := NewClient(x.unhex(fields[2]), x.start, exchangeClient{x})
		if err != nil {
			x.t.Fatal(err)
		}
		return side{c.Receive, c.Tick, c.Send, c.Close, c.Reason}
	}
	s, err := NewServer(ServerConfig{
		Key: [KeySize]byte(x.unhex(fields[2])), Entropy: [KeySize]byte(x.unhex(fields[3])),
		Public: []netip.AddrPort{netip.MustParseAddrPort(fields[4])}, Capacity: 1,
	}, x)
	if err != nil {
		x.t.Fatal(err)
	}
	return side{receive: s.Receive, tick: s.Tick, send: func(now time.Time, b []byte) error { return s.Send(now, x.conn, b) }}
}

// replay acts on a line that says what our side was given; others are what came
// of it.
func (x *exchange) replay(s side, line string) {
	x.t.Helper()
	fields := strings.Fields(line)
	var at int64
	if _, err := fmt.Sscan(fields[0], &at); err != nil {
		x.t.Fatal(err)
	}
	now := x.start.Add(time.Duration(at) * time.Millisecond)
	given := func() {
		x.ms = at
		x.text.WriteString(line + "\n")
	}
	switch fields[1] {
	case "<":
		given()
		if drop := s.receive(now, netip.MustParseAddrPort(fields[2]), x.unhex(fields[3])); drop != DropNone {
			x.line("ignored %s", drop)
		}
	case "tick":
		given()
		s.tick(now)
	case "send":
		given()
		if err := s.send(now, x.unhex(fields[2])); err != nil {
			x.t.Error(err)
		}
	case "close":
		given()
		s.close(now)
	case "ended":
		x.ms = at
		x.line("ended %s", s.reason())
	}
}

func TestExchanges(t *testing.T) {
	files, err := filepath.Glob("testdata/exchanges/*.txt")
	if err != nil || len(files) < 6 {
		t.Fatalf("exchanges: %q, %v", files, err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
			x := &exchange{t: t}
			x.text.WriteString(lines[0] + "\n" + lines[1] + "\n")
			s := x.open(strings.Fields(lines[1]))
			for _, line := range lines[2:] {
				x.replay(s, line)
			}
			got := strings.Split(strings.TrimSuffix(x.text.String(), "\n"), "\n")
			for i := range min(len(got), len(lines)) {
				if got[i] != lines[i] {
					t.Fatalf("line %d:\n got %.200s\nwant %.200s", i+1, got[i], lines[i])
				}
			}
			if len(got) != len(lines) {
				t.Errorf("got %d lines, want %d", len(got), len(lines))
			}
		})
	}
}
