package dns

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

const regionsJSON = `"regions": [
	{"id": "eu", "addresses": ["203.0.113.1", "2001:db8:e::1"]},
	{"id": "us", "addresses": ["203.0.113.2", "2001:db8:a::1"]},
	{"id": "ap", "addresses": ["203.0.113.3"]}]`

func table(t testing.TB, networks string) *Table {
	t.Helper()
	got, err := ParseTable([]byte(`{` + regionsJSON + `, "networks": {` + networks + `}}`))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func TestFind(t *testing.T) {
	tb := table(t, `
		"198.51.0.0/16": {"us": 20, "eu": 90},
		"198.51.100.0/24": {"ap": 5},
		"198.51.100.128/25": {"us": 1, "ap": 1, "eu": 1},
		"255.255.255.0/24": {"us": 1},
		"2001:db8:5::/48": {"us": 3, "eu": 4, "ap": 0.5}`)
	for _, c := range []struct {
		network string
		want    string
		scope   int
	}{
		{"198.51.7.0/24", "us eu ap", 18},     // from 198.51.64 on there is 198.51.100
		{"198.51.200.9/32", "us eu ap", 17},   // the upper half has no others
		{"198.51.100.0/24", "ap eu us", 25},   // its halves differ
		{"198.51.100.5/32", "ap eu us", 25},   // the lower half
		{"198.51.100.129/32", "eu us ap", 25}, // all the same: in the order for everyone
		{"198.51.96.0/20", "us eu ap", 22},    // around the /24
		{"198.0.0.0/8", "eu us ap", 11},       // around all of them
		{"9.0.0.0/8", "eu us ap", 1},
		{"255.255.255.7/32", "us eu ap", 24},
		{"2001:db8:5:6::/56", "ap us eu", 48},
		{"2001:db8:4::/48", "eu us ap", 48},
		{"fe80::/64", "eu us ap", 1},
	} {
		order, scope := tb.find(netip.MustParsePrefix(c.network))
		var ids []string
		for _, n := range order {
			ids = append(ids, tb.regions[n].ID)
		}
		if got := strings.Join(ids, " "); got != c.want || scope != c.scope {
			t.Errorf("%s: got %s for /%d, want %s for /%d", c.network, got, scope, c.want, c.scope)
		}
	}
	if order, scope := table(t, "").find(netip.MustParsePrefix("1.2.3.4/32")); len(order) != 3 || scope != 0 {
		t.Errorf("an empty table: got %v for /%d, want all for /0", order, scope)
	}
}

// A random table answers as one that is searched line by line, and its scopes are
// right: all addresses in one get the same answer, and a bit less would mix.
func TestFindIsLongestPrefix(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	// Addresses of 6 bits, so that they can be tried out.
	small := func() netip.Addr { return netip.AddrFrom4([4]byte{10, 0, 0, byte(r.IntN(64))}) }
	for range 100 {
		lines := map[netip.Prefix]float64{netip.MustParsePrefix("10.0.0.0/26"): 0}
		for range r.IntN(12) {
			p, _ := small().Prefix(26 + r.IntN(7))
			lines[p] = float64(1 + r.IntN(1000))
		}
		var text []string
		for p, ms := range lines {
			text = append(text, fmt.Sprintf(`"%s": {"us": %v}`, p, ms))
		}
		tb := table(t, strings.Join(text, ","))
		smallest := func(a netip.Addr) (best netip.Prefix) {
			for p := range lines {
				if p.Contains(a) && (!best.IsValid() || p.Bits() > best.Bits()) {
					best = p
				}
			}
			return best
		}
		for range 20 {
			a := small()
			_, scope := tb.find(netip.PrefixFrom(a, 32))
			if got, want := tb.networks[tb.four[segmentOf(tb, a)].network].prefix, smallest(a); got != want {
				t.Fatalf("%v: %s: got %s, want %s", text, a, got, want)
			}
			mixed := func(bits int) bool {
				block, _ := a.Prefix(bits)
				for i := range 64 {
					b := netip.AddrFrom4([4]byte{10, 0, 0, byte(i)})
					if block.Contains(b) && smallest(b) != smallest(a) {
						return true
					}
				}
				return bits < 26
			}
			if mixed(scope) || !mixed(scope-1) {
				t.Fatalf("%v: %s: scope /%d is not the widest of one answer", text, a, scope)
			}
		}
	}
}

func segmentOf(tb *Table, a netip.Addr) int {
	i, exact := slices.BinarySearchFunc(tb.four, a, func(s segment, a netip.Addr) int { return s.first.Compare(a) })
	if !exact {
		i--
	}
	return i
}

func TestTablesThatAreNone(t *testing.T) {
	for name, text := range map[string]string{
		"not JSON":          `regions`,
		"two":               `{` + regionsJSON + `} {}`,
		"unknown field":     `{` + regionsJSON + `, "colour": 1}`,
		"no regions":        `{"regions": []}`,
		"no address":        `{"regions": [{"id": "eu", "addresses": []}]}`,
		"5 addresses":       `{"regions": [{"id": "eu", "addresses": ["1.1.1.1","1.1.1.2","1.1.1.3","1.1.1.4","1.1.1.5"]}]}`,
		"unspecified":       `{"regions": [{"id": "eu", "addresses": ["0.0.0.0"]}]}`,
		"twice":             `{"regions": [{"id": "eu", "addresses": ["1.1.1.1"]}, {"id": "eu", "addresses": ["1.1.1.1"]}]}`,
		"no URL":            `{"regions": [{"id": "eu", "addresses": ["1.1.1.1"], "ready": "eu/readyz"}]}`,
		"no network":        `{` + regionsJSON + `, "networks": {"198.51.100.0": {}}}`,
		"host bits":         `{` + regionsJSON + `, "networks": {"198.51.100.1/24": {}}}`,
		"mapped":            `{` + regionsJSON + `, "networks": {"::ffff:198.51.100.0/120": {}}}`,
		"unknown region":    `{` + regionsJSON + `, "networks": {"198.51.100.0/24": {"mars": 1}}}`,
		"latency below 0":   `{` + regionsJSON + `, "networks": {"198.51.100.0/24": {"eu": -1}}}`,
		"latency too large": `{` + regionsJSON + `, "networks": {"198.51.100.0/24": {"eu": 10001}}}`,
	} {
		if _, err := ParseTable([]byte(text)); throng.KindOf(err) != throng.Invalid {
			t.Errorf("%s: got %v, want invalid", name, err)
		}
	}
}

func BenchmarkFind(b *testing.B) {
	var lines []string
	for i := range 100_000 {
		lines = append(lines, fmt.Sprintf(`"%d.%d.%d.0/24": {"us": %d}`, 1+i>>16, i>>8&255, i&255, i%50))
	}
	tb := table(b, strings.Join(lines, ","))
	p := netip.MustParsePrefix("1.77.3.0/24")
	for b.Loop() {
		tb.find(p)
	}
}
