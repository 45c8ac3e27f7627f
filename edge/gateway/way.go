package gateway

import (
	"time"

	"github.com/throng-gg/throng/udp/batch"
)

// way is one direction in which datagrams are passed on. What goes wrong with a socket is no
// datagram.
type way struct {
	in   reader
	pass func(n int, now time.Time) // what is done with the n that were read
}

// wait passes on what comes until the socket is shut, and waits for it in the kernel. It
// calls tend at least each tendEvery.
func (w way) wait(tend func(now time.Time)) {
	for {
		n, _ := w.in.Wait(w.in.socket.Descriptor())
		if w.in.socket.Over() {
			return
		}
		now := time.Now()
		if n > 0 {
			w.pass(n, now)
		}
		tend(now)
	}
}

const (
	tendEvery  = time.Second            // for who has nothing else to do
	quietAfter = 200 * time.Microsecond // without a datagram poll waits in the kernel
	keepEvery  = 50 * time.Microsecond  // it looks whether it is still in front
	restAfter  = 800 * time.Microsecond // it lets others have the core, as soon as nothing is to do
)

// poll passes on what comes all ways until a socket is shut. It looks at one after the other,
// and waits in the kernel only when nothing came for a while: who is woken for each datagram
// spends more on waking than on passing it on, and is late for those behind it.
//
// It rests, for the core has other work that nobody else can do, the kernel's own
// too, and would be taken away for 50 ms a second from who never did (the scheduler's fair
// server).
//
// It calls tend between datagrams, and at least each tendEvery: nobody else then holds, for as
// long as that takes, what it needs to pass on. Who runs it has a place in front, or none: nil.
func poll(ways []way, tend func(now time.Time), front *batch.Place) {
	sockets := make([]*batch.Socket, len(ways))
	for i, w := range ways {
		sockets[i] = w.in.socket
	}
	heard := time.Now()
	for rested, tended, kept := heard, heard, heard; ; {
		now, came := time.Now(), 0
		for _, w := range ways {
			n, _ := w.in.Receive(w.in.socket.Descriptor())
			if w.in.socket.Over() {
				return
			}
			if n > 0 {
				w.pass(n, now)
			}
			came += n
		}
		if now.Sub(kept) > keepEvery {
			keep(front)
			kept = now
		}
		if now.Sub(tended) > stepEvery {
			tend(now)
			tended = now
		}
		switch {
		case came > 0:
			heard = now
		case now.Sub(heard) > quietAfter:
			batch.Await(sockets, tendEvery)
			heard = time.Now()
			rested = heard
		case now.Sub(rested) > restAfter:
			batch.Rest()
			rested = time.Now()
		}
	}
}

// keep keeps a place, if there is one; who was allowed to have it is again.
func keep(front *batch.Place) {
	if front != nil {
		_ = front.Keep()
	}
}
