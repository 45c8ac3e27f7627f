package redis

import (
	"crypto/sha256"
	"encoding/binary"
	"net/netip"
	"strconv"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// What Redis keeps. All numbers are big-endian; B is one byte, I2 two and so on;
// Bc0 is text with its length before it. Times are ms since 1970, 0 is none.
//
//	{ab}         the shard's stamp: nonce c8, generation I4, stamped I6, ready
//	             I6, began I6, census I6, pruned I6, bucket to prune next B
//	{ab}s<id>    a session: what HEAD and TAIL of session.lua say, then its
//	             departures: epoch I7, revision I6, player Bc0
//	{ab}r<id>    its players, {ab}h<id> holds, {ab}o<id> orders: see the scripts
//	{ab}i        sessions that the sweep looks at: lease I6, opened I4, state B
//	             (+16: silent), seated B, waiting I2, due I6
//	{ab}c        stream of changes: session to its change number, or to + and what
//	             changed if that is only the counts: change number I6, seated B,
//	             waiting I2, revision I6, end of the lease I6
//	{ab}d        IDs of sessions that have not ended; {ab}e how many of a place
//	{ab}t        ended sessions by when they are forgotten
//	{ab}u        public sessions that have not ended, as place and version,
//	             number I7 and ID; {ab}v the number of the newest one
//	{ab}b<nn>    one of 256 buckets of players' records and tickets
//	{ab}x<name>  what few records have; {ab}w<key> the rest of a long ticket
//	{ab}n        how many records there are; {ab}g numbers of places in them
//
// Within a bucket: a player's name, or \0 and a hash of a long one, is the field
// of his record (\4, \5 and \6 before it: further pieces); \1 and a ticket's key
// that of the ticket (\2: a further piece).

// Bounds of the layout.
const (
	maxEpoch    = 1 << 53
	maxRevision = 1 << 40
	maxVersion  = 1 << 24
	maxNumber   = 1 << 47
)

// names makes the names of keys.
type names struct {
	region throng.RegionID
	start  string // of session IDs of the region
	shard  [throng.Shards]string
}

func newNames(prefix string, region throng.RegionID) names {
	n := names{region: region, start: "ses_" + string(region) + "_"}
	for i := range n.shard {
		n.shard[i] = prefix + "{" + hexByte(uint8(i)) + "}"
	}
	return n
}

func hexByte(b uint8) string {
	const hex = "0123456789abcdef"
	return string([]byte{hex[b>>4], hex[b&15]})
}

// id packs a session's ID: shard and entropy, or what else stands there.
func (n *names) id(s throng.SessionID) (string, error) {
	tail, ok := strings.CutPrefix(string(s), n.start)
	if !ok || len(tail) != 18 {
		return "", throng.AtField(throng.NotFound, "session", "%s is not of region %s", s, n.region)
	}
	if e, made := s.Entropy(); made {
		return string(append([]byte{s.Shard()}, e[:]...)), nil
	}
	return tail, nil
}

func (n *names) session(id string) throng.SessionID {
	if len(id) != 11 {
		return throng.SessionID(n.start + id)
	}
	return throng.MakeSessionID(n.region, id[0], throng.Entropy([]byte(id[1:])))
}

// sessionKeys are KEYS of session.lua, without the stamp.
func (n *names) sessionKeys(shard uint8, id string) []string {
	p := n.shard[shard]
	all := p + "s" + id + p + "r" + id + p + "h" + id + p + "o" + id + p + "i" + p + "c" // one allocation
	cut := func(more int) (key string) {
		key, all = all[:len(p)+1+more], all[len(p)+1+more:]
		return key
	}
	return []string{cut(len(id)), cut(len(id)), cut(len(id)), cut(len(id)), cut(0), cut(0)}
}

// lifeKeys are those of scripts that begin or end sessions.
func (n *names) lifeKeys(shard uint8, id string) []string {
	p := n.shard[shard]
	return append(n.sessionKeys(shard, id), p+"d", p+"e", p+"t", p+"u", p+"v")
}

// playerName is what stands for a player within a bucket.
func playerName(p throng.PlayerID) string {
	if len(p) <= 24 && p != "" && p[0] > ' ' {
		return string(p)
	}
	sum := sha256.Sum256([]byte(p))
	return "\x00" + string(sum[:16])
}

// playerKeys are KEYS of player.lua, without the stamp. key may be empty.
func (n *names) playerKeys(p throng.PlayerID, name, key string) (shard uint8, keys []string) {
	shard = throng.PlayerShard(p)
	start := n.shard[shard]
	sum := sha256.Sum256([]byte(p))
	return shard, []string{start + "b" + string(sum[31:]), start + "x" + name, start + "w" + key, start + "n", start + "g"}
}

// ticketKey is what stands for a ticket: 5 bytes of its caller, 7 of its own.
// Two tickets that share one are one player's, and are one ticket to him.
func ticketKey(k throng.TicketKey) string {
	caller := sha256.Sum256([]byte(k.Caller))
	whole := sha256.Sum256([]byte(string(k.Caller) + "\x00" + string(k.Ticket)))
	return string(caller[:5]) + string(whole[:7])
}

// packed adds a session's ID with its length before it.
func packedID(id string) string { return string([]byte{byte(len(id))}) + id }

func decimal[T ~uint64 | ~int | ~uint8](n T) string { return strconv.FormatUint(uint64(n), 10) }

func unixMilli(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return min(max(t.UnixMilli(), 0), maxNumber)
}

func fromMilli(ms uint64) time.Time {
	if ms == 0 {
		return time.Time{}
	}
	return time.UnixMilli(int64(ms))
}

// checkNumbers says whether these fit the layout.
func checkNumbers(e throng.Epoch, r throng.Revision) error {
	if e >= maxEpoch {
		return throng.AtField(throng.Invalid, "epoch", "%d is too large", e)
	}
	if r >= maxRevision {
		return throng.AtField(throng.Invalid, "revision", "%d is too large", r)
	}
	return nil
}

// reader takes packed values apart.
type reader struct {
	b   string
	bad bool
}

func (r *reader) text(n int) string {
	if len(r.b) < n {
		r.b, r.bad = "", true
		return ""
	}
	s := r.b[:n]
	r.b = r.b[n:]
	return s
}

func (r *reader) uint(n int) uint64 {
	var v uint64
	for _, c := range []byte(r.text(n)) {
		v = v<<8 | uint64(c)
	}
	return v
}

func (r *reader) short() string { return r.text(int(r.uint(1))) }
func (r *reader) long() string  { return r.text(int(r.uint(2))) }

func (r *reader) varint() int64 {
	v, n := binary.Varint([]byte(r.b[:min(len(r.b), binary.MaxVarintLen64)]))
	if n <= 0 {
		r.b, r.bad = "", true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func appendUint(b []byte, n int, v uint64) []byte {
	for n--; n >= 0; n-- {
		b = append(b, byte(v>>(8*n)))
	}
	return b
}

func appendShort(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }

// record is a session as Redis has it.
type record struct {
	throng.Session
	id                 string
	seq                uint64
	generation, opened uint64
	lease, since       uint64
	lapse              uint64 // no hold lapses before
	silent             bool
	lastOrder          uint64
	orders             int
	departures         []session.Departure // not published, oldest first
}

// parse reads a session of a packed ID. finish is the end of its lease, ms.
func (n *names) parse(id, raw string, finish int64) (*record, error) {
	return parseSession(n.session(id), id, raw, finish)
}

// parseSession is names.parse of a session whose ID is known.
func parseSession(s throng.SessionID, id, raw string, finish int64) (*record, error) {
	r := reader{b: raw}
	c := &record{id: id}
	c.ID = s
	layout := r.uint(1)
	c.State = throng.SessionState(r.uint(1))
	r.uint(1) // suspended
	c.silent = r.uint(1) == 1
	c.Failed = r.uint(1) == 1
	c.Capacity, c.Seated, c.Held = int(r.uint(1)), int(r.uint(1)), int(r.uint(2))
	r.uint(2) // holds
	c.generation, c.opened = r.uint(4), r.uint(4)
	r.uint(6) // the census that it reported for
	c.Revision, c.seq = throng.Revision(r.uint(6)), r.uint(6)
	c.lease = r.uint(6)
	c.lapse = r.uint(6)
	c.since = r.uint(6)
	c.lastOrder, c.orders = r.uint(6), int(r.uint(2))
	lastLeft, lefts := r.uint(6), r.uint(2)
	c.OpenedAt, c.BoundAt, c.Number = fromMilli(r.uint(6)), fromMilli(r.uint(6)), r.uint(7)
	r.uint(6) // when it ends while it drains
	c.LeaseUntil = fromMilli(uint64(max(finish, 0)))
	server, incarnation, _ := strings.Cut(r.short(), " ")
	c.Server, c.Incarnation = throng.ServerID(server), throng.Incarnation(incarnation)
	if addr := r.short(); addr != "" {
		a, err := netip.ParseAddrPort(addr)
		c.Address, r.bad = a, r.bad || err != nil
	}
	c.Web, c.Attributes = parseWeb(r.long()), throng.SessionAttributes(r.long())
	what := reader{b: r.short()}
	c.Version, c.Place = throng.Version(what.uint(4)), throng.PlaceID(what.short())
	c.Private = what.uint(1) == 1
	if c.Private {
		copy(c.Code[:], what.text(len(c.Code)))
	}
	r.long() // drain
	c.Reason = r.long()
	for number := lastLeft - lefts + 1; number <= lastLeft && !r.bad; number++ {
		c.departures = append(c.departures, session.Departure{
			Number: number, Session: c.ID, Place: c.Place,
			Epoch: throng.Epoch(r.uint(7)), Revision: throng.Revision(r.uint(6)), Player: throng.PlayerID(r.short()),
		})
	}
	if r.bad || what.bad || layout != 2 {
		return nil, throng.Errorf(throng.Internal, "session %s is kept in a layout that is not known here (%d)", c.ID, layout)
	}
	return c, nil
}

func (c *record) effects(orders ...throng.Order) session.Effects {
	return session.Effects{Session: c.ID, Server: c.Server, Orders: orders, Left: c.departures}
}

// release packs what a session is of.
func release(p throng.PlaceID, v throng.Version) []byte {
	return appendShort(appendUint(nil, 4, uint64(v)), string(p))
}

func packWhat(s throng.Session) string {
	b := release(s.Place, s.Version)
	if !s.Private {
		return string(append(b, 0))
	}
	return string(append(append(b, 1), s.Code[:]...))
}

func packWho(h throng.Heartbeat) string { return string(h.Server) + " " + string(h.Incarnation) }

func packAddress(a netip.AddrPort) string {
	if !a.IsValid() {
		return ""
	}
	return a.String()
}

func packWeb(w throng.WebAddress) string {
	if w.IsZero() && len(w.Certificates) == 0 {
		return ""
	}
	b := appendUint(nil, 2, uint64(len(w.URL)))
	b = append(b, w.URL...)
	b = append(b, byte(len(w.Certificates)))
	for _, c := range w.Certificates {
		b = append(b, c[:]...)
	}
	return string(append(b, w.WebSocket...))
}

func parseWeb(s string) (w throng.WebAddress) {
	if s == "" {
		return w
	}
	r := reader{b: s}
	w.URL = r.long()
	for range r.uint(1) {
		var c [32]byte
		copy(c[:], r.text(len(c)))
		w.Certificates = append(w.Certificates, c)
	}
	w.WebSocket = r.b
	return w
}

// parseOrders reads the orders that are queued.
func (c *record) parseOrders(list []string) ([]throng.Order, error) {
	orders := make([]throng.Order, 0, len(list))
	for i, s := range list {
		r := reader{b: s}
		o := throng.Order{ID: c.lastOrder - uint64(len(list)-1-i), Kind: throng.OrderKind(r.uint(1)), Epoch: throng.Epoch(r.uint(7))}
		o.Player, o.Reason = throng.PlayerID(r.short()), r.b
		if o.Kind == throng.OrderDrain {
			o.Until, o.Epoch = fromMilli(uint64(o.Epoch)), 0
		}
		if r.bad {
			return nil, throng.Errorf(throng.Internal, "an order of session %s is broken", c.ID)
		}
		orders = append(orders, o)
	}
	return orders, nil
}
