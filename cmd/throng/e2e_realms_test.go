package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/throng-gg/throng/redis/redistest"
)

// realms are regions in networks of their own, which a switch connects with each
// other and with the players. Each has a Redis, a control plane and a node.
type realms struct {
	*sideBySide

	ip     func(args ...string) error
	bridge string
	nets   []*realm
	doors  []*slowRoad // by which all others reach a region's door
}

// realm is one region's network.
type realm struct {
	name, address string
	redis         *program
	control, node *program

	startRedis, startControl, startNode func()
}

const (
	realmDoor  = 7700 // where all ports are free
	realmRedis = 6379
)

// startRealms starts the first regions, which are gone with the test.
func startRealms(t *testing.T, count int) *realms {
	t.Helper()
	if redistest.Binary() == "" {
		t.Skip("NOT TESTED: each region has its own redis-server, and there is none")
	}
	r := newRealms(t, count)
	r.dev.Data = t.TempDir()
	if err := r.dev.sideSecrets(r.list); err != nil {
		t.Fatal(err)
	}
	r.all = make([]*region, count)
	var starting sync.WaitGroup
	for i := range count {
		starting.Go(func() { r.startRealm(i) })
	}
	starting.Wait()
	r.hear(count)
	return r
}

// realmsMade counts those of this process, whose networks have other names.
var realmsMade atomic.Int32

// newRealms makes the networks of the first regions.
func newRealms(t *testing.T, count int) *realms {
	t.Helper()
	for _, command := range []string{"ip", "iptables"} {
		if _, err := exec.LookPath(command); err != nil || os.Geteuid() != 0 {
			t.Skipf("NOT TESTED: networks are made and cut by root, with ip and iptables (%s)", command)
		}
	}
	e := &enclave{t: t}
	pid, made := os.Getpid(), int(realmsMade.Add(1))
	bridge := fmt.Sprintf("thrb%d%c", pid, 'a'+made)
	if err := e.try("link", "add", bridge, "type", "bridge"); err != nil {
		t.Skipf("NOT TESTED: there is no making of networks here: %v", err)
	}
	t.Cleanup(func() { e.ip("link", "del", bridge) })
	host := fmt.Sprintf("198.19.%d.1", (4*pid+made)%256) // a net that is for tests (RFC 2544)
	e.ip("addr", "add", host+"/24", "dev", bridge)
	e.ip("link", "set", bridge, "up")

	r := &realms{sideBySide: &sideBySide{t: t, list: devRegions()[:count]}, ip: e.try, bridge: bridge}
	for i := range count {
		n := &realm{name: fmt.Sprintf("throng-%d%c%d", pid, 'a'+made, i), address: next(host, i+1)}
		e.ip("netns", "add", n.name)
		t.Cleanup(func() { e.ip("netns", "del", n.name) })
		cable := fmt.Sprintf("thrb%d%c%d", pid, 'a'+made, i)
		e.ip("link", "add", cable, "type", "veth", "peer", "name", "wan", "netns", n.name)
		e.ip("link", "set", cable, "master", bridge)
		e.ip("link", "set", cable, "up")
		for _, dev := range []string{"lo", "wan"} {
			e.ip("-n", n.name, "link", "set", dev, "up")
		}
		e.ip("-n", n.name, "addr", "add", n.address+"/24", "dev", "wan")
		r.nets = append(r.nets, n)
		r.doors = append(r.doors, newSlowRoad(t, host, n.address+":"+strconv.Itoa(realmDoor)))
		r.urls = append(r.urls, "http://"+r.doors[i].address)
	}
	return r
}

// in starts a program in a region's network.
func (r *realms) in(i int, exe string, args ...string) *program {
	r.t.Helper()
	return start(r.t, "ip", append([]string{"netns", "exec", r.nets[i].name, exe}, args...)...)
}

func (r *realms) startRealm(i int) {
	r.t.Helper()
	n, data := r.nets[i], r.dev.sideFolder(r.list[i])
	redis := filepath.Join(r.t.TempDir(), "redis")
	if err := os.MkdirAll(redis, 0o700); err != nil {
		r.t.Fatal(err)
	}
	n.startRedis = func() {
		n.redis = r.in(i, redistest.Binary(), "--port", strconv.Itoa(realmRedis), "--bind", "127.0.0.1", "--dir", redis, "--save", "", "--appendonly", "no")
	}
	args := []string{
		"serve", "control", "--dev", "--region", string(r.list[i].id), "--region-number", strconv.Itoa(i + 1), "--data", data,
		"--addr", fmt.Sprintf("%s:%d", n.address, realmDoor), "--url", r.urls[i], "--redis", fmt.Sprintf("redis://127.0.0.1:%d", realmRedis),
		"--warm", "1", "--peer-tokens", filepath.Join(data, sideTokens),
	}
	for j, other := range r.list {
		if j != i {
			args = append(args, "--peers", fmt.Sprintf("%s=%s", other.id, r.urls[j]))
		}
	}
	exe := throngBinary(r.t)
	n.startControl = func() {
		n.control = r.in(i, exe, args...)
		n.control.line("listens at", 60*time.Second)
		r.all[i] = newRegion(r.t, n.control, r.urls[i], data)
	}
	machine := filepath.Join(r.t.TempDir(), "node")
	n.startNode = func() {
		n.node = r.in(i, exe, "serve", "node", "--addr", fmt.Sprintf("http://%s:%d", n.address, realmDoor), "--token-file", filepath.Join(data, nodeTokenFile),
			"--data", machine, "--server-command", fmt.Sprintf("%s --udp %s:0 --web off", gameServerBinary(r.t), n.address))
		n.node.line("node serves", 60*time.Second)
	}
	n.start()
	eventually(r.t, 60*time.Second, "region "+string(r.list[i].id)+" has an idle server", func() bool {
		return (&replicaRun{t: r.t, url: "http://" + fmt.Sprintf("%s:%d", n.address, realmDoor), logs: n.control.logs}).ready()
	})
}

// start starts all of it.
func (n *realm) start() {
	n.startRedis()
	n.startControl()
	n.startNode()
}

// hole lets nothing in or out of a region's network any more, and says nothing to
// anybody about it; mend ends that.
func (r *realms) hole(i int) (mend func()) {
	r.t.Helper()
	rules := func(change string) {
		for _, way := range [][]string{{"INPUT", "!", "-i", "lo"}, {"OUTPUT", "!", "-o", "lo"}} {
			args := append([]string{"netns", "exec", r.nets[i].name, "iptables", change}, way...)
			if err := r.ip(append(args, "-j", "DROP")...); err != nil {
				r.t.Error(err)
			}
		}
	}
	rules("-I")
	return func() { rules("-D") }
}

// pidIn is the process that runs in a region's network under ip, which became it.
func pidIn(p *program) int { return p.cmd.Process.Pid }

// slowRoad passes TCP connections on, as late as wanted.
type slowRoad struct {
	address string
	late    atomic.Int64 // nanoseconds, each way
}

// newSlowRoad leads to an address until the test is over.
func newSlowRoad(t *testing.T, host, to string) *slowRoad {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s := &slowRoad{address: l.Addr().String()}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	var all sync.WaitGroup
	t.Cleanup(func() {
		cancel()
		_ = l.Close()
		all.Wait()
	})
	all.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() { s.carry(ctx, conn, to) })
		}
	})
	return s
}

func (s *slowRoad) carry(ctx context.Context, from net.Conn, to string) {
	defer func() { _ = from.Close() }()
	onward, err := (&net.Dialer{Timeout: 30 * time.Second}).DialContext(ctx, "tcp", to)
	if err != nil {
		return
	}
	defer func() { _ = onward.Close() }()
	defer context.AfterFunc(ctx, func() { _, _ = from.Close(), onward.Close() })()
	var both sync.WaitGroup
	both.Go(func() { s.oneWay(onward, from) })
	both.Go(func() { s.oneWay(from, onward) })
	both.Wait()
}

// piece is bytes on their way.
type piece struct {
	bytes []byte
	due   time.Time
}

// oneWay carries what comes until its end.
func (s *slowRoad) oneWay(to, from net.Conn) {
	way := make(chan piece, 1024) // full: the reader waits
	var reader sync.WaitGroup
	reader.Go(func() {
		defer close(way)
		for {
			b := make([]byte, 32<<10)
			n, err := from.Read(b)
			if n > 0 {
				way <- piece{b[:n], time.Now().Add(time.Duration(s.late.Load()))}
			}
			if err != nil {
				return
			}
		}
	})
	for p := range way {
		<-time.After(time.Until(p.due))
		if _, err := to.Write(p.bytes); err != nil {
			_ = from.Close() // its reader ends
			for range way {  // what is on its way is lost
			}
			break
		}
	}
	reader.Wait()
	if c, ok := to.(*net.TCPConn); ok {
		_ = c.CloseWrite()
	}
}

// freeze stops a program as it is; thaw lets it go on.
func freeze(t *testing.T, p *program) (thaw func()) {
	t.Helper()
	if err := syscall.Kill(pidIn(p), syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := syscall.Kill(pidIn(p), syscall.SIGCONT); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	}
}
