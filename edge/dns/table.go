package dns

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"maps"
	"net/netip"
	"net/url"
	"slices"

	"github.com/throng-gg/throng"
)

// Bounds of a table.
const (
	MaxTable     = 64 << 20 // bytes of its file
	MaxRegions   = 64
	MaxAddresses = 4 // of a kind, of a region
	MaxNetworks  = 1_000_000
	MaxLatency   = 10_000 // milliseconds
)

// Region is one that players may be sent to.
type Region struct {
	ID        string       `json:"id"`
	Addresses []netip.Addr `json:"addresses"`
	// Ready is the URL that answers 200 while the region takes players; empty: it
	// always does.
	Ready string `json:"ready"`
}

// kind returns the addresses of so many bits.
func (r *Region) kind(bits int) []netip.Addr {
	var out []netip.Addr
	for _, a := range r.Addresses {
		if a.BitLen() == bits {
			out = append(out, a)
		}
	}
	return out
}

// Table says which regions are near to whom. It doesn't change.
type Table struct {
	regions   []Region // in the order for who is in no network
	networks  []network
	four, six []segment
	everyone  []uint8
}

// network is a prefix and the regions, the nearest first.
type network struct {
	prefix netip.Prefix
	order  []uint8
	parent int32 // the next larger network around it; -1: none
}

// segment is a range of addresses, up to the next one's first, for which one
// network is the smallest that has them.
type segment struct {
	first   netip.Addr
	network int32 // -1: none
}

// ParseTable reads a table:
//
//	{"regions": [{"id": "eu", "addresses": ["203.0.113.5", "2001:db8::5"], "ready": "https://eu.example.com/readyz"}, ...],
//	 "networks": {"198.51.100.0/24": {"eu": 21.5, "us": 110}, ...}}
//
// Regions stand in the order in which they are tried for who is in no network;
// networks have the latencies that were measured from them, in milliseconds. A
// region that was not measured comes after those that were. Invalid: it is no such
// table; the field says where.
func ParseTable(text []byte) (*Table, error) {
	if len(text) > MaxTable {
		return nil, throng.Errorf(throng.Invalid, "the table has %d bytes, at most %d are allowed", len(text), MaxTable)
	}
	var file struct {
		Regions  []Region                      `json:"regions"`
		Networks map[string]map[string]float64 `json:"networks"`
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&file); err != nil {
		return nil, throng.Errorf(throng.Invalid, "the table is not JSON of its kind: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, throng.Errorf(throng.Invalid, "something follows the table")
	}
	t := &Table{regions: file.Regions}
	numbers, err := t.number()
	if err != nil {
		return nil, err
	}
	if len(file.Networks) > MaxNetworks {
		return nil, throng.AtField(throng.Invalid, "networks", "has %d, at most %d are allowed", len(file.Networks), MaxNetworks)
	}
	orders := map[string][]uint8{} // networks that are alike share one
	for _, text := range slices.Sorted(maps.Keys(file.Networks)) {
		field := "networks[" + text + "]"
		prefix, err := netip.ParsePrefix(text)
		if err != nil || prefix != prefix.Masked() || prefix.Addr().Is4In6() {
			return nil, throng.AtField(throng.Invalid, field, "is not a network like 198.51.100.0/24 or 2001:db8::/32")
		}
		order, err := orderOf(file.Networks[text], numbers, t.everyone)
		if err != nil {
			return nil, throng.AtField(throng.Invalid, field, "%w", err)
		}
		if same, ok := orders[string(order)]; ok {
			order = same
		}
		orders[string(order)] = order
		t.networks = append(t.networks, network{prefix: prefix, order: order, parent: -1})
	}
	slices.SortFunc(t.networks, func(a, b network) int {
		return cmp.Or(a.prefix.Addr().Compare(b.prefix.Addr()), cmp.Compare(a.prefix.Bits(), b.prefix.Bits()))
	})
	v6 := slices.IndexFunc(t.networks, func(n network) bool { return n.prefix.Addr().Is6() })
	if v6 < 0 {
		v6 = len(t.networks)
	}
	t.four = t.flatten(netip.IPv4Unspecified(), 0, v6)
	t.six = t.flatten(netip.IPv6Unspecified(), v6, len(t.networks))
	return t, nil
}

// number checks the regions and gives each its number.
func (t *Table) number() (map[string]uint8, error) {
	if len(t.regions) == 0 || len(t.regions) > MaxRegions {
		return nil, throng.AtField(throng.Invalid, "regions", "has %d, 1 to %d are allowed", len(t.regions), MaxRegions)
	}
	numbers := map[string]uint8{}
	for i, r := range t.regions {
		if _, twice := numbers[r.ID]; r.ID == "" || len(r.ID) > 64 || twice {
			return nil, throng.AtField(throng.Invalid, "regions", "%q is no name of a region, or that of two", r.ID)
		}
		field := "regions[" + r.ID + "]"
		for _, a := range r.Addresses {
			if !a.IsValid() || a.IsUnspecified() || a.Is4In6() || a.Zone() != "" {
				return nil, throng.AtField(throng.Invalid, field, "%q is not an address that players reach", a)
			}
		}
		if len(r.Addresses) == 0 || len(r.kind(32)) > MaxAddresses || len(r.kind(128)) > MaxAddresses {
			return nil, throng.AtField(throng.Invalid, field, "has %d addresses; at least one, and at most %d of IPv4 and of IPv6 each, are allowed", len(r.Addresses), MaxAddresses)
		}
		if u, err := url.Parse(r.Ready); r.Ready != "" && (err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https") {
			return nil, throng.AtField(throng.Invalid, field, "%q is not a URL like https://eu.example.com/readyz", r.Ready)
		}
		numbers[r.ID] = uint8(i)                  //nolint:gosec // below MaxRegions
		t.everyone = append(t.everyone, uint8(i)) //nolint:gosec // the same
	}
	return numbers, nil
}

// orderOf sorts the regions by latency, those without in the order for everyone.
func orderOf(latencies map[string]float64, numbers map[string]uint8, everyone []uint8) ([]uint8, error) {
	measured := map[uint8]float64{}
	for _, id := range slices.Sorted(maps.Keys(latencies)) {
		number, known := numbers[id]
		ms := latencies[id]
		switch {
		case !known:
			return nil, throng.Errorf(throng.Invalid, "%q is none of the regions", id)
		case ms < 0 || ms > MaxLatency:
			return nil, throng.Errorf(throng.Invalid, "%s: %v ms is not allowed, it must be 0 to %d", id, ms, MaxLatency)
		}
		measured[number] = ms
	}
	order := slices.Clone(everyone)
	slices.SortStableFunc(order, func(a, b uint8) int {
		x, hasX := measured[a]
		y, hasY := measured[b]
		switch {
		case hasX && hasY:
			return cmp.Compare(x, y)
		case hasX:
			return -1
		case hasY:
			return 1
		}
		return 0
	})
	return order, nil
}

// flatten makes segments of the networks from to to, which are of one family and
// sorted, and finds their parents.
func (t *Table) flatten(zero netip.Addr, from, to int) []segment {
	out := []segment{{zero, -1}}
	emit := func(first netip.Addr, n int32) {
		if out[len(out)-1].first == first {
			out = out[:len(out)-1]
		}
		out = append(out, segment{first, n})
	}
	inside := int32(-1) // the innermost that is not over
	leave := func() {
		n := t.networks[inside]
		inside = n.parent
		if next := last(n.prefix).Next(); next.IsValid() {
			emit(next, inside)
		}
	}
	for i := from; i < to; i++ {
		n := &t.networks[i]
		for inside >= 0 && !t.networks[inside].prefix.Contains(n.prefix.Addr()) {
			leave()
		}
		n.parent, inside = inside, int32(i) //nolint:gosec // below MaxNetworks
		emit(n.prefix.Addr(), inside)
	}
	for inside >= 0 {
		leave()
	}
	return out
}

// last is the highest address of a prefix.
func last(p netip.Prefix) netip.Addr {
	b := p.Addr().AsSlice()
	for i := p.Bits(); i < len(b)*8; i++ {
		b[i/8] |= 0x80 >> (i % 8)
	}
	a, _ := netip.AddrFromSlice(b)
	return a
}

// find returns the regions for a network, the nearest first, and how many bits of
// it that holds for: every address that has those in common gets the same. If that
// is more than the network has, the table tells parts of it apart, and the answer
// is that of the smallest network around all of it.
func (t *Table) find(p netip.Prefix) (order []uint8, scope int) {
	segments := t.four
	if p.Addr().Is6() {
		segments = t.six
	}
	i, exact := slices.BinarySearchFunc(segments, p.Addr(), func(s segment, a netip.Addr) int { return s.first.Compare(a) })
	if !exact {
		i--
	}
	for ; scope < p.Addr().BitLen(); scope++ {
		block := netip.PrefixFrom(p.Addr(), scope).Masked()
		if !block.Addr().Less(segments[i].first) && (i+1 == len(segments) || last(block).Less(segments[i+1].first)) {
			break
		}
	}
	n := segments[i].network
	for n >= 0 && t.networks[n].prefix.Bits() > p.Bits() {
		n = t.networks[n].parent
	}
	if n < 0 {
		return t.everyone, scope
	}
	return t.networks[n].order, scope
}
