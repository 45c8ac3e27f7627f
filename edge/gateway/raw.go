package gateway

import (
	"context"
	"net/netip"
	"sync"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/udp/batch"
)

// Raw passes what comes at one socket on to one address from another socket, with the
// same calls of the kernel as a gateway and no look at it: the limit that a
// gateway is measured beside; before all else of the machine, if it is to. It ends with ctx.
func Raw(ctx context.Context, listen, to netip.AddrPort, realtime bool, ready func(netip.AddrPort)) error { //nolint:revive // as Config has it
	in, err := batch.Bind(ctx, listen, nil)
	if err != nil {
		return throng.Errorf(throng.Unavailable, "bind %s: %w", listen, err)
	}
	defer func() { _ = in.Close() }()
	out, err := batch.Bind(ctx, netip.AddrPortFrom(listen.Addr(), 0), nil)
	if err != nil {
		return throng.Errorf(throng.Unavailable, "bind: %w", err)
	}
	defer func() { _ = out.Close() }()
	ready(in.Address())
	var passing sync.WaitGroup
	passing.Go(func() {
		passes := func() { pass(in, out, addressOf(to)) }
		if !realtime {
			passes()
			return
		}
		batch.First(passes, func(error) {}) // as a gateway it goes on
	})
	<-ctx.Done()
	in.Shut()
	passing.Wait()
	return nil
}

// pass moves datagrams until in is shut.
func pass(in, out *batch.Socket, to address) {
	r, w := newReader(in), newWriter(out)
	for {
		n, open := r.read()
		if !open {
			return
		}
		for i := range n {
			b, _ := r.at(i)
			w.put(to, b)
		}
		w.flush()
	}
}
