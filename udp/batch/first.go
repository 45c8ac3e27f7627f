//go:build linux

package batch

import (
	"sync"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Front is for goroutines that run before all threads of the machine that do not, as soon as
// something comes for them (SCHED_FIFO): each makes the thread that it is on such a one. What
// threads those start are as others. That needs CAP_SYS_NICE.
//
// It locks no goroutine to its thread. Go's runtime interrupts whoever runs for 10 ms, and who is
// locked then gets back to his thread by way of another one, which waits for a core as all do.
type Front struct {
	mu     sync.Mutex
	places map[*Place]struct{}
}

// Place is one goroutine's in a Front.
type Place struct {
	front  *Front
	thread int // written by its goroutine, with the Front's lock
}

// Enter makes the calling goroutine's thread run before others. It is an error of the kernel's
// where that is not allowed.
func (f *Front) Enter() (*Place, error) {
	p := &Place{front: f}
	return p, p.Keep()
}

// Keep is called now and then by the goroutine: it may be on another thread by now, and another
// on the one that it had.
func (p *Place) Keep() error {
	now := unix.Gettid()
	if now == p.thread {
		return nil
	}
	p.front.mu.Lock()
	defer p.front.mu.Unlock()
	if err := policy(now, unix.SCHED_FIFO, 1); err != nil {
		return err
	}
	p.move(now)
	return nil
}

// Leave makes the thread one like all others.
func (p *Place) Leave() {
	p.front.mu.Lock()
	defer p.front.mu.Unlock()
	p.move(0)
}

// move gives up the thread that it had, unless somebody else has come to that meanwhile.
func (p *Place) move(to int) {
	before := p.thread
	if p.thread = to; to != 0 {
		if p.front.places == nil {
			p.front.places = map[*Place]struct{}{}
		}
		p.front.places[p] = struct{}{}
	} else {
		delete(p.front.places, p)
	}
	for other := range p.front.places {
		if other.thread == before {
			return
		}
	}
	if before != 0 {
		_ = policy(before, unix.SCHED_NORMAL, 0) // everybody may; it may have ended
	}
}

// Rest lets others have the calling thread's core for as short as the kernel can, without telling
// Go's runtime: who is first might wait for who is not before he goes on.
func Rest() {
	least := unix.Timespec{Nsec: 20_000}
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&least)), 0, 0) // until a signal is as good
}

func policy(thread int, number, priority uint32) error {
	return unix.SchedSetAttr(thread, &unix.SchedAttr{
		Size: uint32(unsafe.Sizeof(unix.SchedAttr{})), Policy: number, Flags: unix.SCHED_FLAG_RESET_ON_FORK, Priority: priority,
	}, 0)
}
