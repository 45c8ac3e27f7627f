package dns

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// Times to live in seconds.
const (
	ttl         = 30   // of addresses
	negativeTTL = 30   // of "there is none"
	zoneTTL     = 3600 // of SOA and NS
)

// zone is one name and nothing below it.
type zone struct {
	name    string // lower case, with its dot
	ns      []string
	mailbox string
	serial  uint32
}

// in says whether a name is the zone's, or below it.
func (z *zone) in(name string) (apex, below bool) {
	name = strings.ToLower(name)
	return name == z.name, name != z.name && dns.IsSubDomain(z.name, name)
}

// decide returns the answer to q as if there were room for it, what became of the
// query, and the region that it is sent to; -1: none.
func (z *zone) decide(q *query, v *view) (m *dns.Msg, verdict Verdict, region int) {
	m = q.reply()
	asked := q.msg.Question[0]
	apex, below := z.in(asked.Name)
	switch {
	case asked.Qclass != dns.ClassINET, !apex && !below, asked.Qtype == dns.TypeAXFR, asked.Qtype == dns.TypeIXFR:
		m.Rcode = dns.RcodeRefused
		return m, Refused, -1
	case below:
		m.Authoritative, m.Rcode = true, dns.RcodeNameError
		m.Ns = []dns.RR{z.soa(z.name, negativeTTL)}
		return m, NoName, -1
	}
	m.Authoritative = true
	region = -1
	switch asked.Qtype {
	case dns.TypeA, dns.TypeAAAA:
		region = z.address(m, q, v, asked)
	case dns.TypeSOA:
		m.Answer = []dns.RR{z.soa(asked.Name, zoneTTL)}
	case dns.TypeNS:
		for _, ns := range z.ns {
			m.Answer = append(m.Answer, &dns.NS{Hdr: head(asked, zoneTTL), Ns: ns})
		}
	case dns.TypeANY: // RFC 8482
		m.Answer = []dns.RR{&dns.HINFO{Hdr: dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeHINFO, Class: dns.ClassINET, Ttl: zoneTTL}, Cpu: "RFC8482"}}
	}
	if len(m.Answer) == 0 {
		m.Ns = []dns.RR{z.soa(asked.Name, negativeTTL)}
		return m, NoData, -1
	}
	return m, Answered, region
}

// address answers with the addresses of the best region for who asks.
func (z *zone) address(m *dns.Msg, q *query, v *view, asked dns.Question) int {
	network, told := q.network()
	order, scope := v.table.find(network)
	if told {
		said(m).SourceScope = uint8(scope) //nolint:gosec // 128 at most
	}
	bits := 32
	if asked.Qtype == dns.TypeAAAA {
		bits = 128
	}
	region := v.best(order, bits)
	if region < 0 {
		return region
	}
	for _, a := range v.table.regions[region].kind(bits) {
		if bits == 128 {
			m.Answer = append(m.Answer, &dns.AAAA{Hdr: head(asked, ttl), AAAA: a.AsSlice()})
		} else {
			m.Answer = append(m.Answer, &dns.A{Hdr: head(asked, ttl), A: a.AsSlice()})
		}
	}
	return region
}

func head(asked dns.Question, ttl uint32) dns.RR_Header {
	return dns.RR_Header{Name: asked.Name, Rrtype: asked.Qtype, Class: dns.ClassINET, Ttl: ttl}
}

func (z *zone) soa(name string, ttl uint32) *dns.SOA {
	return &dns.SOA{
		Hdr: dns.RR_Header{Name: name, Rrtype: dns.TypeSOA, Class: dns.ClassINET, Ttl: ttl},
		Ns:  z.ns[0], Mbox: z.mailbox, Serial: z.serial, Refresh: 3600, Retry: 600, Expire: 86400, Minttl: negativeTTL,
	}
}

// reply is an answer to q without records. It says what q said of its client's
// subnet, for which nothing is known yet.
func (q *query) reply() *dns.Msg {
	m := &dns.Msg{Compress: true}
	m.Id, m.Response, m.Opcode, m.RecursionDesired = q.msg.Id, true, q.msg.Opcode, q.msg.RecursionDesired
	m.CheckingDisabled = q.msg.CheckingDisabled
	if len(q.msg.Question) == 1 {
		m.Question = q.msg.Question
	}
	if q.edns == nil {
		return m
	}
	opt := &dns.OPT{Hdr: dns.RR_Header{Name: ".", Rrtype: dns.TypeOPT}}
	opt.SetUDPSize(maxAnswer)
	opt.SetDo(q.edns.Do())
	if q.subnet != nil {
		subnet := *q.subnet
		opt.Option = append(opt.Option, &subnet)
	}
	m.Extra = []dns.RR{opt}
	return m
}

// said is what an answer says of the client's subnet; it says something.
func said(m *dns.Msg) *dns.EDNS0_SUBNET {
	for _, o := range m.IsEdns0().Option {
		if o, ok := o.(*dns.EDNS0_SUBNET); ok {
			return o
		}
	}
	return &dns.EDNS0_SUBNET{}
}

// refuse is the answer to what is no good query.
func (q *query) refuse(verdict Verdict) *dns.Msg {
	m := q.reply()
	m.Rcode = dns.RcodeFormatError
	if verdict == Unsupported {
		m.Rcode = dns.RcodeNotImplemented
	}
	if verdict == BadVersion {
		m.Rcode = dns.RcodeBadVers
	}
	if opt := m.IsEdns0(); opt != nil {
		opt.Option = nil
	}
	return m
}

// room is how large an answer may be. To who has not proven that he is where the
// query says it comes from, it is never larger than the query (decision 36).
func (q *query) room() int {
	switch {
	case q.by == byTCP:
		return 1<<16 - 1
	case !q.proven:
		return q.size
	case q.edns == nil:
		return dns.MinMsgSize
	}
	return min(maxAnswer, max(dns.MinMsgSize, int(q.edns.UDPSize())))
}

// fit packs an answer into the room that it has: with a cookie for who can take
// one, or else the advice to ask again, with a good cookie or by TCP.
func (q *query) fit(m *dns.Msg, verdict Verdict, c cookies, now time.Time, buffer []byte) ([]byte, Verdict) {
	var cookie *dns.EDNS0_COOKIE
	if q.client != nil && m.IsEdns0() != nil {
		cookie = &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex.EncodeToString(append(q.client, c.bake(q.client, q.from, now)...))}
		opt := m.IsEdns0()
		opt.Option = append(opt.Option, cookie)
	}
	if b := q.pack(m, buffer); b != nil {
		return b, verdict
	}
	if q.stale && !q.proven {
		again := q.reply()
		again.Rcode = dns.RcodeBadCookie
		again.IsEdns0().Option = []dns.EDNS0{cookie}
		if b := q.pack(again, buffer); b != nil {
			return b, BadCookie
		}
	}
	if b := q.truncation(buffer); b != nil {
		return b, Truncated
	}
	return nil, Ignored
}

// truncation says: by TCP, please.
func (q *query) truncation(buffer []byte) []byte {
	m := q.reply()
	m.Truncated, m.Authoritative = true, true
	if opt := m.IsEdns0(); opt != nil {
		opt.Option = nil
	}
	return q.pack(m, buffer)
}

// pack returns nil if it doesn't fit.
func (q *query) pack(m *dns.Msg, buffer []byte) []byte {
	b, err := m.PackBuffer(buffer)
	if err != nil || len(b) > q.room() {
		return nil
	}
	return b
}

// plain is an address without IPv6 around IPv4.
func plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }
