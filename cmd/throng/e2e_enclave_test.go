package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng/redis/redistest"
)

// enclave is a network of its own in which a control plane runs. Two cables lead
// to it: game servers and nodes come by one, players and its Redis by the other.
type enclave struct {
	t     *testing.T
	name  string
	links [2]enclaveLink
}

// enclaveLink is one cable, from the outside to the inside.
type enclaveLink struct{ outside, inside, near, far string }

// enclavePort is the door's in there, where all are free.
const enclavePort = "7001"

// startEnclave makes an enclave that is gone with the test.
func startEnclave(t *testing.T) *enclave {
	t.Helper()
	if _, err := exec.LookPath("ip"); err != nil || os.Geteuid() != 0 {
		t.Skip("NOT TESTED: networks are cut by root, with the command ip")
	}
	n := os.Getpid()
	e := &enclave{t: t, name: fmt.Sprintf("throng-%d", n)}
	if err := e.try("netns", "add", e.name); err != nil {
		t.Skipf("NOT TESTED: there is no making of networks here: %v", err)
	}
	t.Cleanup(func() { e.ip("netns", "del", e.name) })
	for i, side := range []string{"s", "p"} {
		// A net that is for tests (RFC 2544).
		net := fmt.Sprintf("198.18.%d.%d", n%256, n/256%16*16+4*i)
		l := enclaveLink{
			outside: fmt.Sprintf("thr%d%s0", n, side), inside: fmt.Sprintf("thr%d%s1", n, side), near: next(net, 1), far: next(net, 2),
		}
		e.links[i] = l
		e.ip("link", "add", l.outside, "type", "veth", "peer", "name", l.inside, "netns", e.name)
		e.ip("addr", "add", l.near+"/30", "dev", l.outside)
		e.ip("link", "set", l.outside, "up")
		e.ip("-n", e.name, "addr", "add", l.far+"/30", "dev", l.inside)
		e.ip("-n", e.name, "link", "set", l.inside, "up")
	}
	e.ip("-n", e.name, "link", "set", "lo", "up")
	return e
}

// next is an address so many after another one.
func next(addr string, n int) string {
	head, last := addr[:strings.LastIndexByte(addr, '.')+1], 0
	_, _ = fmt.Sscan(addr[len(head):], &last)
	return fmt.Sprint(head, last+n)
}

// try runs the command ip.
func (e *enclave) try(args ...string) error {
	out, err := exec.Command("ip", args...).CombinedOutput() //nolint:noctx // it returns at once; also used when the test is over
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, out)
	}
	return nil
}

func (e *enclave) ip(args ...string) {
	e.t.Helper()
	if err := e.try(args...); err != nil {
		e.t.Error(err)
	}
}

// cut separates the control plane from game servers and nodes, and from nobody
// else.
func (e *enclave) cut() { e.ip("-n", e.name, "link", "set", e.links[0].inside, "down") }

// mend ends that.
func (e *enclave) mend() { e.ip("-n", e.name, "link", "set", e.links[0].inside, "up") }

// startSplit runs a control plane in the enclave, and a node outside of it.
func (e *enclave) startSplit() *region {
	e.t.Helper()
	store := redistest.Start(e.t, "--bind", "127.0.0.1", e.links[1].near, "--protected-mode", "no")
	redis := strings.Replace(store.URL(), "127.0.0.1", e.links[1].near, 1)
	exe := throngBinary(e.t)
	data := filepath.Join(e.t.TempDir(), "data")
	servers, players := "http://"+e.links[0].far+":"+enclavePort, "http://"+e.links[1].far+":"+enclavePort
	p := start(e.t, "ip", "netns", "exec", e.name, exe, "serve", "control", "--dev", "--redis", redis,
		"--addr", "0.0.0.0:"+enclavePort, "--public", servers, "--data", data)
	p.line("listens at", 60*time.Second)
	node := start(e.t, exe, "serve", "node", "--addr", servers,
		"--token-file", filepath.Join(data, "node.token"), "--data", filepath.Join(e.t.TempDir(), "node"))
	node.line("node serves", 30*time.Second)
	return newRegion(e.t, p, players, data)
}
