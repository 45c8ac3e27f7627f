package gateway

import (
	"errors"
	"net"
	"runtime"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
)

// filter is a program in the kernel that drops, before it costs more, what the workers
// would drop (program.go). Who is known the workers tell it: who has a flow or a
// line of halfOpen. Methods of a nil filter do nothing.
type filter struct {
	program                      *ebpf.Program
	known, sources, counts, open *ebpf.Map
	link                         link.Link
	full                         atomic.Bool // it was said that there is no room
}

// newFilter loads the program, for so many clients at most, and attaches it to no interface.
func newFilter(c Config, most int) (*filter, error) {
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, err
	}
	f := &filter{}
	// The kernel lends each processor some free places of a full map.
	most += 128 * runtime.NumCPU()
	for _, m := range []struct {
		at   **ebpf.Map
		spec ebpf.MapSpec
	}{
		{&f.known, ebpf.MapSpec{Name: "throng_known", Type: ebpf.Hash, KeySize: addressSize, ValueSize: 1, MaxEntries: uint32(most)}},
		{&f.sources, ebpf.MapSpec{Name: "throng_sources", Type: ebpf.LRUHash, KeySize: 16, ValueSize: 8, MaxEntries: uint32(max(c.HalfOpen, 1024))}},
		{&f.counts, ebpf.MapSpec{Name: "throng_counts", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 8, MaxEntries: uint32(verdicts)}},
		{&f.open, ebpf.MapSpec{Name: "throng_open", Type: ebpf.Array, KeySize: 4, ValueSize: 4, MaxEntries: 1}},
	} {
		var err error
		if *m.at, err = ebpf.NewMap(&m.spec); err != nil {
			return nil, errors.Join(err, f.close())
		}
	}
	p := program{
		listen: c.Listen, protocol: c.ProtocolID, perS: c.PerSource * c.Workers,
		known: f.known.FD(), sources: f.sources.FD(), counts: f.counts.FD(), open: f.open.FD(),
	}
	code := p.instructions()
	var err error
	if f.program, err = ebpf.NewProgram(&ebpf.ProgramSpec{Name: "throng_gateway", Type: ebpf.XDP, License: "Apache-2.0", Instructions: code}); err != nil {
		return nil, errors.Join(err, f.close())
	}
	return f, nil
}

// attach lets the program see what comes in at an interface: before the kernel made
// anything of it where the driver can, else right after.
func (f *filter) attach(at *net.Interface) (err error) {
	f.link, err = link.AttachXDP(link.XDPOptions{Program: f.program, Interface: at.Index})
	return err
}

// add makes a client known. False: the kernel has no room, and the filter lets pass what
// is from whomever, from now on.
func (f *filter) add(client address) bool {
	if f == nil {
		return true
	}
	if f.known.Put(client.append(nil), byte(1)) == nil {
		return true
	}
	_ = f.open.Put(uint32(0), uint32(1)) // of an array: does not fail
	return false
}

func (f *filter) remove(client address) {
	if f != nil {
		_ = f.known.Delete(client.append(nil)) // he is not there
	}
}

// count adds what was dropped.
func (f *filter) count(to *[verdicts]uint64) {
	if f == nil {
		return
	}
	for _, v := range []Verdict{Malformed, Protocol, SourceLimit, Unknown} { // as program counts
		var each []uint64
		if f.counts.Lookup(uint32(v), &each) != nil {
			continue
		}
		for _, n := range each {
			to[v] += n
		}
	}
}

func (f *filter) close() error {
	if f == nil {
		return nil
	}
	var all []error
	if f.link != nil {
		all = append(all, f.link.Close())
	}
	if f.program != nil {
		all = append(all, f.program.Close())
	}
	for _, m := range []*ebpf.Map{f.known, f.sources, f.counts, f.open} {
		if m != nil {
			all = append(all, m.Close())
		}
	}
	return errors.Join(all...)
}
