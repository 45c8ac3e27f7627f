package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/miekg/dns"
)

// TestDNS: the program answers from its table, and from the next one when that is
// there, without a query lost between; one with a fault changes nothing.
func TestDNS(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), "regions.json")
	put := func(text string) { // whole, as operators should
		t.Helper()
		if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(name+".new", name); err != nil {
			t.Fatal(err)
		}
	}
	table := func(address string) string {
		return fmt.Sprintf(`{"regions": [{"id": "eu", "addresses": [%q]}], "networks": {"127.0.0.0/8": {"eu": 5}}}`, address)
	}
	put(table("203.0.113.1"))
	p := start(t, throngBinary(t), "edge", "dns", "--listen", "127.0.0.1:0", "--http", "127.0.0.1:0",
		"--name", "play.example.com", "--ns", "ns1.example.net", "--table", name)
	at := p.line("throng dns at ", 30*time.Second)[len("throng dns at "):]
	client := dns.Client{Net: "tcp", Timeout: 30 * time.Second}
	ask := func() string {
		t.Helper()
		got, _, err := client.ExchangeContext(t.Context(), new(dns.Msg).SetQuestion("play.example.com.", dns.TypeA), at)
		if err != nil || len(got.Answer) != 1 {
			t.Fatalf("got %v, %v, want one address", got, err)
		}
		return got.Answer[0].(*dns.A).A.String() //nolint:forcetypeassert // it was asked for
	}
	if got := ask(); got != "203.0.113.1" {
		t.Errorf("got %s", got)
	}
	put(table("203.0.113.2"))
	eventually(t, 30*time.Second, "the new table", func() bool { return ask() == "203.0.113.2" })
	put(`{"regions": []}`)
	eventually(t, 30*time.Second, "the fault in the log", func() bool {
		ask()
		return strings.Contains(p.logs.String(), "table of latencies was not read")
	})
	if got := ask(); got != "203.0.113.2" {
		t.Errorf("after a table with a fault: got %s", got)
	}
	put(table("203.0.113.3"))
	eventually(t, 30*time.Second, "the table that is good again", func() bool { return ask() == "203.0.113.3" })
}
