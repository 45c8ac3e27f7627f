//go:build linux

package batch

import (
	"bytes"
	"errors"
	"net/netip"
	"runtime"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

func bind(t *testing.T) *Socket {
	t.Helper()
	s, err := Bind(t.Context(), netip.MustParseAddrPort("[::1]:0"), nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// What is sent comes, in order, says who sent it, and what is longer than its buffer is cut.
func TestSendAndReceive(t *testing.T) {
	a, b := bind(t), bind(t)
	defer func() { _, _ = a.Close(), b.Close() }()
	out, in := New(), New()
	var room [Size][10]byte
	for i := range Size {
		in.SetBuffer(i, room[i][:])
		out.SetBuffer(i, bytes.Repeat([]byte{byte(i)}, i%12))
		out.SetTo(i, b.Address().Addr().As16(), b.Address().Port(), 0, a.Family())
	}
	if n, errno := in.Receive(b.Descriptor()); n != 0 || errno != unix.EAGAIN {
		t.Errorf("%d datagrams and %v before any was sent", n, errno)
	}
	if n, errno := out.Send(a.Descriptor(), 3, Size); n != Size-3 || errno != 0 {
		t.Fatalf("%d datagrams were sent: %v", n, errno)
	}
	for came := 0; came < Size-3; {
		n, errno := in.Wait(b.Descriptor())
		if errno != 0 || n < 1 {
			t.Fatalf("after %d: %v", came, errno)
		}
		for i := range n {
			sent := came + i + 3
			if want := bytes.Repeat([]byte{byte(sent)}, min(sent%12, 10)); in.Len(i) != len(want) || !bytes.Equal(room[i][:in.Len(i)], want) {
				t.Errorf("datagram %d is %x", sent, room[i][:in.Len(i)])
			}
			if ip, port, _ := in.From(i).Address(); netip.AddrPortFrom(netip.AddrFrom16(ip), port) != a.Address() {
				t.Errorf("datagram %d is of %v:%d, want %v", sent, ip, port, a.Address())
			}
		}
		came += n
	}
	out.SetTo(0, b.Address().Addr().As16(), 0, 0, a.Family())
	if n, errno := out.Send(a.Descriptor(), 0, 1); n != 0 || errno == 0 {
		t.Errorf("%d datagrams went to port 0", n)
	}
}

// Who waits comes back when the socket is shut.
func TestShut(t *testing.T) {
	s := bind(t)
	back := make(chan struct{})
	go func() {
		defer close(back)
		for in := New(); !s.Over(); {
			_, _ = in.Wait(s.Descriptor())
		}
	}()
	s.Shut()
	select {
	case <-back:
	case <-time.After(10 * time.Second):
		t.Fatal("nobody came back")
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// Who waits at two sockets comes back when something comes to either, and when one is shut.
func TestAwait(t *testing.T) {
	a, b := bind(t), bind(t)
	defer func() { _, _ = a.Close(), b.Close() }()
	back := func(why string) {
		t.Helper()
		came := make(chan struct{})
		go func() {
			defer close(came)
			Await([]*Socket{a, b}, time.Minute)
		}()
		select {
		case <-came:
		case <-time.After(10 * time.Second):
			t.Fatalf("nobody came back when %s", why)
		}
	}
	out, in := New(), New()
	out.SetBuffer(0, []byte("x"))
	in.SetBuffer(0, make([]byte, 10))
	for _, to := range []*Socket{b, a} {
		out.SetTo(0, to.Address().Addr().As16(), to.Address().Port(), 0, a.Family())
		if n, errno := out.Send(a.Descriptor(), 0, 1); n != 1 {
			t.Fatal(errno)
		}
		back("something came")
		if n, errno := in.Receive(to.Descriptor()); n != 1 {
			t.Fatal(errno)
		}
	}
	b.Shut()
	back("one was shut")
}

func policyOf(t *testing.T, thread int) uint32 {
	t.Helper()
	a, err := unix.SchedGetAttr(thread, 0)
	if err != nil {
		t.Fatal(err)
	}
	return a.Policy
}

func enter(t *testing.T, f *Front) *Place {
	t.Helper()
	p, err := f.Enter()
	if err != nil {
		t.Skipf("the kernel does not allow it here: %v", err)
	}
	return p
}

// Who is in front is so alone, and until he leaves.
func TestFront(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	p, another := enter(t, &Front{}), make(chan uint32)
	if got := policyOf(t, 0); got != unix.SCHED_FIFO {
		t.Errorf("got policy %d, want %d", got, unix.SCHED_FIFO)
	}
	go func() { another <- policyOf(t, 0) }()
	if got := <-another; got != unix.SCHED_NORMAL {
		t.Errorf("another thread has policy %d, want %d", got, unix.SCHED_NORMAL)
	}
	if p.Leave(); policyOf(t, 0) != unix.SCHED_NORMAL {
		t.Errorf("got policy %d after it, want %d", policyOf(t, 0), unix.SCHED_NORMAL)
	}
}

// Two goroutines exchange their threads, one after the other: both are first all the time.
func TestFrontMoves(t *testing.T) {
	f, threads := &Front{}, make(chan int)
	thread := func(run <-chan func()) {
		runtime.LockOSThread()
		threads <- unix.Gettid()
		for f := range run {
			f()
		}
	}
	one, two := make(chan func()), make(chan func())
	go thread(one)
	a := <-threads
	go thread(two)
	b := <-threads
	on := func(thread chan func(), f func()) {
		done := make(chan struct{})
		thread <- func() { f(); close(done) }
		<-done
	}
	defer close(one)
	defer close(two)
	var p, q *Place
	var failed [2]error
	on(one, func() { p, failed[0] = f.Enter() })
	on(two, func() { q, failed[1] = f.Enter() })
	if err := errors.Join(failed[:]...); err != nil {
		t.Skipf("the kernel does not allow it here: %v", err)
	}
	want := func(what string, ofA, ofB uint32) {
		t.Helper()
		if x, y := policyOf(t, a), policyOf(t, b); x != ofA || y != ofB {
			t.Errorf("%s: got policies %d and %d, want %d and %d", what, x, y, ofA, ofB)
		}
	}
	keep := func(thread chan func(), p *Place) {
		on(thread, func() { failed[0] = errors.Join(failed[0], p.Keep()) })
	}
	want("both entered", unix.SCHED_FIFO, unix.SCHED_FIFO)
	keep(two, p)
	want("one is where the other is", unix.SCHED_NORMAL, unix.SCHED_FIFO)
	keep(one, q)
	want("they are exchanged", unix.SCHED_FIFO, unix.SCHED_FIFO)
	p.Leave()
	want("one left", unix.SCHED_FIFO, unix.SCHED_NORMAL)
	q.Leave()
	want("both left", unix.SCHED_NORMAL, unix.SCHED_NORMAL)
	if failed[0] != nil {
		t.Error(failed[0])
	}
}
