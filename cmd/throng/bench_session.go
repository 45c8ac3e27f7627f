package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/motion"
)

// benchSessionCmd measures what players' snapshots take, by recorded motion, and
// what their game servers cost.
type benchSessionCmd struct {
	Players  int           `default:"50" help:"Players of a session, who walk as bots do."`
	Seconds  int           `default:"60" help:"Of recorded motion."`
	Sessions int           `default:"8" help:"Sessions at once whose game servers are measured, after one alone; 0: none are."`
	For      time.Duration `default:"15s" help:"How long each is measured."`
	Seed     uint64        `default:"7" help:"Of the motion."`
	NoCubes  bool          `help:"Do not measure the pile of 901 cubes."`
	JSON     bool          `help:"Print the report as JSON, which is how it is printed in any case."`
}

// sessionReport is what bench session prints.
type sessionReport struct {
	HeaderBytes int                 `json:"header_bytes"` // of a packet: IP, UDP, netcode, reliable
	Motion      []motionReport      `json:"motion"`
	Cubes       *motion.CubesReport `json:"cubes,omitempty"`
	Servers     []serverReport      `json:"servers,omitempty"`
}

// motionReport is one way to show the arena.
type motionReport struct {
	Way        string  `json:"way"`
	AckTicks   int     `json:"ack_ticks"` // from a snapshot to its acknowledgement
	Loss       float64 `json:"loss"`      // each way
	BudgetKbit float64 `json:"budget_kbit_s,omitempty"`
	motion.Report
}

// serverReport is what game servers cost.
type serverReport struct {
	Sessions int `json:"sessions"`
	Players  int `json:"players"` // of each
	// Of the game server that took most: processor seconds a second, MB at most, and
	// MB of its own in the end, without the program's pages, which all of them share.
	CPU   float64 `json:"cpu"`
	MaxMB float64 `json:"max_mb"`
	OwnMB float64 `json:"own_mb"`
	// Of steps, the slowest server's: how long they took, and how late they began.
	StepP50MS float64 `json:"step_p50_ms"`
	StepP99MS float64 `json:"step_p99_ms"`
	LateP99MS float64 `json:"late_p99_ms"`
	// The same of a bare socket with ChaCha20-Poly1305 that sends by ticks, of one
	// session's load, in the same seconds.
	BareCPU       float64 `json:"bare_cpu"`
	BareStepP99MS float64 `json:"bare_step_p99_ms"`
	BareLateP99MS float64 `json:"bare_late_p99_ms"`
	// Of the bots, all of them.
	Downlink json.RawMessage `json:"bots,omitempty"`
}

// Run measures and reports.
func (c *benchSessionCmd) Run(e *env) error {
	if c.Players < 1 || c.Players > 50 || c.Seconds < 1 || c.Sessions < 0 || c.Sessions > 64 {
		return throng.AtField(throng.Invalid, "--players", "1 to 50 players, a second or more and up to 64 sessions are possible")
	}
	report := sessionReport{HeaderBytes: motion.Headers}
	for _, way := range []motionReport{
		{Way: "as much as it takes, 1 tick each way", AckTicks: 3},
		{Way: "as much as it takes, 2 ticks each way", AckTicks: 5, Loss: 0.01},
		{Way: "as much as it takes, 5 % loss", AckTicks: 5, Loss: 0.05},
		{Way: "budget", AckTicks: 5, Loss: 0.01, BudgetKbit: 30},
		{Way: "budget", AckTicks: 5, Loss: 0.01, BudgetKbit: 25},
	} {
		fmt.Fprintf(e.err, "%d s of motion, %d ticks to an acknowledgement, %.0f %% lost, %.0f kbit/s at most (0: any)\n",
			c.Seconds, way.AckTicks, 100*way.Loss, way.BudgetKbit)
		if err := c.motion(&way); err != nil {
			return err
		}
		report.Motion = append(report.Motion, way)
	}
	if !c.NoCubes {
		fmt.Fprintln(e.err, "the pile of 901 cubes")
		cubes, err := motion.MeasureCubes(c.Seed, 1500, nil)
		if err != nil {
			return err
		}
		report.Cubes = &cubes
	}
	for _, n := range slices.Compact([]int{min(1, c.Sessions), c.Sessions}) {
		if n == 0 {
			break
		}
		fmt.Fprintf(e.err, "%d sessions of %d bots, for %s\n", n, c.Players, c.For)
		s, err := c.servers(e, n)
		if err != nil {
			return fmt.Errorf("measure %d sessions: %w", n, err)
		}
		report.Servers = append(report.Servers, s)
	}
	return writeJSON(e.out, report)
}

func (c *benchSessionCmd) motion(way *motionReport) error {
	s, err := newArenaScene(c.Seed, c.Players)
	if err != nil {
		return err
	}
	way.Report, err = motion.Run(s, motion.Config{
		Players: s.players, Rate: s.rate, Ticks: c.Seconds * s.rate, Warm: 5 * s.rate,
		Delay: (way.AckTicks - 1) / 2, Loss: way.Loss, Seed: c.Seed, Budget: int(way.BudgetKbit * 1000), Plain: way.BudgetKbit == 0,
	})
	return err
}

// servers lets bots play on game servers of a region of its own.
func (c *benchSessionCmd) servers(e *env, sessions int) (serverReport, error) {
	out := serverReport{Sessions: sessions, Players: c.Players}
	folder, err := os.MkdirTemp("", "throng-bench-")
	if err != nil {
		return out, err
	}
	defer func() { _ = os.RemoveAll(folder) }()
	quiet := *e
	quiet.err = io.Discard // its level is what game servers log at
	r := benchRegionFlags{}.region(&quiet)
	url, err := r.child(&quiet, []string{"dev", "--addr", "127.0.0.1:0", "--data", folder, "--log-level", "INFO"})
	if err == nil {
		err = c.play(&quiet, r, url, sessions, &out)
	}
	if closed := r.close(); err == nil {
		err = closed
	}
	if err != nil {
		return out, err
	}
	return out, out.steps(filepath.Join(folder, "logs"))
}

// steps reads how long steps took in what game servers log at the end of their
// sessions. Internal: none did.
func (s *serverReport) steps(logs string) error {
	files, err := filepath.Glob(filepath.Join(logs, "*.log"))
	if err != nil {
		return err
	}
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(text)) {
			s.StepP50MS = max(s.StepP50MS, attribute(line, "steps_p50_ms="))
			s.StepP99MS = max(s.StepP99MS, attribute(line, "steps_p99_ms="))
			s.LateP99MS = max(s.LateP99MS, attribute(line, "late_p99_ms="))
		}
	}
	if s.StepP99MS == 0 {
		return throng.Errorf(throng.Internal, "no game server has logged how long its steps took, in %d logs", len(files))
	}
	return nil
}

func (c *benchSessionCmd) play(e *env, r *benchRegion, url string, sessions int, out *serverReport) error {
	exe, err := self()
	if err != nil {
		return err
	}
	load := c.For + 6*time.Second // they come, and go
	var said bytes.Buffer
	bots := exec.CommandContext(e.ctx, exe, "bots", "--addr", url, "--place", "arena", "--players", strconv.Itoa(sessions*c.Players), "--for", load.String(), "--json") //nolint:gosec // this program itself
	bots.Stdout = &said
	bots.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := bots.Start(); err != nil {
		return err
	}
	defer func() { _ = bots.Process.Kill() }() // it has ended when all went well
	bare := &wireBench{benchWireCmd: &benchWireCmd{Players: c.Players, Rate: bareRate, Up: bareBytes, Down: bareBytes}, env: e}
	limit, err := bare.start(sideBareTick)
	if err != nil {
		return err
	}
	defer limit.end()
	clients, err := bare.play(sideBareTick, limit)
	if err != nil {
		return err
	}
	defer clients.end()
	if err := c.measure(e.ctx, r.children[0].Process.Pid, sessions, limit, out); err != nil {
		return err
	}
	if err := bots.Wait(); err != nil {
		return fmt.Errorf("bots: %w: %s", err, said.String())
	}
	out.Downlink = said.Bytes()
	return nil
}

// measure looks at a region's game servers and at the bare one, once all play.
func (c *benchSessionCmd) measure(ctx context.Context, region, sessions int, limit *wireProcess, out *serverReport) error {
	if err := pauseFor(ctx, 4*time.Second); err != nil {
		return err
	}
	bare, err := limit.mark()
	if err != nil {
		return err
	}
	before, begun := busiest(region, sessions), time.Now()
	if err := pauseFor(ctx, c.For); err != nil {
		return err
	}
	took := time.Since(begun).Seconds()
	for pid, was := range before {
		out.CPU = max(out.CPU, (processorTime(pid)-was).Seconds()/took)
		out.MaxMB = max(out.MaxMB, memoryMB(pid, "VmHWM:"))
		out.OwnMB = max(out.OwnMB, memoryMB(pid, "RssAnon:"))
	}
	now, err := limit.mark()
	if err != nil {
		return err
	}
	out.BareCPU, out.BareStepP99MS, out.BareLateP99MS = (now.CPU-bare.CPU)/took, now.TickP99MS, now.LateP99MS
	return nil
}

// What the bare server is sent by each client, about as much as a bot does.
const (
	bareRate  = 30
	bareBytes = 76
)

// busiest is the so many children of a process that used most of a processor so
// far, and how much: the game servers with players.
func busiest(parent, n int) map[int]time.Duration {
	type child struct {
		pid  int
		used time.Duration
	}
	var list []child
	dirs, _ := filepath.Glob("/proc/[0-9]*") // the pattern is a good one
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue
		}
		_, after, _ := strings.Cut(string(stat), ") ")
		if fields := strings.Fields(after); len(fields) > 1 && fields[1] == strconv.Itoa(parent) {
			list = append(list, child{pid, processorTime(pid)})
		}
	}
	slices.SortFunc(list, func(a, b child) int { return int(b.used - a.used) })
	out := map[int]time.Duration{}
	for _, c := range list[:min(n, len(list))] {
		out[c.pid] = c.used
	}
	return out
}

// memoryMB is what Linux says of a process's memory; see proc_pid_status(5).
func memoryMB(pid int, what string) float64 {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, what); ok {
			kb, _ := strconv.ParseFloat(strings.Fields(rest)[0], 64) // 0: as if it was not there
			return kb / 1000
		}
	}
	return 0
}

// attribute is a number of a log line; 0: it is not there.
func attribute(line, key string) float64 {
	_, after, ok := strings.Cut(line, key)
	if !ok {
		return 0
	}
	word, _, _ := strings.Cut(strings.TrimSpace(after), " ")
	v, _ := strconv.ParseFloat(word, 64)
	return v
}
