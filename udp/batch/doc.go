// Package batch reads and writes many datagrams of a UDP socket by one call of the
// kernel, without allocating: x/net makes two objects for each that it reads.
//
// A Socket is bound and known to nobody else: a net.UDPConn belongs to Go's poller, which
// the kernel wakes for each datagram that comes, and for each that another process has
// taken, whether anybody waits for it or not. Messages work on any socket's descriptor.
//
// Neighbours: udp, which waits for game servers' players in a way of its own, and
// edge/gateway. It is for Linux only.
package batch

// Size is how many datagrams one call of the kernel takes at most.
const Size = 64
