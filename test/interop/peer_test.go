package interop

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng/wire/netcode"
)

var (
	key     = [netcode.KeySize]byte(bytes.Repeat([]byte{7}, netcode.KeySize))
	anyPort = netip.MustParseAddrPort("127.0.0.1:0")
)

// peers are the programs that other people's netcode is in.
func peers(t *testing.T) map[string]string {
	t.Helper()
	dir, set := os.LookupEnv("THRONG_INTEROP")
	if !set {
		t.Skip("THRONG_INTEROP is not set: run scripts/interop.sh, which builds the C reference and renetcode")
	}
	found := map[string]string{}
	for _, name := range []string{"reference", "renetcode-peer"} {
		path := filepath.Join(dir, name)
		if _, err := os.Stat(path); err != nil {
			t.Logf("NOT TRIED: %s: %v", name, err)
			continue
		}
		found[name] = path
	}
	if len(found) == 0 {
		t.Fatalf("%s holds no peer", dir)
	}
	return found
}

// long says whether exchanges take 10 minutes instead of seconds.
func long() bool {
	_, set := os.LookupEnv("THRONG_SOAK")
	return set
}

// process is a running peer.
type process struct {
	t     *testing.T
	in    io.WriteCloser
	lines chan string // closed at its end; more than a test makes
	done  chan struct{}
}

func start(t *testing.T, path string, args ...string) *process {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), path, args...)
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	p := &process{t: t, in: in, lines: make(chan string, 1000), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		defer close(p.lines)
		for s := bufio.NewScanner(out); s.Scan(); {
			p.lines <- s.Text()
		}
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		_ = in.Close()
		<-p.done
	})
	return p
}

// await returns the next line that begins so.
func (p *process) await(prefix string, within time.Duration) string {
	p.t.Helper()
	end := time.After(within)
	var seen []string
	for {
		select {
		case line, ok := <-p.lines:
			if !ok {
				p.t.Fatalf("it ended without %q, after %q", prefix, seen)
			}
			if strings.HasPrefix(line, prefix) {
				return line
			}
			seen = append(seen, line)
		case <-end:
			p.t.Fatalf("no %q within %s, after %q", prefix, within, seen)
		}
	}
}

// theirServer starts a server of a peer.
func theirServer(t *testing.T, path string, slots int, protocol uint64) (*process, netip.AddrPort) {
	t.Helper()
	free, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(anyPort))
	if err != nil {
		t.Fatal(err)
	}
	addr := netip.MustParseAddrPort(free.LocalAddr().String())
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	p := start(t, path, "server", addr.String(), fmt.Sprint(slots), fmt.Sprintf("%x", protocol), hex.EncodeToString(key[:]))
	p.await("listening", 10*time.Second)
	return p, addr
}

// theirClient starts a client of a peer, which plays for a while once connected.
func theirClient(t *testing.T, path string, token []byte, plays time.Duration) *process {
	t.Helper()
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, token, 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, path, "client", file, fmt.Sprint(plays.Seconds()))
}

// tokenFor is a token for player n, who connects to near instead of the server.
func tokenFor(t *testing.T, n uint64, server, near netip.AddrPort, change func(*netcode.TokenConfig)) []byte {
	t.Helper()
	now := uint64(time.Now().Unix())
	c := netcode.TokenConfig{
		Key: key, Create: now, Expire: now + 30, ClientID: n, TimeoutSeconds: 5, Servers: []netip.AddrPort{server},
	}
	binary.LittleEndian.PutUint64(c.Nonce[:], uint64(time.Now().UnixNano()))
	binary.LittleEndian.PutUint64(c.Nonce[8:], rand.Uint64())
	binary.LittleEndian.PutUint64(c.ClientToServer[:], rand.Uint64())
	binary.LittleEndian.PutUint64(c.ServerToClient[:], rand.Uint64())
	copy(c.UserData[:], fmt.Sprintf("player %d", n))
	if change != nil {
		change(&c)
	}
	token, err := netcode.MakeToken(c)
	if err != nil {
		t.Fatal(err)
	}
	const addresses = 13 + 3*8 + 24 + 1024 + 4 // then a count, and the first one's type, IP and port
	copy(token[addresses+5:], near.Addr().AsSlice())
	binary.LittleEndian.PutUint16(token[addresses+9:], near.Port())
	return token
}

// lossy passes on what one client and a server say to each other, and loses 5 %
// of it.
func lossy(t *testing.T, server netip.AddrPort) netip.AddrPort {
	t.Helper()
	front, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(anyPort))
	if err != nil {
		t.Fatal(err)
	}
	back, err := net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(server))
	if err != nil {
		t.Fatal(err)
	}
	var (
		mu     sync.Mutex
		rng    = rand.New(rand.NewPCG(1, 2))
		client netip.AddrPort
		group  sync.WaitGroup
	)
	lost := func() bool {
		mu.Lock()
		defer mu.Unlock()
		return rng.Float64() < 0.05
	}
	group.Go(func() {
		for b := make([]byte, 2000); ; {
			n, from, err := front.ReadFromUDPAddrPort(b)
			if err != nil {
				return
			}
			mu.Lock()
			client = from
			mu.Unlock()
			if !lost() {
				_, _ = back.Write(b[:n])
			}
		}
	})
	ended := t.Context().Done()
	group.Go(func() {
		for b := make([]byte, 2000); ; {
			n, err := back.Read(b)
			if err != nil {
				select {
				case <-ended:
					return
				default:
					continue // the server is not there, or not yet
				}
			}
			mu.Lock()
			to := client
			mu.Unlock()
			if !lost() {
				_, _ = front.WriteToUDPAddrPort(b[:n], to)
			}
		}
	})
	t.Cleanup(func() {
		_, _ = front.Close(), back.Close()
		group.Wait()
	})
	return netip.MustParseAddrPort(front.LocalAddr().String())
}

// payload is the n-th one that peers send and check.
func payload(n uint64) []byte {
	b := binary.LittleEndian.AppendUint64(nil, n)
	for i := 8; i < 9+int(n*37%1192); i++ {
		b = append(b, byte(n)+byte(i))
	}
	return b
}
