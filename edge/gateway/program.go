package gateway

import (
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/cilium/ebpf/asm"
	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng/wire/netcode"
)

// program is the code of a Filter. It drops what fromClient refuses, what is no first
// packet of a client that is not known, and first packets of a source that sends too many,
// and counts it. Whatever it does not understand it lets pass: headers with
// options, fragments, other protocols, ports and addresses.
type program struct {
	listen   netip.AddrPort
	protocol uint64
	perS     int // first packets of a source, and at once

	known, sources, counts, open int // file descriptors of maps
}

// What the code keeps in registers and on its stack.
const (
	data   = asm.R6 // of the frame
	end    = asm.R7 // behind the frame
	header = asm.R8 // the header
	size   = asm.R9 // of what IP carries; then of the payload; then of its body; then the time

	keyAt     = -24 // the client: an address
	sourceAt  = -40 // what counts as its source
	refillAt  = -48 // in ns, when the source's bucket is full again
	verdictAt = -52
	indexAt   = -56 // zero

	ethernet = 14
	udpSize  = 8
	ip4Size  = 20
	ip6Size  = 40
)

const (
	xdpDrop = 1
	xdpPass = 2
)

// instructions are all of it.
func (p program) instructions() asm.Instructions {
	var all asm.Instructions
	for _, part := range []asm.Instructions{p.start(), p.ip4(), p.ip6(), p.datagram(), p.request(), p.other(), p.judge()} {
		all = append(all, part...)
	}
	return all
}

// reach lets pass what is shorter than some bytes behind a register, so that the kernel
// lets the code read them.
func reach(base asm.Register, bytes int32) asm.Instructions {
	return asm.Instructions{
		asm.Mov.Reg(asm.R2, base), asm.Add.Imm(asm.R2, bytes), asm.JGT.Reg(asm.R2, end, "pass"),
	}
}

func (p program) start() asm.Instructions {
	all := asm.Instructions{
		asm.LoadMem(data, asm.R1, 0, asm.Word),
		asm.LoadMem(end, asm.R1, 4, asm.Word),
	}
	all = append(all, reach(data, ethernet)...)
	return append(all,
		asm.LoadMem(asm.R3, data, 12, asm.Half), asm.HostTo(asm.BE, asm.R3, asm.Half),
		asm.JEq.Imm(asm.R3, unix.ETH_P_IP, "ip4"),
		asm.JEq.Imm(asm.R3, unix.ETH_P_IPV6, "ip6"),
		asm.Ja.Label("pass"))
}

// ip4 reads the header, and writes the client's IP to the key.
func (p program) ip4() asm.Instructions {
	all := reach(data, ethernet+ip4Size)
	all[0] = all[0].WithSymbol("ip4")
	all = append(all,
		asm.LoadMem(asm.R3, data, ethernet, asm.Byte), asm.JNE.Imm(asm.R3, 0x45, "pass"), // no options
		asm.LoadMem(asm.R3, data, ethernet+9, asm.Byte), asm.JNE.Imm(asm.R3, unix.IPPROTO_UDP, "pass"),
		asm.LoadMem(asm.R3, data, ethernet+6, asm.Half), asm.HostTo(asm.BE, asm.R3, asm.Half),
		asm.And.Imm(asm.R3, 0x3fff), asm.JNE.Imm(asm.R3, 0, "pass"), // no fragment
		asm.LoadMem(size, data, ethernet+2, asm.Half), asm.HostTo(asm.BE, size, asm.Half),
		asm.JLT.Imm(size, ip4Size, "pass"), asm.Sub.Imm(size, ip4Size))
	if ip := p.listen.Addr().Unmap(); ip.Is4() && !ip.IsUnspecified() {
		b := ip.As4()
		all = append(all, asm.LoadMem(asm.R3, data, ethernet+16, asm.Word),
			asm.LoadImm(asm.R4, int64(binary.NativeEndian.Uint32(b[:])), asm.DWord), asm.JNE.Reg(asm.R3, asm.R4, "pass"))
	} else if !ip.IsUnspecified() {
		all = append(all, asm.Ja.Label("pass"))
		return all
	}
	return append(all,
		asm.Mov.Imm(asm.R3, 0), asm.StoreMem(asm.RFP, keyAt, asm.R3, asm.DWord), asm.StoreImm(asm.RFP, keyAt+8, 0, asm.Half), asm.StoreImm(asm.RFP, keyAt+10, -1, asm.Half),
		asm.LoadMem(asm.R3, data, ethernet+12, asm.Word), asm.StoreMem(asm.RFP, keyAt+12, asm.R3, asm.Word),
		asm.Mov.Reg(header, data), asm.Add.Imm(header, ethernet+ip4Size), asm.Ja.Label("datagram"))
}

// ip6 does the same.
func (p program) ip6() asm.Instructions {
	all := reach(data, ethernet+ip6Size)
	all[0] = all[0].WithSymbol("ip6")
	all = append(all, asm.LoadMem(asm.R3, data, ethernet+6, asm.Byte), asm.JNE.Imm(asm.R3, unix.IPPROTO_UDP, "pass"),
		asm.LoadMem(size, data, ethernet+4, asm.Half), asm.HostTo(asm.BE, size, asm.Half))
	ip := p.listen.Addr().Unmap()
	switch {
	case ip.IsUnspecified():
	case ip.Is4():
		return append(all, asm.Ja.Label("pass"))
	default:
		b := ip.As16()
		for i := 0; i < len(b); i += 8 {
			all = append(all, asm.LoadMem(asm.R3, data, int16(ethernet+24+i), asm.DWord),
				asm.LoadImm(asm.R4, int64(binary.NativeEndian.Uint64(b[i:])), asm.DWord), asm.JNE.Reg(asm.R3, asm.R4, "pass"))
		}
	}
	for i := int16(0); i < 16; i += 8 {
		all = append(all, asm.LoadMem(asm.R3, data, ethernet+8+i, asm.DWord), asm.StoreMem(asm.RFP, keyAt+i, asm.R3, asm.DWord))
	}
	return append(all, asm.Mov.Reg(header, data), asm.Add.Imm(header, ethernet+ip6Size))
}

// datagram reads the header of UDP, the port to the key, and the first byte. Whether all of
// it came is looked at for first packets only, whose size is known: who has no CAP_PERFMON may
// add nothing but constants to the frame's address. The kernel drops what is shorter than it says.
func (p program) datagram() asm.Instructions {
	all := reach(header, udpSize)
	all[0] = all[0].WithSymbol("datagram")
	all = append(all,
		asm.LoadMem(asm.R3, header, 2, asm.Half), asm.HostTo(asm.BE, asm.R3, asm.Half), asm.JNE.Imm(asm.R3, int32(p.listen.Port()), "pass"),
		asm.LoadMem(asm.R3, header, 0, asm.Half), asm.StoreMem(asm.RFP, keyAt+16, asm.R3, asm.Half),
		asm.LoadMem(asm.R3, header, 4, asm.Half), asm.HostTo(asm.BE, asm.R3, asm.Half), asm.JLT.Imm(asm.R3, udpSize, "pass"),
		asm.JGT.Reg(asm.R3, size, "pass"), // the kernel drops it
		asm.Mov.Reg(size, asm.R3), asm.Sub.Imm(size, udpSize),
		asm.JLT.Imm(size, shortest, "malformed"), asm.JGT.Imm(size, netcode.MaxDatagram, "malformed"))
	all = append(all, reach(header, udpSize+shortest)...)
	return append(all,
		asm.LoadMem(asm.R3, header, udpSize, asm.Byte),
		asm.Mov.Reg(asm.R4, asm.R3), asm.And.Imm(asm.R4, 15), // the type
		asm.Mov.Reg(asm.R5, asm.R3), asm.RSh.Imm(asm.R5, 4), // how long its number is
		asm.JNE.Imm(asm.R4, int32(netcode.TypeRequest), "other"))
}

// request looks at a first packet.
func (p program) request() asm.Instructions {
	head := binary.LittleEndian.AppendUint64([]byte(requestVersion), p.protocol)
	all := asm.Instructions{asm.JNE.Imm(asm.R3, 0, "malformed"), asm.JNE.Imm(size, netcode.RequestSize, "malformed")}
	// All of it has to be there: a source pays for no shorter frame that says it is one.
	all = append(all, reach(header, udpSize+netcode.RequestSize)...)
	for i := range head {
		all = append(all, asm.LoadMem(asm.R3, header, int16(udpSize+i), asm.Byte), asm.JNE.Imm(asm.R3, int32(head[i]), "protocol"))
	}
	// The source is the IP, but of IPv6 a /64.
	all = append(all,
		asm.LoadMem(asm.R3, asm.RFP, keyAt, asm.DWord), asm.StoreMem(asm.RFP, sourceAt, asm.R3, asm.DWord),
		asm.LoadMem(asm.R4, asm.RFP, keyAt+8, asm.Word), asm.LoadMem(asm.R5, asm.RFP, keyAt+12, asm.Word),
		asm.JNE.Imm(asm.R3, 0, "wide"), asm.HostTo(asm.BE, asm.R4, asm.Word), asm.JNE.Imm(asm.R4, 0xffff, "wide"),
		asm.LoadMem(asm.R4, asm.RFP, keyAt+8, asm.Word),
		asm.StoreMem(asm.RFP, sourceAt+8, asm.R4, asm.Word), asm.StoreMem(asm.RFP, sourceAt+12, asm.R5, asm.Word), asm.Ja.Label("bucket"),
		asm.Mov.Imm(asm.R3, 0).WithSymbol("wide"), asm.StoreMem(asm.RFP, sourceAt+8, asm.R3, asm.DWord))
	return append(all, p.bucket()...)
}

// bucket counts first packets of a source. A time is kept, when the bucket will be full
// again: each packet puts it off, but not beyond a second from now.
func (p program) bucket() asm.Instructions {
	each := int64(time.Second) / int64(p.perS)
	return asm.Instructions{
		asm.FnKtimeGetNs.Call().WithSymbol("bucket"), asm.Mov.Reg(size, asm.R0),
		asm.LoadMapPtr(asm.R1, p.sources), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, sourceAt), asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "new"),
		asm.LoadMem(asm.R3, asm.R0, 0, asm.DWord), asm.JGE.Reg(asm.R3, size, "later"), asm.Mov.Reg(asm.R3, size),
		asm.Add.Imm(asm.R3, int32(each)).WithSymbol("later"),
		asm.Mov.Reg(asm.R4, size), asm.LoadImm(asm.R5, each*int64(p.perS), asm.DWord), asm.Add.Reg(asm.R4, asm.R5),
		asm.JGT.Reg(asm.R3, asm.R4, "source"),
		asm.StoreMem(asm.R0, 0, asm.R3, asm.DWord), asm.Ja.Label("pass"),
		asm.Add.Imm(size, int32(each)).WithSymbol("new"), asm.StoreMem(asm.RFP, refillAt, size, asm.DWord),
		asm.LoadMapPtr(asm.R1, p.sources), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, sourceAt),
		asm.Mov.Reg(asm.R3, asm.RFP), asm.Add.Imm(asm.R3, refillAt), asm.Mov.Imm(asm.R4, 0), asm.FnMapUpdateElem.Call(),
		asm.Ja.Label("pass"),
	}
}

// other looks at what is no first packet.
func (p program) other() asm.Instructions {
	all := asm.Instructions{
		asm.JLT.Imm(asm.R5, 1, "malformed").WithSymbol("other"), asm.JGT.Imm(asm.R5, numberMost, "malformed"),
		asm.Sub.Imm(size, 1+tagSize), asm.Sub.Reg(size, asm.R5),
	}
	for kind := netcode.TypeDenied; kind <= netcode.TypeProof; kind++ {
		s := shapeOf(kind)
		if !s.client {
			continue
		}
		next := fmt.Sprint("not type ", kind)
		all = append(all,
			asm.JNE.Imm(asm.R4, int32(kind), next),
			asm.JSLT.Imm(size, int32(s.least), "malformed"), asm.JSGT.Imm(size, int32(s.most), "malformed"), asm.Ja.Label("known"),
			asm.Mov.Reg(asm.R4, asm.R4).WithSymbol(next))
	}
	return append(all, asm.Ja.Label("malformed"))
}

// judge ends it.
func (p program) judge() asm.Instructions {
	all := asm.Instructions{
		asm.LoadMapPtr(asm.R1, p.known).WithSymbol("known"), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, keyAt), asm.FnMapLookupElem.Call(),
		asm.JNE.Imm(asm.R0, 0, "pass"),
		asm.StoreImm(asm.RFP, indexAt, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, p.open), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, indexAt), asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "pass"),
		asm.LoadMem(asm.R3, asm.R0, 0, asm.Word), asm.JNE.Imm(asm.R3, 0, "pass"),
		asm.StoreImm(asm.RFP, verdictAt, int64(Unknown), asm.Word), asm.Ja.Label("drop"),
	}
	for _, c := range []struct {
		label string
		v     Verdict
	}{{"malformed", Malformed}, {"protocol", Protocol}, {"source", SourceLimit}} {
		all = append(all, asm.StoreImm(asm.RFP, verdictAt, int64(c.v), asm.Word).WithSymbol(c.label), asm.Ja.Label("drop"))
	}
	return append(all,
		asm.LoadMapPtr(asm.R1, p.counts).WithSymbol("drop"), asm.Mov.Reg(asm.R2, asm.RFP), asm.Add.Imm(asm.R2, verdictAt), asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "dropped"),
		asm.LoadMem(asm.R3, asm.R0, 0, asm.DWord), asm.Add.Imm(asm.R3, 1), asm.StoreMem(asm.R0, 0, asm.R3, asm.DWord),
		asm.Mov.Imm(asm.R0, xdpDrop).WithSymbol("dropped"), asm.Return(),
		asm.Mov.Imm(asm.R0, xdpPass).WithSymbol("pass"), asm.Return(),
	)
}
