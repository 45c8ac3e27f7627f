package dns

import (
	"encoding/hex"
	"net/netip"
	"time"

	"github.com/miekg/dns"
)

// Sizes of messages in bytes.
const (
	headSize  = 12
	maxQuery  = 1232 // longer ones get no answer
	maxAnswer = 1232 // what we say that we take and send at most by UDP
)

// query is a question that can be answered.
type query struct {
	msg    dns.Msg
	size   int // of the datagram that it came in
	from   netip.Addr
	by     transport
	edns   *dns.OPT // nil: none
	subnet *dns.EDNS0_SUBNET
	client []byte // of the cookie; nil: none
	stale  bool   // with a server cookie that is not good
	proven bool   // the sender has received something at from
}

// parse reads a message. If it's no good query, verdict says why, and q is still
// what a refusal is made from, except if it is Ignored: then it gets none.
func parse(b []byte, from netip.Addr, by transport, c cookies, now time.Time) (q *query, verdict Verdict) {
	q = &query{size: len(b), from: from, by: by, proven: by == byTCP}
	if len(b) < headSize || len(b) > maxQuery || b[2]&0x80 != 0 { // an answer: it would be one to ours
		return q, Ignored
	}
	if err := q.msg.Unpack(b); err != nil {
		q.msg = dns.Msg{}
		q.msg.Id, q.msg.Opcode = uint16(b[0])<<8|uint16(b[1]), int(b[2]>>3&0xf)
		return q, Malformed
	}
	if q.msg.Opcode != dns.OpcodeQuery {
		return q, Unsupported
	}
	m := &q.msg
	if len(m.Question) != 1 || len(m.Answer)+len(m.Ns) > 0 || len(m.Extra) > 1 {
		return q, Malformed
	}
	if len(m.Extra) == 0 {
		return q, Answered
	}
	var ok bool
	if q.edns, ok = m.Extra[0].(*dns.OPT); !ok || q.edns.Hdr.Name != "." {
		q.edns = nil
		return q, Malformed
	}
	if q.edns.Version() != 0 {
		return q, BadVersion
	}
	if !q.options(c, now) {
		return q, Malformed
	}
	return q, Answered
}

// options reads those of EDNS; false: they are not as the standards have them.
func (q *query) options(c cookies, now time.Time) bool {
	for _, o := range q.edns.Option {
		switch o := o.(type) {
		case *dns.EDNS0_SUBNET:
			if q.subnet != nil || !subnetOK(o) {
				return false
			}
			q.subnet = o
		case *dns.EDNS0_COOKIE:
			b, err := hex.DecodeString(o.Cookie)
			if n := len(b); err != nil || q.client != nil || n != clientCookie && (n < clientCookie+8 || n > clientCookie+32) {
				return false
			}
			server := b[clientCookie:]
			q.client = b[:clientCookie:clientCookie]
			if len(server) > 0 {
				q.stale = !c.good(q.client, server, q.from, now)
				q.proven = q.proven || !q.stale
			}
		}
	}
	return true
}

// subnetOK says whether a client subnet is as a query may have it (RFC 7871, 7.1.2).
func subnetOK(o *dns.EDNS0_SUBNET) bool {
	if o.SourceScope != 0 {
		return false
	}
	if o.Family == 0 {
		return o.SourceNetmask == 0
	}
	p, ok := prefixOf(o)
	return ok && p == p.Masked()
}

// prefixOf is a client subnet's network; family and length are checked.
func prefixOf(o *dns.EDNS0_SUBNET) (netip.Prefix, bool) {
	a, ok := netip.AddrFromSlice(o.Address)
	if o.Family == 1 {
		a = a.Unmap()
	}
	switch {
	case !ok, o.Family == 1 && !a.Is4(), o.Family == 2 && !a.Is6(), o.Family > 2, int(o.SourceNetmask) > a.BitLen():
		return netip.Prefix{}, false
	}
	return netip.PrefixFrom(a, int(o.SourceNetmask)), true
}

// network is the one that is asked for, and whether it is that of a client subnet.
func (q *query) network() (p netip.Prefix, told bool) {
	if q.subnet != nil && q.subnet.SourceNetmask > 0 {
		if p, ok := prefixOf(q.subnet); ok {
			return p, true
		}
	}
	return netip.PrefixFrom(q.from, q.from.BitLen()), false
}
