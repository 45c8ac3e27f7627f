package gateway

import (
	"encoding/binary"
	"net"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng/wire/netcode"
)

// batchSize is how many datagrams one call of the kernel takes at most.
const batchSize = 64

// slotSize is room for a head before a datagram that comes with one itself, and one
// byte more than any has, so that longer ones show.
const slotSize = 2*netcode.CarriedSize + netcode.MaxDatagram + 1

// message is the kernel's struct mmsghdr.
type message struct {
	head unix.Msghdr
	size uint32
	_    [4]byte
}

// rawAddress is a socket address of either version, as the kernel has it.
type rawAddress [unix.SizeofSockaddrInet6]byte

func (r *rawAddress) address() (a address) {
	a.port = binary.BigEndian.Uint16(r[2:])
	if binary.NativeEndian.Uint16(r[:]) == unix.AF_INET {
		a.ip[10], a.ip[11] = 0xff, 0xff
		copy(a.ip[12:], r[4:8])
		return a
	}
	copy(a.ip[:], r[8:24])
	return a
}

// set writes an address for a socket of a family and returns its size.
func (r *rawAddress) set(a address, family int) uint32 {
	clear(r[:])
	binary.NativeEndian.PutUint16(r[:], uint16(family))
	binary.BigEndian.PutUint16(r[2:], a.port)
	if family == unix.AF_INET {
		copy(r[4:], a.ip[12:])
		return unix.SizeofSockaddrInet4
	}
	copy(r[8:], a.ip[:])
	return unix.SizeofSockaddrInet6
}

// batch is many datagrams of one socket, read or written by one call. It allocates
// nothing: x/net makes two objects for each that it reads.
type batch struct {
	raw      syscall.RawConn
	family   int
	messages [batchSize]message
	parts    [batchSize]unix.Iovec
	names    [batchSize]rawAddress
	room     [][slotSize]byte // of what is read

	call  func(fd uintptr) bool
	ready int
	errno syscall.Errno
}

func newBatch(socket *net.UDPConn) (*batch, error) {
	raw, err := socket.SyscallConn()
	if err != nil {
		return nil, err
	}
	b := &batch{raw: raw}
	var failed error
	err = raw.Control(func(fd uintptr) {
		b.family, failed = unix.GetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_DOMAIN)
	})
	if err != nil || failed != nil {
		return nil, errOr(err, failed)
	}
	for i := range b.messages {
		head := &b.messages[i].head
		head.Name, head.Namelen = &b.names[i][0], unix.SizeofSockaddrInet6
		head.Iov = &b.parts[i]
		head.SetIovlen(1)
	}
	return b, nil
}

func errOr(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// reader is a batch that reads. Each datagram comes behind room for a head.
type reader struct{ *batch }

func newReader(socket *net.UDPConn) (reader, error) {
	b, err := newBatch(socket)
	if err != nil {
		return reader{}, err
	}
	b.room = make([][slotSize]byte, batchSize)
	for i := range b.parts {
		b.parts[i].Base = &b.room[i][netcode.CarriedSize]
		b.parts[i].SetLen(slotSize - netcode.CarriedSize)
	}
	b.call = b.receive
	return reader{b}, nil
}

func (b *batch) receive(fd uintptr) bool {
	n, _, errno := unix.Syscall6(unix.SYS_RECVMMSG, fd, uintptr(unsafe.Pointer(&b.messages[0])), batchSize, unix.MSG_DONTWAIT, 0, 0)
	b.ready, b.errno = int(n), errno
	return errno != unix.EAGAIN
}

// read waits for datagrams and says how many came. Its error says that the socket
// was closed; what else goes wrong is no datagram.
func (r reader) read() (int, error) {
	for i := range r.messages {
		r.messages[i].head.Namelen = unix.SizeofSockaddrInet6
	}
	if err := r.raw.Read(r.call); err != nil {
		return 0, err
	}
	if r.errno != 0 {
		return 0, nil
	}
	return r.ready, nil
}

// at returns one datagram of those that were read, with the head's room before it,
// and who sent it.
func (r reader) at(i int) (withHead []byte, from address) {
	n := min(int(r.messages[i].size), slotSize-netcode.CarriedSize)
	return r.room[i][:netcode.CarriedSize+n], r.names[i].address()
}

// writer is a batch that writes.
type writer struct {
	*batch
	waiting int
}

func newWriter(socket *net.UDPConn) (*writer, error) {
	b, err := newBatch(socket)
	if err != nil {
		return nil, err
	}
	w := &writer{batch: b}
	b.call = w.send
	return w, nil
}

// put lets a datagram wait for flush; its memory must not change until then. There are at
// most batchSize between two calls of flush.
func (w *writer) put(to address, datagram []byte) {
	i := w.waiting
	w.messages[i].head.Namelen = w.names[i].set(to, w.family)
	w.parts[i].Base = &datagram[0]
	w.parts[i].SetLen(len(datagram))
	w.waiting++
}

func (w *writer) send(fd uintptr) bool {
	n, _, errno := unix.Syscall6(unix.SYS_SENDMMSG, fd, uintptr(unsafe.Pointer(&w.messages[w.ready])), uintptr(w.waiting-w.ready), unix.MSG_DONTWAIT, 0, 0)
	if errno != 0 || n == 0 {
		w.errno = errno
		n = 0
	}
	w.ready += int(n)
	return true
}

// flush sends what waits, and says how many the kernel refused: what it has no
// room for is lost, as on any link.
func (w *writer) flush() (unsent int) {
	for w.ready = 0; w.ready < w.waiting; {
		before := w.ready
		if err := w.raw.Write(w.call); err != nil {
			unsent += w.waiting - w.ready
			break
		}
		if w.ready == before {
			w.ready++
			unsent++
		}
	}
	w.waiting = 0
	return unsent
}
