package dns

import (
	"bytes"
	"context"
	"encoding/hex"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"github.com/throng-gg/throng"
)

const (
	patience = 30 * time.Second
	name     = "play.example.com."
)

func config(t testing.TB) Config {
	t.Helper()
	return Config{
		Listen: netip.MustParseAddrPort("127.0.0.1:0"), Name: "Play.Example.com", NS: []string{"ns1.example.net", "ns2.example.net"},
		Table: table(t, `"198.51.100.0/24": {"us": 5, "eu": 80}, "2001:db8:5::/48": {"us": 3}, "127.0.0.0/8": {"ap": 1}`),
	}
}

func run(t *testing.T, change func(*Config)) *Server {
	t.Helper()
	c := config(t)
	if change != nil {
		change(&c)
	}
	s, err := New(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.WithoutCancel(t.Context()))
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("Run: %v", err)
		}
	})
	return s
}

// ask is a query of that type with options.
func ask(qtype uint16, options ...dns.EDNS0) *dns.Msg {
	m := new(dns.Msg).SetQuestion(name, qtype)
	if len(options) > 0 {
		m.SetEdns0(1232, false)
		m.IsEdns0().Option = options
	}
	return m
}

func subnet(text string) *dns.EDNS0_SUBNET {
	p := netip.MustParsePrefix(text)
	family := uint16(1)
	if p.Addr().Is6() {
		family = 2
	}
	return &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: family, SourceNetmask: uint8(p.Bits()), Address: p.Addr().AsSlice()} //nolint:gosec // 128 at most
}

func cookie(b ...byte) *dns.EDNS0_COOKIE {
	return &dns.EDNS0_COOKIE{Code: dns.EDNS0COOKIE, Cookie: hex.EncodeToString(b)}
}

// exchange asks by one transport.
func exchange(t *testing.T, s *Server, m *dns.Msg, network string) *dns.Msg {
	t.Helper()
	client := dns.Client{Net: network, Timeout: patience, UDPSize: 4096}
	got, _, err := client.ExchangeContext(t.Context(), m, s.Address().String())
	if err != nil {
		t.Fatalf("%s: %v", network, err)
	}
	return got
}

// unproven asks by UDP, and checks that the answer is not larger than the query.
func unproven(t *testing.T, s *Server, m *dns.Msg) *dns.Msg {
	t.Helper()
	packed, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	got := exchange(t, s, m, "udp")
	got.Compress = true
	if back, err := got.Pack(); err != nil || len(back) > len(packed) {
		t.Errorf("%d bytes for %d, %v:\n%s", len(back), len(packed), err, got)
	}
	return got
}

func TestAnswers(t *testing.T) {
	s := run(t, nil)
	other := func(name string, qtype uint16) *dns.Msg { return new(dns.Msg).SetQuestion(name, qtype) }
	chaos := ask(dns.TypeTXT)
	chaos.Question[0].Qclass = dns.ClassCHAOS
	for _, c := range []struct {
		title string
		query *dns.Msg
		rcode int
		aa    bool
		want  string // the answer's records, without names
		ns    int    // records of authority
	}{
		{"no subnet: the resolver's", ask(dns.TypeA), 0, true, "30 IN A 203.0.113.3", 0},
		{"subnet", ask(dns.TypeA, subnet("198.51.100.0/24")), 0, true, "30 IN A 203.0.113.2", 0},
		{"subnet of IPv6", ask(dns.TypeA, subnet("2001:db8:5:100::/56")), 0, true, "30 IN A 203.0.113.2", 0},
		{"a network that nobody knows", ask(dns.TypeA, subnet("192.0.2.0/24")), 0, true, "30 IN A 203.0.113.1", 0},
		{"no subnet, please", ask(dns.TypeA, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET}), 0, true, "30 IN A 203.0.113.3", 0},
		{"AAAA: the best that has one", ask(dns.TypeAAAA), 0, true, "30 IN AAAA 2001:db8:e::1", 0},
		{"SOA", ask(dns.TypeSOA), 0, true, "3600 IN SOA ns1.example.net. hostmaster.play.example.com.", 0},
		{"NS", ask(dns.TypeNS), 0, true, "3600 IN NS ns1.example.net. 3600 IN NS ns2.example.net.", 0},
		{"ANY", ask(dns.TypeANY), 0, true, `3600 IN HINFO "RFC8482" ""`, 0},
		{"another type", ask(dns.TypeMX), 0, true, "", 1},
		{"below", other("x."+name, dns.TypeA), dns.RcodeNameError, true, "", 1},
		{"above", other("example.com.", dns.TypeA), dns.RcodeRefused, false, "", 0},
		{"elsewhere", other("xplay.example.com.", dns.TypeA), dns.RcodeRefused, false, "", 0},
		{"root", other(".", dns.TypeNS), dns.RcodeRefused, false, "", 0},
		{"a transfer", ask(dns.TypeAXFR), dns.RcodeRefused, false, "", 0},
		{"another class", chaos, dns.RcodeRefused, false, "", 0},
		{"capitals", other("pLAY.eXAMPLE.com.", dns.TypeA), 0, true, "30 IN A 203.0.113.3", 0},
	} {
		got := exchange(t, s, c.query, "tcp")
		var records []string
		for _, rr := range got.Answer {
			if rr.Header().Name != c.query.Question[0].Name {
				t.Errorf("%s: the record's name is %s", c.title, rr.Header().Name)
			}
			records = append(records, strings.TrimPrefix(strings.ReplaceAll(rr.String(), "\t", " "), rr.Header().Name+" "))
		}
		if text := strings.Join(records, " "); got.Rcode != c.rcode || got.Authoritative != c.aa || !strings.HasPrefix(text, c.want) || text != "" && c.want == "" || len(got.Ns) != c.ns || got.Truncated {
			t.Errorf("%s: got\n%s\nwant %s, %s", c.title, got, dns.RcodeToString[c.rcode], c.want)
		}
		// What has no cookie is not larger by UDP, whatever it is.
		unproven(t, s, c.query)
	}
}

// The scope is that of the table, not the query's.
func TestScope(t *testing.T) {
	s := run(t, nil)
	for network, want := range map[string]uint8{"198.51.100.0/25": 24, "198.51.0.0/16": 18, "9.0.0.0/8": 2, "2001:db8:5:100::/56": 48} {
		got := exchange(t, s, ask(dns.TypeA, subnet(network)), "tcp")
		said := got.IsEdns0().Option[0].(*dns.EDNS0_SUBNET) //nolint:forcetypeassert // or the test fails
		if said.SourceScope != want || netip.MustParsePrefix(network).Bits() != int(said.SourceNetmask) {
			t.Errorf("%s: got %s, want scope %d", network, said, want)
		}
	}
}

// A sender gets no more than he sent until he brings the cookie that he was given
// by TCP, or sends as much as the answer has.
func TestNothingIsAmplified(t *testing.T) {
	s := run(t, nil)
	client := []byte("12345678")
	short := unproven(t, s, ask(dns.TypeA))
	if !short.Truncated || len(short.Answer) != 0 {
		t.Errorf("a bare query: got\n%s\nwant a truncation", short)
	}
	if got := unproven(t, s, ask(dns.TypeA, cookie(client...))); !got.Truncated {
		t.Errorf("a client cookie alone: got\n%s\nwant a truncation", got)
	}
	if got := unproven(t, s, ask(dns.TypeA, &dns.EDNS0_PADDING{Padding: make([]byte, 12)})); got.Truncated || len(got.Answer) != 1 {
		t.Errorf("a padded query: got\n%s\nwant an answer", got)
	}
	stale := unproven(t, s, ask(dns.TypeA, cookie(append(client, make([]byte, 16)...)...)))
	if stale.Rcode != dns.RcodeBadCookie {
		t.Fatalf("a stale cookie: got\n%s\nwant BADCOOKIE", stale)
	}
	for title, from := range map[string]*dns.Msg{"TCP": exchange(t, s, ask(dns.TypeA, cookie(client...)), "tcp"), "BADCOOKIE": stale} {
		given, ok := from.IsEdns0().Option[0].(*dns.EDNS0_COOKIE)
		if !ok || len(given.Cookie) != 2*(8+16) {
			t.Fatalf("by %s: got\n%s\nwant a cookie", title, from)
		}
		good := ask(dns.TypeA, given)
		if got := exchange(t, s, good, "udp"); got.Truncated || len(got.Answer) != 1 {
			t.Errorf("with the cookie by %s: got\n%s\nwant an answer", title, got)
		}
		packed, err := good.Pack()
		if err != nil {
			t.Fatal(err)
		}
		got, verdict := s.judge(packed, netip.MustParseAddr("127.0.0.2"), byUDP, time.Now(), nil)
		if verdict != BadCookie || len(got) > len(packed) {
			t.Errorf("the cookie from elsewhere: got %s, %d bytes for %d", verdict, len(got), len(packed))
		}
		if _, verdict = s.judge(packed, netip.MustParseAddr("127.0.0.1"), byUDP, time.Now().Add(2*time.Hour), nil); verdict != BadCookie {
			t.Errorf("the cookie hours later: got %s", verdict)
		}
	}
}

// What is no query is refused in no more bytes, or not answered.
func TestMalformed(t *testing.T) {
	s := run(t, nil)
	from := netip.MustParseAddr("192.0.2.7")
	good := ask(dns.TypeA, subnet("198.51.100.0/24"))
	change := func(f func(m *dns.Msg)) []byte {
		m := good.Copy()
		f(m)
		b, err := m.Pack()
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	opt := func(m *dns.Msg) *dns.OPT { return m.IsEdns0() }
	for title, c := range map[string]struct {
		query []byte
		want  Verdict
		rcode int
	}{
		"empty":          {nil, Ignored, 0},
		"head alone":     {make([]byte, 12), Malformed, dns.RcodeFormatError},
		"cut":            {change(func(*dns.Msg) {})[:25], Malformed, dns.RcodeFormatError},
		"an answer":      {change(func(m *dns.Msg) { m.Response = true }), Ignored, 0},
		"too long":       {make([]byte, maxQuery+1), Ignored, 0},
		"an update":      {change(func(m *dns.Msg) { m.Opcode = dns.OpcodeUpdate }), Unsupported, dns.RcodeNotImplemented},
		"two questions":  {change(func(m *dns.Msg) { m.Question = append(m.Question, m.Question[0]) }), Malformed, dns.RcodeFormatError},
		"with an answer": {change(func(m *dns.Msg) { m.Answer = []dns.RR{&dns.A{Hdr: dns.RR_Header{Name: ".", Rrtype: 1, Class: 1}}} }), Malformed, dns.RcodeFormatError},
		"EDNS twice":     {change(func(m *dns.Msg) { m.Extra = append(m.Extra, m.Extra[0]) }), Malformed, dns.RcodeFormatError},
		"EDNS 1":         {change(func(m *dns.Msg) { opt(m).SetVersion(1) }), BadVersion, dns.RcodeBadVers},
		"scope in a query": {change(func(m *dns.Msg) {
			o := subnet("198.51.100.0/24")
			o.SourceScope = 24
			opt(m).Option = []dns.EDNS0{o}
		}), Malformed, dns.RcodeFormatError},
		"two subnets":  {change(func(m *dns.Msg) { opt(m).Option = append(opt(m).Option, subnet("192.0.2.0/24")) }), Malformed, dns.RcodeFormatError},
		"short cookie": {change(func(m *dns.Msg) { opt(m).Option = []dns.EDNS0{cookie(1, 2, 3, 4, 5, 6, 7)} }), Malformed, dns.RcodeFormatError},
	} {
		b, verdict := s.judge(c.query, from, byUDP, time.Now(), make([]byte, maxAnswer))
		var got dns.Msg
		if verdict != c.want || len(b) > len(c.query) || (b == nil) != (c.want == Ignored) {
			t.Errorf("%s: got %s, %d bytes for %d, want %s", title, verdict, len(b), len(c.query), c.want)
		} else if b != nil && (got.Unpack(b) != nil || got.Rcode != c.rcode) {
			t.Errorf("%s: got\n%s\nwant %s", title, &got, dns.RcodeToString[c.rcode])
		}
	}
}

func TestLimits(t *testing.T) {
	s := run(t, func(c *Config) { c.PerNetwork = 10 })
	packed, err := ask(dns.TypeA).Pack()
	if err != nil {
		t.Fatal(err)
	}
	now := time.Now()
	count := func(from string, n int) (answered, slipped int) {
		for range n {
			b, verdict := s.judge(packed, netip.MustParseAddr(from), byUDP, now, nil)
			if b != nil && verdict == Limited {
				slipped++
			} else if b != nil {
				answered++
			}
		}
		return answered, slipped
	}
	if a, slipped := count("192.0.2.1", 50); a != 10 || slipped != 5 {
		t.Errorf("got %d answers and %d truncations of 50, want 10 and 5", a, slipped)
	}
	if a, _ := count("192.0.2.200", 7); a != 0 {
		t.Errorf("the same network got %d", a)
	}
	now = now.Add(500 * time.Millisecond)
	if a, _ := count("192.0.2.1", 50); a != 5 {
		t.Errorf("half a second later: got %d, want 5", a)
	}
	if a, _ := count("2001:db8::1", 5); a != 5 {
		t.Errorf("another network got %d, want 5", a)
	}
	if len(s.unproven.lines) != lines {
		t.Errorf("%d lines", len(s.unproven.lines))
	}
}

func TestHysteresis(t *testing.T) {
	var h health
	got := ""
	for _, ready := range "1001000110101101" {
		h.saw(map[rune]int{'0': 503, '1': 200}[ready], &Config{DownAfter: 3, UpAfter: 2})
		if h.down {
			got += "d"
		} else {
			got += "u"
		}
	}
	if want := "uuuuuudduuuuuuuu"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

// A region that says no is left, and comes back.
func TestRegionGoesDown(t *testing.T) {
	var down atomic.Bool
	ready := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if down.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer ready.Close()
	two, err := ParseTable([]byte(`{"regions": [{"id": "eu", "addresses": ["203.0.113.1"], "ready": "` + ready.URL + `"}, {"id": "us", "addresses": ["203.0.113.2"]}]}`))
	if err != nil {
		t.Fatal(err)
	}
	s := run(t, func(c *Config) { c.Table, c.Poll = two, time.Millisecond })
	until := func(want string) {
		t.Helper()
		for begun := time.Now(); ; {
			got := exchange(t, s, ask(dns.TypeA), "tcp")
			if a, ok := got.Answer[0].(*dns.A); ok && a.A.String() == want {
				return
			}
			if time.Since(begun) > patience {
				t.Fatalf("got\n%s\nwant %s", got, want)
			}
		}
	}
	until("203.0.113.1")
	down.Store(true)
	until("203.0.113.2")
	s.SetTable(two) // the health stays
	until("203.0.113.2")
	if up := testutil.ToFloat64(s.metrics.up.WithLabelValues("eu")); up != 0 {
		t.Errorf("the metric says %v", up)
	}
	down.Store(false)
	until("203.0.113.1")
}

func TestAllAreDown(t *testing.T) {
	v := &view{table: table(t, ""), down: []bool{true, true, true}}
	if got := v.best([]uint8{2, 0, 1}, 32); got != 2 {
		t.Errorf("got %d, want the nearest", got)
	}
	if got := v.best([]uint8{2, 0, 1}, 128); got != 0 {
		t.Errorf("IPv6: got %d, want the nearest that has it", got)
	}
	v.down[1] = false
	if got := v.best([]uint8{2, 0, 1}, 32); got != 1 {
		t.Errorf("one is up: got %d", got)
	}
}

// A network takes no more than its share of connections, and gets it back.
func TestConnections(t *testing.T) {
	s := run(t, func(c *Config) { c.Connections = 8 })
	held, err := dns.DialTimeout("tcp", s.Address().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // queries in one connection
		if err := held.WriteMsg(ask(dns.TypeA)); err != nil {
			t.Fatal(err)
		}
		if _, err := held.ReadMsg(); err != nil {
			t.Fatal(err)
		}
	}
	second, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", s.Address().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = second.Close() }()
	_ = second.SetReadDeadline(time.Now().Add(patience))
	if n, err := second.Read(make([]byte, 1)); n != 0 || err == nil || testutil.ToFloat64(s.metrics.refused) != 1 {
		t.Errorf("a second connection of one network is served: %d, %v", n, err)
	}
	_ = held.Close()
	for begun := time.Now(); ; {
		got, _, err := (&dns.Client{Net: "tcp", Timeout: patience}).ExchangeContext(t.Context(), ask(dns.TypeA), s.Address().String())
		if err == nil && len(got.Answer) == 1 {
			break
		}
		if time.Since(begun) > patience {
			t.Fatalf("after the first is closed: %v", err)
		}
	}
}

// Queries go on while tables change.
func TestTablesChangeUnderQueries(t *testing.T) {
	s := run(t, nil)
	tables := []*Table{table(t, `"127.0.0.0/8": {"us": 1}`), table(t, `"127.0.0.0/8": {"eu": 1}`)}
	stop := make(chan struct{})
	done := make(chan struct{})
	go func() {
		defer close(done)
		for i := 0; ; i++ {
			select {
			case <-stop:
				return
			default:
				s.SetTable(tables[i%2])
			}
		}
	}()
	conn, err := dns.DialTimeout("tcp", s.Address().String(), patience)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	for range perConn {
		if err := conn.WriteMsg(ask(dns.TypeA)); err != nil {
			t.Fatal(err)
		}
		if got, err := conn.ReadMsg(); err != nil || len(got.Answer) != 1 {
			t.Fatalf("got %v, %v", got, err)
		}
	}
	close(stop)
	<-done
}

func TestConfigsThatMakeNoSense(t *testing.T) {
	for title, change := range map[string]func(*Config){
		"no name":     func(c *Config) { c.Name = "" },
		"strange":     func(c *Config) { c.Name = "a..b" },
		"no servers":  func(c *Config) { c.NS = nil },
		"ns below":    func(c *Config) { c.NS = []string{"ns.play.example.com"} },
		"no table":    func(c *Config) { c.Table = nil },
		"no address":  func(c *Config) { c.Listen = netip.AddrPort{} },
		"below zero":  func(c *Config) { c.PerNetwork = -1 },
		"bad mailbox": func(c *Config) { c.Mailbox = "a b" },
	} {
		c := config(t)
		change(&c)
		if _, err := New(t.Context(), c); throng.KindOf(err) != throng.Invalid {
			t.Errorf("%s: got %v, want invalid", title, err)
		}
	}
	s := run(t, nil)
	c := config(t)
	c.Listen = s.Address()
	if _, err := New(t.Context(), c); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("a taken address: got %v, want unavailable", err)
	}
}

// dig is a client that others wrote: it is told to come by TCP, and comes.
func TestDig(t *testing.T) {
	dig, err := exec.LookPath("dig")
	if err != nil {
		t.Skip("SKIPPED, nothing of it is tested with dig: it is not installed (scripts/setup.sh dig:bind9-dnsutils)")
	}
	s := run(t, nil)
	query := func(args ...string) string {
		t.Helper()
		args = append([]string{"@127.0.0.1", "-p", s.Address().String()[len("127.0.0.1:"):], "+tries=1", "+time=30", "play.example.com"}, args...)
		out, err := exec.CommandContext(t.Context(), dig, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("dig %v: %v\n%s", args, err, out)
		}
		return string(out)
	}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"A", "+subnet=198.51.100.0/24"}, []string{"Truncated, retrying in TCP mode", "203.0.113.2", "CLIENT-SUBNET: 198.51.100.0/24/24", "(good)", "status: NOERROR"}},
		{[]string{"AAAA", "+subnet=2001:db8:5::/56"}, []string{"2001:db8:a::1", "CLIENT-SUBNET: 2001:db8:5::/56/48"}},
		{[]string{"A", "+subnet=0"}, []string{"203.0.113.3"}},
		{[]string{"A", "+cookie=0102030405060708" + strings.Repeat("0", 32)}, []string{"BADCOOKIE, retrying", "203.0.113.3", "(good)"}},
		{[]string{"A", "+ignore"}, []string{"flags: qr aa tc rd;", "ANSWER: 0"}},
		{[]string{"A", "+padding=128"}, []string{"203.0.113.3", "(UDP)"}},
		{[]string{"A", "+edns=1", "+noednsneg"}, []string{"status: BADVERS"}},
		{[]string{"A", "+opcode=NOTIFY"}, []string{"status: NOTIMP"}},
		{[]string{"MX"}, []string{"status: NOERROR", "ANSWER: 0", "SOA"}},
	} {
		got := query(c.args...)
		for _, want := range c.want {
			if !strings.Contains(got, want) {
				t.Errorf("dig %v: no %q in\n%s", c.args, want, got)
			}
		}
	}
}

// Whatever comes: no answer is larger than what it answers, except to who is proven,
// and each is one to that message.
func FuzzAnswer(f *testing.F) {
	for _, m := range []*dns.Msg{
		ask(dns.TypeA), ask(dns.TypeAAAA, subnet("2001:db8:5::/56")), ask(dns.TypeSOA, cookie(make([]byte, 24)...)),
		ask(dns.TypeA, &dns.EDNS0_PADDING{Padding: make([]byte, 200)}), new(dns.Msg).SetQuestion("a."+name, dns.TypeA),
	} {
		b, err := m.Pack()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b, false)
		f.Add(b, true)
	}
	s, err := New(f.Context(), config(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _, _ = s.udp.Close(), s.tcp.Close() })
	begun := time.Now()
	f.Fuzz(func(t *testing.T, b []byte, tcp bool) {
		begun = begun.Add(time.Second) // never limited
		before, by := bytes.Clone(b), byUDP
		if tcp {
			by = byTCP
		}
		got, verdict := s.judge(b, netip.MustParseAddr("192.0.2.1"), by, begun, make([]byte, maxAnswer))
		if !bytes.Equal(b, before) {
			t.Error("the query was written to")
		}
		if !tcp && len(got) > len(b) || len(got) > maxAnswer {
			t.Errorf("%s: %d bytes for %d", verdict, len(got), len(b))
		}
		if got == nil {
			return
		}
		var m dns.Msg
		if err := m.Unpack(got); err != nil || !m.Response || !bytes.Equal(got[:2], b[:2]) {
			t.Errorf("%s: %x is no answer to %x: %v", verdict, got, b, err)
		}
	})
}

func BenchmarkAnswer(b *testing.B) {
	s, err := New(b.Context(), config(b))
	if err != nil {
		b.Fatal(err)
	}
	defer func() { _, _ = s.udp.Close(), s.tcp.Close() }()
	query, err := ask(dns.TypeA, subnet("198.51.100.0/24")).Pack()
	if err != nil {
		b.Fatal(err)
	}
	buffer, from, now := make([]byte, maxAnswer), netip.MustParseAddr("192.0.2.1"), time.Now()
	b.ReportAllocs()
	for b.Loop() {
		now = now.Add(time.Second)
		s.judge(query, from, byUDP, now, buffer)
	}
}
