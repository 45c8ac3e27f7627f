//go:build linux

package batch

import (
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// First calls f on a thread of its own, which runs before all threads of the machine that do
// not, as soon as something comes for it (SCHED_FIFO); what threads it starts are as
// others. That needs CAP_SYS_NICE. Where the kernel does not allow it, f is called as it
// would be without, after refused is told why.
func First(f func(), refused func(error)) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if err := policy(unix.SCHED_FIFO, 1); err != nil {
		refused(err)
	} else {
		defer func() { _ = policy(unix.SCHED_NORMAL, 0) }() // everybody may
	}
	f()
}

// Rest lets others have the calling thread's core for as short as the kernel can, without telling
// Go's runtime: a thread that is first might wait for one that is not before it goes on.
func Rest() {
	least := unix.Timespec{Nsec: 20_000}
	_, _, _ = unix.RawSyscall(unix.SYS_NANOSLEEP, uintptr(unsafe.Pointer(&least)), 0, 0) // until a signal is as good
}

// policy is the calling thread's alone.
func policy(number, priority uint32) error {
	return unix.SchedSetAttr(0, &unix.SchedAttr{
		Size: uint32(unsafe.Sizeof(unix.SchedAttr{})), Policy: number, Flags: unix.SCHED_FLAG_RESET_ON_FORK, Priority: priority,
	}, 0)
}
