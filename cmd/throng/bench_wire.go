package main

import (
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/throng-gg/throng"
)

// benchWireCmd measures what a server spends for its players' datagrams, over
// each transport, in a process of its own.
type benchWireCmd struct {
	Players int           `default:"100" help:"Players at once, 1 to 120."`
	Rate    int           `default:"30" help:"Datagrams a second that each player sends, and is sent."`
	Up      int           `default:"100" help:"Bytes of each payload that players send."`
	Down    int           `default:"200" help:"Bytes of each payload that players are sent, up to 1,100."`
	For     time.Duration `default:"4s" help:"How long each transport is measured, in each run."`
	Runs    int           `default:"3" help:"Runs, each with every transport; medians are reported."`
	Sides   []string      `help:"Only these, of ${enum}. A ratio needs both of its sides." placeholder:"NAME" enum:"bare-echo,throng-echo,bare-tick,throng-tick,enet,quic,webtransport"`
	JSON    bool          `help:"Print the report as JSON."`
}

// The sides that are measured.
const (
	sideBareEcho     = "bare-echo"     // one socket, ChaCha20-Poly1305, an answer for each datagram
	sideThrongEcho   = "throng-echo"   // udp.Transport, whose reader is woken for each and answers
	sideBareTick     = "bare-tick"     // as sideBareEcho, but everybody is sent to at each tick
	sideThrongTick   = "throng-tick"   // udp.Transport as game servers use it
	sideENet         = "enet"          // which does not encrypt
	sideQUIC         = "quic"          // quic-go's datagrams
	sideWebTransport = "webtransport"  // webtransport.Transport
	sideForgedRead   = "forged-read"   // reads what comes and does nothing
	sideForgedThrong = "forged-throng" // udp.Transport under forged requests
)

func wireSides() []string {
	return []string{sideBareEcho, sideThrongEcho, sideBareTick, sideThrongTick, sideENet, sideQUIC, sideWebTransport}
}

// wireReport is what bench wire prints.
type wireReport struct {
	Players  int        `json:"players"`
	Rate     int        `json:"rate"`
	Up       int        `json:"up_bytes"`
	Down     int        `json:"down_bytes"`
	SecondsS float64    `json:"seconds"` // of each side in each run
	Runs     int        `json:"runs"`
	Sides    []wireSide `json:"sides"`
	// OfBareTick is the CPU of throng-tick for each payload over that of bare-tick
	// in the same run, the median of the runs; OfBareEcho is over that of
	// bare-echo. The goal is 1.3.
	OfBareTick float64     `json:"of_bare_tick,omitempty"`
	OfBareEcho float64     `json:"of_bare_echo,omitempty"`
	Forged     *wireForged `json:"forged,omitempty"`
	Skipped    []string    `json:"skipped,omitempty"`
}

// wireSide is one transport: medians of the runs, of the serving process alone.
type wireSide struct {
	Name           string  `json:"name"`
	CPU            float64 `json:"cpu"` // seconds a second, that is of one core
	CPUMin         float64 `json:"cpu_min"`
	CPUMax         float64 `json:"cpu_max"`
	USPerDatagram  float64 `json:"us_per_payload"`     // sent or received
	Received       float64 `json:"received,omitempty"` // of what players sent; not known of ENet
	Arrived        float64 `json:"arrived,omitempty"`  // of what was sent to players; likewise
	AllocsPer      float64 `json:"allocs_per_payload"`
	ResidentMB     float64 `json:"resident_mb"`
	cpus           []float64
	perPayload     []float64
	received, came []float64
	allocs, rss    []float64
}

// wireForged is what a request costs that is not genuine.
type wireForged struct {
	CheckUS   float64 `json:"check_us"`   // wire/netcode alone; the goal is 2
	ProcessUS float64 `json:"process_us"` // the serving process, with the kernel
	ReadUS    float64 `json:"read_us"`    // a process that reads them and does nothing
	PerS      float64 `json:"per_s"`      // how many came in
}

// Run measures and reports.
func (c *benchWireCmd) Run(e *env) error {
	if err := c.check(); err != nil {
		return err
	}
	b := &wireBench{benchWireCmd: c, env: e, by: map[string]*wireSide{}}
	err := b.run()
	if err != nil {
		return err
	}
	if c.JSON {
		return writeJSON(e.out, &b.report)
	}
	b.report.text(e.out)
	return nil
}

func (c *benchWireCmd) check() error {
	switch {
	case c.Players < 1 || c.Players > 120:
		return throng.AtField(throng.Invalid, "--players", "is %d, must be 1 to 120", c.Players)
	case c.Rate < 1 || c.Rate > 1000:
		return throng.AtField(throng.Invalid, "--rate", "is %d, must be 1 to 1000", c.Rate)
	case c.Up < 1 || c.Up > 1100 || c.Down < 1 || c.Down > 1100:
		return throng.AtField(throng.Invalid, "--up", "payloads have 1 to 1,100 bytes")
	case c.For < time.Second || c.Runs < 1:
		return throng.AtField(throng.Invalid, "--for", "must be a second at least, and there must be a run")
	}
	return nil
}

// wireBench is a bench under way.
type wireBench struct {
	*benchWireCmd
	env    *env
	enet   string // the program; empty: it is skipped
	report wireReport
	by     map[string]*wireSide
}

func (b *wireBench) run() error {
	sides := b.Sides
	if len(sides) == 0 {
		sides = wireSides()
	}
	b.report = wireReport{
		Players: b.Players, Rate: b.Rate, Up: b.Up, Down: b.Down, SecondsS: b.For.Seconds(), Runs: b.Runs,
	}
	if slices.Contains(sides, sideENet) {
		program, clean, why := buildENet(b.env.ctx)
		defer clean()
		if b.enet = program; program == "" {
			b.report.Skipped = append(b.report.Skipped, "enet: "+why)
			fmt.Fprintf(b.env.err, "SKIPPED enet: %s\n", why)
			sides = slices.DeleteFunc(slices.Clone(sides), func(s string) bool { return s == sideENet })
		}
	}
	for run := range b.Runs {
		for _, name := range sides {
			fmt.Fprintf(b.env.err, "run %d of %d: %s\n", run+1, b.Runs, name)
			if err := b.measure(name); err != nil {
				return fmt.Errorf("measure %s: %w", name, err)
			}
		}
	}
	for _, name := range sides {
		b.report.Sides = append(b.report.Sides, b.by[name].summed())
	}
	b.report.OfBareTick = ratio(b.by[sideThrongTick], b.by[sideBareTick])
	b.report.OfBareEcho = ratio(b.by[sideThrongTick], b.by[sideBareEcho])
	if b.by[sideThrongTick] == nil {
		return nil
	}
	fmt.Fprintln(b.env.err, "forged requests")
	var err error
	b.report.Forged, err = b.forged()
	return err
}

// measure runs one side once.
func (b *wireBench) measure(name string) error {
	s := b.by[name]
	if s == nil {
		s = &wireSide{Name: name}
		b.by[name] = s
	}
	server, err := b.start(name)
	if err != nil {
		return err
	}
	defer server.end()
	players, err := b.play(name, server)
	if err != nil {
		return err
	}
	defer players.end()
	if err := pauseFor(b.env.ctx, time.Second); err != nil { // all is warm
		return err
	}
	from, err := server.mark()
	if err != nil {
		return err
	}
	sent, got, begun := players.sent(), players.got(), time.Now()
	if err := pauseFor(b.env.ctx, b.For); err != nil {
		return err
	}
	to, err := server.mark()
	if err != nil {
		return err
	}
	seconds := time.Since(begun).Seconds()
	sent, got = players.sent()-sent, players.got()-got
	cpu, passed := to.CPU-from.CPU, float64(to.In-from.In+to.Out-from.Out)
	if passed == 0 || to.In == from.In || to.Out == from.Out {
		return throng.Errorf(throng.Internal, "nothing passed: %d payloads in, %d out", to.In-from.In, to.Out-from.Out)
	}
	s.cpus = append(s.cpus, cpu/seconds)
	s.perPayload = append(s.perPayload, cpu*1e6/passed)
	s.rss = append(s.rss, memoryMB(server.cmd.Process.Pid, "VmRSS:"))
	s.allocs = append(s.allocs, float64(to.Mallocs-from.Mallocs)/passed)
	s.received = append(s.received, share(to.In-from.In, sent))
	s.came = append(s.came, share(got, to.Out-from.Out))
	return nil
}

// share is a part of a whole; zero when the whole is not known.
func share(part, whole int64) float64 {
	if whole == 0 {
		return 0
	}
	return float64(part) / float64(whole)
}

func (s *wireSide) summed() wireSide {
	s.CPU, s.CPUMin, s.CPUMax = middle(s.cpus), slices.Min(s.cpus), slices.Max(s.cpus)
	s.USPerDatagram, s.ResidentMB, s.AllocsPer = middle(s.perPayload), middle(s.rss), middle(s.allocs)
	s.Received, s.Arrived = middle(s.received), middle(s.came)
	return *s
}

// ratio is a's CPU for each payload for b's, run by run; zero: one is missing.
func ratio(a, b *wireSide) float64 {
	if a == nil || b == nil {
		return 0
	}
	all := make([]float64, len(a.perPayload))
	for i := range all {
		all[i] = a.perPayload[i] / b.perPayload[i]
	}
	return middle(all)
}

func middle(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[len(sorted)/2]
}

func (r *wireReport) text(w io.Writer) {
	fmt.Fprintf(w, "%d players, %d payloads a second each of %d bytes up and %d down; medians of %d runs of %.0f s\n",
		r.Players, r.Rate, r.Up, r.Down, r.Runs, r.SecondsS)
	for _, s := range r.Sides {
		fmt.Fprintf(w, "%-13s %5.1f %% of a core (%.1f to %.1f), %5.1f us a payload, %.2f allocations, %3.0f MB",
			s.Name, 100*s.CPU, 100*s.CPUMin, 100*s.CPUMax, s.USPerDatagram, s.AllocsPer, s.ResidentMB)
		if s.Received > 0 {
			fmt.Fprintf(w, ", %3.0f %% received, %3.0f %% arrived", 100*s.Received, 100*s.Arrived)
		}
		fmt.Fprintln(w)
	}
	if r.OfBareTick > 0 {
		fmt.Fprintf(w, "throng-tick is %.2f of bare-tick (goal: 1.3 at most)\n", r.OfBareTick)
	}
	if r.OfBareEcho > 0 {
		fmt.Fprintf(w, "throng-tick is %.2f of bare-echo (goal: 1.3 at most)\n", r.OfBareEcho)
	}
	if f := r.Forged; f != nil {
		fmt.Fprintf(w, "a forged request: %.2f us to check (goal: 2 at most), %.2f us of the process with the kernel, of which reading is %.2f; %.0f a second came\n",
			f.CheckUS, f.ProcessUS, f.ReadUS, f.PerS)
	}
	for _, s := range r.Skipped {
		fmt.Fprintf(w, "SKIPPED %s\n", s)
	}
}
