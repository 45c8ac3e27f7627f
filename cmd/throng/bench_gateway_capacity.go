package main

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/udp/batch"
)

// spawnBeside starts the other proxy.
func (b *gatewayBench) spawnBeside(server netip.AddrPort) (*child, error) {
	free, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(127, 0, 0, 1)})
	if err != nil {
		return nil, err
	}
	at, err := netip.ParseAddrPort(free.LocalAddr().String())
	if err := errors.Join(err, free.Close()); err != nil {
		return nil, err
	}
	words := strings.Fields(strings.NewReplacer("PORT", strconv.Itoa(int(at.Port())), "SERVER", server.String()).Replace(b.Beside))
	if len(words) == 0 {
		return nil, throng.AtField(throng.Invalid, "--beside", "is no command")
	}
	cmd := exec.CommandContext(b.e.ctx, words[0], words[1:]...) //nolint:gosec // whoever measures says what
	cmd.Stdout, cmd.Stderr = b.e.err, b.e.err
	if err := cmd.Start(); err != nil {
		return nil, throng.AtField(throng.Invalid, "--beside", "%w", err)
	}
	return &child{cmd: cmd, at: at}, nil
}

// awaitBeside waits until the other proxy passes datagrams on for all players.
func (b *gatewayBench) awaitBeside() error {
	v := newVolley(b.players, b.first, b.beside.at, gatewayPayload())
	came := b.ears.came.Load()
	for end := time.Now().Add(besideWait); time.Now().Before(end) && b.e.ctx.Err() == nil; {
		if v.fire(b.Flows, batch.Size); b.ears.came.Load()-came > 2*int64(b.Flows) {
			return nil
		}
		<-time.After(time.Millisecond) // it may make something of each player
	}
	return throng.AtField(throng.Unavailable, "--beside", "passes nothing on, or not for all players, within %s", besideWait)
}

// besideWait is how long the other proxy may take to know all players.
const besideWait = time.Minute

// rate sends as fast as it can, and returns how many datagrams the gateway passed on a second.
func (b *gatewayBench) rate() (perS float64) {
	v := newVolley(b.players, b.first, b.gateway.at, gatewayPayload())
	send := func(d time.Duration) {
		for end := time.Now().Add(d); time.Now().Before(end) && b.e.ctx.Err() == nil; {
			v.fire(b.Flows, batch.Size)
		}
	}
	send(b.For / 4)
	passed, begun := b.ears.came.Load(), time.Now()
	send(b.For)
	return float64(b.ears.came.Load()-passed) / time.Since(begun).Seconds()
}

// fillSize is how many datagrams wait at most for a process that is stopped; less where
// the kernel gives its socket less room.
const fillSize = 4096

// capacity returns the CPU that a process takes for each datagram that it passes on,
// in microseconds, when it has as much to do as it can take: it is stopped while datagrams
// come, and then passes them on while nobody sends. So neither it waits for a sender, nor
// the sender for a core.
func (b *gatewayBench) capacity(p *child, data []byte) (us float64, err error) {
	v := newVolley(b.players, b.first, p.at, data)
	var took time.Duration
	passed, fill := int64(0), int64(fillSize)
	for end := time.Now().Add(b.For); time.Now().Before(end) && b.e.ctx.Err() == nil; {
		got, cpu, err := b.drained(p, v, fill)
		if err != nil {
			return 0, err
		}
		if got < fill {
			fill = max(got, batch.Size)
		}
		passed += got
		took += cpu
	}
	if passed == 0 {
		return 0, throng.Errorf(throng.Internal, "nothing was passed on")
	}
	return float64(took.Nanoseconds()) / 1000 / float64(passed), nil
}

// drained lets datagrams wait for a process, and says how many it passed on of them, and
// with how much CPU.
func (b *gatewayBench) drained(p *child, v *volley, fill int64) (got int64, cpu time.Duration, err error) {
	if err := p.stop(); err != nil {
		return 0, 0, err
	}
	waiting := int64(0)
	for waiting < fill {
		n := v.fire(b.Flows, batch.Size)
		if n == 0 {
			break
		}
		waiting += int64(n)
	}
	came := b.ears.came.Load()
	before, err := p.cpu()
	if err != nil {
		return 0, 0, err
	}
	if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
		return 0, 0, err
	}
	for until := time.Now().Add(drainWait); got < waiting && time.Now().Before(until); {
		<-time.After(drainLook)
		if now := b.ears.came.Load() - came; now > got {
			got, until = now, time.Now().Add(drainWait)
		}
	}
	after, err := p.cpu()
	return got, after - before, err
}

const (
	drainLook = 200 * time.Microsecond
	drainWait = 50 * time.Millisecond // without any datagram: the others were lost
	stopWait  = time.Second
)

// stop stops the process where it is, until SIGCONT.
func (p *child) stop() error {
	if err := p.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
		return err
	}
	for end := time.Now().Add(stopWait); time.Now().Before(end); {
		text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
		if err != nil {
			return err
		}
		if _, after, _ := strings.Cut(string(text), ") "); strings.HasPrefix(after, "T") {
			return nil
		}
		<-time.After(drainLook)
	}
	return throng.Errorf(throng.Unavailable, "process %d does not stop", p.cmd.Process.Pid)
}
