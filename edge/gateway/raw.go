package gateway

import (
	"context"
	"net/netip"
	"sync"
	"time"

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
	passes := raw(in, out, addressOf(to))
	passing.Go(func() {
		if !realtime {
			passes.wait(func(time.Time) {})
			return
		}
		inFront(&batch.Front{}, []way{passes}, func(time.Time) {}, func(error) {})
	})
	<-ctx.Done()
	in.Shut()
	passing.Wait()
	return nil
}

// raw moves datagrams.
func raw(from, through *batch.Socket, to address) way {
	in, out := newReader(from), newWriter(through)
	return way{in: in, pass: func(n int, _ time.Time) {
		for i := range n {
			b, _ := in.at(i)
			out.put(to, b)
		}
		out.flush()
	}}
}
