package main

import (
	"bytes"
	"cmp"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/auth"
	"github.com/throng-gg/throng/disk"
)

// devRegion is one of the regions that throng dev --regions runs.
type devRegion struct {
	id  throng.RegionID
	rtt []int // milliseconds to the regions before it
}

// devRegions are as far from each other as cloud regions: Frankfurt, Ohio, Singapore,
// Tokyo, Mumbai and São Paulo. The round trips are those of relab/hotstuff,
// cmd/latencygen/latencies/aws.csv (MIT), of both ways the mean.
func devRegions() []devRegion {
	return []devRegion{
		{"eu", nil},
		{"us", []int{103}},
		{"sg", []int{164, 219}},
		{"jp", []int{232, 144, 78}},
		{"in", []int{119, 200, 60, 135}},
		{"sa", []int{205, 128, 334, 259, 303}},
	}
}

// farFrom is the round trip between two of them.
func farFrom(a, b int) time.Duration {
	if a == b {
		return 0
	}
	return time.Duration(devRegions()[max(a, b)].rtt[min(a, b)]) * time.Millisecond
}

// regionsFlags are what throng dev --regions tells each of them.
type regionsFlags struct {
	peersFlags
	Regions int `default:"1" help:"Run so many regions side by side, each a process of its own with what it keeps under DATA/REGION, up to 6: eu at --addr, and us, sg, jp, in, sa at the ports after it. Calls between them take as long as between such places, and players measure that they are in eu. What they play is not made slower." placeholder:"N"`

	KafkaPort int `hidden:"" help:"Of the region's own broker; 0: a free one."`

	brokers []int // ports of the regions' own brokers; none: they do not hear of each other's players

	Far   time.Duration            `hidden:"" help:"How far the region is made to seem by its beacon."`
	Apart map[string]time.Duration `hidden:"" help:"How far the other regions are: calls of them take so much longer."`
}

// Validate checks what the values say together.
func (f regionsFlags) check(g groundFlags, gateway string) error {
	switch {
	case f.Regions < 1 || f.Regions > len(devRegions()):
		return throng.AtField(throng.Invalid, "--regions", "%d is not allowed, 1 to %d are", f.Regions, len(devRegions()))
	case f.Regions == 1:
		_, err := f.others(throng.RegionID(g.Region))
		return err
	case len(f.Peers) > 0 || f.PeerTokens != "" || f.PeerKafka != "":
		return throng.AtField(throng.Invalid, "--regions", "and --peers exclude each other")
	}
	if g.Home != "" && !slices.ContainsFunc(devRegions()[:f.Regions], func(r devRegion) bool { return string(r.id) == g.Home }) {
		return throng.AtField(throng.Invalid, "--home", "%s is none of the %d regions", g.Home, f.Regions)
	}
	for flag, given := range map[string]string{
		"--redis": g.Redis, "--dynamo": g.Dynamo, "--kafka": g.Kafka, "--consumers": g.Consumers, "--gateway": gateway, "--url": g.URL, "--beacon": strings.Join(g.Beacon, ","),
	} {
		if given != "" {
			return throng.AtField(throng.Invalid, flag, "is not for several regions, which share nothing")
		}
	}
	return nil
}

// side runs the regions side by side until e.ctx ends. One that fails is lost; the
// others go on.
func (c *devCmd) side(e *env) error {
	begun := time.Now()
	list := devRegions()[:c.Regions]
	urls, err := c.sideAddresses(e.ctx, len(list))
	if err != nil {
		return err
	}
	if err := c.sideSecrets(list); err != nil {
		return err
	}
	if err := c.sideBrokers(list); err != nil {
		return err
	}
	exe, err := self()
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(e.ctx)
	defer stop()
	ready := make(chan error, 2*len(list)) // each is ready and is lost once at most
	group := errgroup.Group{}
	for i := range list {
		r := sideRegion{id: list[i].id, exe: exe, args: c.sideArgs(list, urls, i), ready: ready}
		group.Go(func() error { return r.run(ctx, e) })
	}
	for range list {
		if err := <-ready; err != nil {
			stop()
			_ = group.Wait() // the first error is the reason
			return err
		}
	}
	fmt.Fprintf(e.out, "throng is ready at %s after %s (Ctrl-C ends it)\n", urls[0], time.Since(begun).Round(time.Millisecond))
	for i, r := range list {
		fmt.Fprintf(e.out, "  region %s at %s\n", r.id, urls[i])
	}
	return group.Wait()
}

// sideAddresses are the doors' URLs. Ports that are left to choose are free now.
func (c *devCmd) sideAddresses(ctx context.Context, n int) ([]string, error) {
	host, port, err := net.SplitHostPort(c.Addr)
	at, bad := strconv.Atoi(port)
	if err != nil || bad != nil || at < 0 || at+n > 1<<16 {
		return nil, throng.AtField(throng.Invalid, "--addr", "%q is not an address with a port, after which %d are free", c.Addr, n-1)
	}
	urls := make([]string, n)
	var taken []net.Listener
	defer func() {
		for _, l := range taken {
			_ = l.Close() // its region takes it
		}
	}()
	for i := range urls {
		addr := net.JoinHostPort(host, strconv.Itoa(at+i))
		if at == 0 {
			addr = net.JoinHostPort(host, "0")
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", addr)
		if err != nil {
			return nil, throng.AtField(throng.Unavailable, "--addr", "region %s: %w", devRegions()[i].id, err)
		}
		taken = append(taken, l)
		urls[i] = "http://" + l.Addr().String()
	}
	return urls, nil
}

// sideSecrets gives all regions the secret of the first, so that an access token of
// one is good in the others, as a studio's are; and makes what they call each other
// with.
func (c *devCmd) sideSecrets(list []devRegion) error {
	first := c.sideFolder(list[0])
	ring, err := auth.NewRing(auth.RingConfig{Secrets: disk.Ring{Dir: first}})
	if err != nil {
		return err
	}
	secret, err := os.ReadFile(filepath.Join(first, "secrets", "region"))
	if err != nil {
		return fmt.Errorf("--data: %w", err)
	}
	for i, r := range list {
		dir := c.sideFolder(r)
		if err := os.MkdirAll(filepath.Join(dir, "secrets"), 0o700); err != nil {
			return fmt.Errorf("--data: %w", err)
		}
		if err := disk.WriteNew(filepath.Join(dir, "secrets", "region"), secret, 0o600); err != nil {
			return err
		}
		token, err := ring.RegionToken(r.id)
		if err != nil {
			return err
		}
		var tokens strings.Builder
		for j, other := range list {
			if j != i {
				fmt.Fprintf(&tokens, "%s=%s\n", other.id, token)
			}
		}
		if err := disk.Replace(filepath.Join(dir, sideTokens), []byte(tokens.String()), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// sideTokens is the file in a region's folder with what the others made for it.
const sideTokens = "peers.tokens"

func (c *devCmd) sideFolder(r devRegion) string { return filepath.Join(c.Data, string(r.id)) }

// sideArgs are the i-th region's arguments: those of this process, and what is its
// own.
func (c *devCmd) sideArgs(list []devRegion, urls []string, i int) []string {
	own := map[string]string{
		"regions": "1", "region": string(list[i].id), "region-number": strconv.Itoa(i + 1), "data": c.sideFolder(list[i]),
		"addr": strings.TrimPrefix(urls[i], "http://"), "url": urls[i], "far": farFrom(0, i).String(),
		"peer-tokens": filepath.Join(c.sideFolder(list[i]), sideTokens),
	}
	if len(c.brokers) > 0 {
		own["kafka-port"], own["peer-kafka"] = strconv.Itoa(c.brokers[i]), filepath.Join(c.sideFolder(list[i]), sideKafkas)
		own["home"] = cmp.Or(c.Home, string(list[0].id))
	}
	args := slices.Clone(c.args)
	for flag, value := range own {
		args = append(args, "--"+flag+"="+value)
	}
	for j, other := range list {
		if j != i {
			args = append(args, fmt.Sprintf("--peers=%s=%s", other.id, urls[j]), fmt.Sprintf("--apart=%s=%s", other.id, farFrom(i, j)))
		}
	}
	return args
}

// sideRegion is a region in a process of its own.
type sideRegion struct {
	id    throng.RegionID
	exe   string
	args  []string
	ready chan<- error // told once that it is ready, and once that it is lost
}

// sideStop is how long a region may take to stop.
const sideStop = 15 * time.Second

// run keeps it until ctx ends. Internal: it ended before.
func (r sideRegion) run(ctx context.Context, e *env) error {
	runtime.LockOSThread() // the region ends with the thread that started it
	defer runtime.UnlockOSThread()
	cmd := exec.CommandContext(ctx, r.exe, r.args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = sideStop
	// A Ctrl-C at the terminal reaches it through this process only.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGTERM}
	out, told := &sidePrefix{to: e.out, prefix: string(r.id) + ": "}, &sidePrefix{to: e.err, prefix: string(r.id) + ": "}
	out.line = func(line string) bool {
		if strings.HasPrefix(line, "throng is ready") {
			r.ready <- nil
			return false // one line says it of all
		}
		return true
	}
	cmd.Stdout, cmd.Stderr = out, told
	err := cmd.Run()
	switch {
	case ctx.Err() != nil:
		err = nil
	case err == nil:
		err = throng.Errorf(throng.Internal, "region %s ended by itself", r.id)
	default:
		err = throng.Errorf(throng.Internal, "region %s is lost: %w", r.id, err)
	}
	if err != nil {
		fmt.Fprintln(e.err, err)
	}
	r.ready <- err // before it was ready it never will be
	return err
}

// sidePrefix writes whole lines with a name before them.
type sidePrefix struct {
	to     io.Writer
	prefix string
	line   func(string) bool // whether to write it; nil: all
	part   []byte            // of a line, at most sideLine
}

const sideLine = 64 << 10 // bytes; a longer line is broken

// Write never fails, so that a region does not end because nobody reads.
func (s *sidePrefix) Write(b []byte) (int, error) {
	n := len(b)
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		if end < 0 {
			s.part = append(s.part, b...)
			b = nil
		} else {
			s.part = append(s.part, b[:end]...)
			b = b[end+1:]
		}
		if end >= 0 || len(s.part) > sideLine {
			if line := string(s.part); s.line == nil || s.line(line) {
				_, _ = fmt.Fprintf(s.to, "%s%s\n", s.prefix, line)
			}
			s.part = s.part[:0]
		}
	}
	return n, nil
}

// slowly makes calls of a region that is so far away.
func slowly(over *http.Client, far time.Duration) *http.Client {
	if far <= 0 {
		return over
	}
	slow := &http.Client{}
	if over != nil {
		*slow = *over
	}
	slow.Transport = lateTransport{cmp.Or(slow.Transport, http.DefaultTransport), far}
	return slow
}

// lateTransport makes calls that take longer.
type lateTransport struct {
	http.RoundTripper

	far time.Duration
}

// RoundTrip makes one.
func (l lateTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	late := time.NewTimer(l.far)
	defer late.Stop()
	select {
	case <-late.C:
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	return l.RoundTripper.RoundTrip(r)
}
