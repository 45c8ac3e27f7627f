package interop

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng/wire/netcode"
)

var record = flag.Bool("record", false, "rewrite wire/netcode/testdata/exchanges")

// recorder drives our side of an exchange, and writes down all that it is given
// and all that comes of it, in the form that wire/netcode's tests replay.
type recorder struct {
	t      *testing.T
	socket *net.UDPConn
	start  time.Time
	ms     int64
	text   bytes.Buffer
	echo   [][]byte
	conn   netcode.ConnID
}

func newRecorder(t *testing.T) *recorder {
	t.Helper()
	socket, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(anyPort))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = socket.Close() })
	return &recorder{t: t, socket: socket, start: time.UnixMilli(time.Now().UnixMilli())}
}

func (r *recorder) line(format string, args ...any) {
	fmt.Fprintf(&r.text, "%d "+format+"\n", append([]any{r.ms}, args...)...)
}

func (r *recorder) now() time.Time {
	r.ms = time.Since(r.start).Milliseconds()
	return r.start.Add(time.Duration(r.ms) * time.Millisecond)
}

func (r *recorder) Datagram(to netip.AddrPort, b []byte) {
	r.line("> %s %x", to, b)
	_, _ = r.socket.WriteToUDPAddrPort(b, to)
}

func (r *recorder) Connected(c netcode.ConnID, from netip.AddrPort, data *[netcode.UserDataSize]byte) bool {
	r.conn = c
	r.line("connected %s %x", from, bytes.TrimRight(data[:], "\x00"))
	return true
}

func (r *recorder) Moved(netcode.ConnID, netip.AddrPort) { r.t.Error("moved") }

func (r *recorder) Payload(_ netcode.ConnID, b []byte) {
	r.line("payload %x", b)
	r.echo = append(r.echo, bytes.Clone(b))
}

func (r *recorder) Disconnected(_ netcode.ConnID, why netcode.Reason) { r.line("disconnected %s", why) }

// recorderClient is the recorder as a client's sink.
type recorderClient struct{ *recorder }

func (r recorderClient) Payload(b []byte) { r.line("payload %x", b) }

// run gives receive what comes and calls step every 10 ms, tick every 50, until
// step says so.
func (r *recorder) run(receive func(now time.Time, from netip.AddrPort, b []byte) netcode.Drop, tick func(time.Time), step func(time.Time) bool) {
	r.t.Helper()
	b := make([]byte, 2000)
	next := r.start
	for r.ms < 20_000 {
		if now := r.now(); !now.Before(next) {
			next = next.Add(50 * time.Millisecond)
			r.line("tick")
			tick(now)
		}
		if step(r.now()) {
			return
		}
		_ = r.socket.SetReadDeadline(time.Now().Add(10 * time.Millisecond))
		n, from, err := r.socket.ReadFromUDPAddrPort(b)
		if err != nil {
			continue
		}
		now := r.now()
		r.line("< %s %x", from, b[:n])
		if drop := receive(now, from, b[:n]); drop != netcode.DropNone {
			r.line("ignored %s", drop)
		}
	}
	r.t.Fatal("it took more than 20 s")
}

func (r *recorder) write(name, title string) {
	r.t.Helper()
	path := filepath.Join("..", "..", "wire", "netcode", "testdata", "exchanges", name+".txt")
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		r.t.Fatal(err)
	}
	if err := os.WriteFile(path, append([]byte("# "+title+"\n"), r.text.Bytes()...), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func TestRecord(t *testing.T) {
	if !*record {
		t.Skip("-record is not given")
	}
	for name, path := range peers(t) {
		name = strings.TrimSuffix(name, "-peer")
		t.Run(name, func(t *testing.T) {
			recordTheirClient(t, name, path)
			recordTheirServer(t, name, path)
			recordFullServer(t, name, path)
		})
	}
}

// recordTheirClient lets one of their clients play, leave, and another be denied
// meanwhile.
func recordTheirClient(t *testing.T, name, path string) {
	r := newRecorder(t)
	addr := netip.MustParseAddrPort(r.socket.LocalAddr().String())
	entropy := [netcode.KeySize]byte(bytes.Repeat([]byte{9}, netcode.KeySize))
	s, err := netcode.NewServer(netcode.ServerConfig{Key: key, Entropy: entropy, Public: []netip.AddrPort{addr}, Capacity: 1}, r)
	if err != nil {
		t.Fatal(err)
	}
	fmt.Fprintf(&r.text, "server %d %x %x %s\n", r.start.UnixMilli(), key, entropy, addr)
	first := theirClient(t, path, tokenFor(t, 1, addr, addr, nil), 400*time.Millisecond)
	var second *process
	r.run(s.Receive, s.Tick, func(now time.Time) bool {
		for _, b := range r.echo {
			r.line("send %x", b)
			if err := s.Send(now, r.conn, b); err != nil {
				t.Error(err)
			}
		}
		r.echo = nil
		if second == nil && s.Clients() > 0 {
			second = theirClient(t, path, tokenFor(t, 2, addr, addr, nil), time.Minute)
		}
		return second != nil && s.Clients() == 0
	})
	if got := first.await("sent", 5*time.Second); !strings.HasSuffix(got, " bad 0") {
		t.Errorf("their client: %s", got)
	}
	second.await("state -1", 5*time.Second)
	r.write(name+"-client", "A client of "+name+" plays at our server of one slot, and leaves; another one is denied meanwhile.")
}

// recordTheirServer lets our client play at their server, and leave.
func recordTheirServer(t *testing.T, name, path string) {
	p, addr := theirServer(t, path, 4, netcode.ProtocolID)
	r := newRecorder(t)
	token := tokenFor(t, 1, addr, addr, nil)
	c := r.client(token)
	sent := 0
	r.run(c.Receive, c.Tick, func(now time.Time) bool {
		switch {
		case c.State() != netcode.StateConnected:
		case sent == 8:
			r.line("close")
			c.Close(now)
			return true
		case r.ms >= int64(200+33*sent):
			b := payload(uint64(sent))
			r.line("send %x", b)
			if err := c.Send(now, b); err != nil {
				t.Error(err)
			}
			sent++
		}
		return c.State() == netcode.StateEnded
	})
	p.await("disconnected 1", 5*time.Second)
	r.line("ended %s", c.Reason())
	r.write(name+"-server", "Our client plays at a server of "+name+", and leaves.")
}

// recordFullServer lets our client be denied by their server.
func recordFullServer(t *testing.T, name, path string) {
	_, addr := theirServer(t, path, 1, netcode.ProtocolID)
	join(t, tokenFor(t, 1, addr, addr, nil))
	r := newRecorder(t)
	c := r.client(tokenFor(t, 2, addr, addr, nil))
	r.run(c.Receive, c.Tick, func(time.Time) bool { return c.State() == netcode.StateEnded })
	r.line("ended %s", c.Reason())
	if c.Reason() != netcode.ReasonDenied {
		t.Errorf("ended: %s", c.Reason())
	}
	r.write(name+"-full", "Our client is denied by a server of "+name+" whose only slot is taken.")
}

func (r *recorder) client(token []byte) *netcode.Client {
	r.t.Helper()
	c, err := netcode.NewClient(token, r.start, recorderClient{r})
	if err != nil {
		r.t.Fatal(err)
	}
	fmt.Fprintf(&r.text, "client %d %x\n", r.start.UnixMilli(), token)
	return c
}
