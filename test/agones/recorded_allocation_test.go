package agones_test

import (
	"crypto/tls"
	"crypto/x509"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/agones/object"
)

// replay sends a recorded request to the API server and compares the answers.
func (f *fixture) replay(c *comparison, name string) any {
	f.t.Helper()
	r := load(f.t, name)
	req, err := http.NewRequestWithContext(f.t.Context(), r.Request.Method, f.cfg.Host+r.Request.Path,
		strings.NewReader(text(f.t, r.Request.Body)))
	if err != nil {
		f.t.Fatal(err)
	}
	for k, v := range r.Request.Headers {
		req.Header.Set(k, v)
	}
	res, err := f.http.Do(req)
	if err != nil {
		f.t.Fatalf("%s: %v", name, err)
	}
	return f.answered(c, r, res)
}

func (f *fixture) answered(c *comparison, r *recording, res *http.Response) any {
	f.t.Helper()
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		f.t.Fatalf("%s: %v", r.name, err)
	}
	if res.StatusCode != r.Response.Status {
		f.t.Errorf("%s: answered %d %s, recorded %d", r.name, res.StatusCode, b, r.Response.Status)
		return nil
	}
	contentType(f.t, r.name, r.Response.Headers["Content-Type"], res.Header.Get("Content-Type"))
	want, got := r.Response.Body, body(b)
	if strings.HasPrefix(res.Header.Get("Content-Type"), "application/yaml") {
		want, got = times(want), times(got)
	}
	c.expect(f.t, r.name, want, got)
	return got
}

// times takes the times out of YAML.
func times(v any) any {
	s, ok := v.(string)
	if !ok {
		return v
	}
	var out []string
	for line := range strings.Lines(s) {
		if !strings.Contains(line, "creationTimestamp:") {
			out = append(out, line)
		}
	}
	return strings.Join(out, "")
}

// under lists the recordings of a folder, without those left out.
func under(t *testing.T, folder string, without ...string) []string {
	t.Helper()
	paths, err := filepath.Glob(filepath.Join("testdata", folder, "*.json"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("no recordings in %s: %v", folder, err)
	}
	var out []string
	for _, p := range paths {
		if !slices.Contains(without, filepath.Base(p)) {
			out = append(out, folder+"/"+filepath.Base(p))
		}
	}
	return out
}

// TestRecordedAllocation replays, in their order, what was recorded with one
// Fleet of 8: its creation, the allocation API, the allocator service.
func TestRecordedAllocation(t *testing.T) {
	games := newGames()
	f := start(t, agones.Options{Play: games.play, BatchWait: 20 * time.Millisecond, SDKDelay: 50 * time.Millisecond})
	c := newComparison()

	f.replay(c, "fleet/01-create.json")
	f.counted("rf", func(st *object.FleetStatus) bool { return st.ReadyReplicas == 8 })
	f.replay(c, "fleet/02-ready.json")
	f.replay(c, "fleet/02-gameserversets.json")
	f.replay(c, "fleet/02-scale-subresource.json")
	f.replay(newComparison(), "fleet/02-gameservers.json") // which of them is which, chance decides later
	f.replay(c, "fleet/20-invalid.json")

	// 23 and 24 and 25 come when the fleet is as they had it.
	for _, name := range under(t, "allocation-k8s", "23-dryrun-match.json", "24-exhausted.json", "25-exhausted-2.json") {
		f.replay(c, name)
	}
	f.counted("rf", func(st *object.FleetStatus) bool { return st.AllocatedReplicas == 6 && st.Allocations == 6 })
	f.replay(c, "fleet/03-some-allocated.json")
	f.replay(c, "gameserver/07-allocated-by-gsa.json")

	f.replayREST(c)

	f.replay(c, "allocation-k8s/24-exhausted.json")
	f.replay(c, "allocation-k8s/25-exhausted-2.json")

	f.fleetLike("rf", "ef", 1)
	f.replay(c, "allocation-k8s/23-dryrun-match.json")
	var l object.GameServerList
	f.get(gsPath+"?labelSelector=agones.dev/fleet%3Def", &l)
	if len(l.Items) != 1 || l.Items[0].Status.State != object.Allocated {
		t.Errorf("a dry run allocates, as recorded; got %+v", l.Items)
	}
}

// replayREST sends what was recorded at the allocator service with mTLS.
func (f *fixture) replayREST(c *comparison) {
	f.t.Helper()
	addr, err := f.Allocator()
	if err != nil {
		f.t.Fatal(err)
	}
	client := trusting(f.t, addr)
	// These got no HTTP answer, 2x and 30 are of another installation.
	refused := []string{"10-no-client-cert.json", "13-wrong-client-cert.json", "14-verify-server-name.json"}
	elsewhere := []string{"20-mtls-off-429.json", "21-tls-off-429.json", "30-update-conflict-500.json"}
	for _, name := range under(f.t, "allocator-rest", append(refused, elsewhere...)...) {
		f.replayAt(c, client, addr.URL, name)
	}
	stranger := trusting(f.t, agones.Address{CA: addr.CA})
	req, err := http.NewRequestWithContext(f.t.Context(), http.MethodPost, addr.URL+"/gameserverallocation", strings.NewReader("{}"))
	if err != nil {
		f.t.Fatal(err)
	}
	if res, err := stranger.Do(req); err == nil {
		res.Body.Close()
		f.t.Errorf("without a client certificate: answered %s, want none as in 10-no-client-cert.json", res.Status)
	}
}

func (f *fixture) replayAt(c *comparison, client *http.Client, url, name string) {
	f.t.Helper()
	r := load(f.t, name)
	req, err := http.NewRequestWithContext(f.t.Context(), r.Request.Method, url+r.Request.Path,
		strings.NewReader(text(f.t, r.Request.Body)))
	if err != nil {
		f.t.Fatal(err)
	}
	for k, v := range r.Request.Headers {
		req.Header.Set(k, v)
	}
	res, err := client.Do(req)
	if err != nil {
		f.t.Fatalf("%s: %v", name, err)
	}
	if r.Response.Headers == nil { // not kept
		r.Response.Headers = map[string]string{"Content-Type": res.Header.Get("Content-Type")}
	}
	f.answered(c, r, res)
}

// trusting is a client that trusts addr and shows the certificate that addr
// has for it, if any.
func trusting(t *testing.T, addr agones.Address) *http.Client {
	t.Helper()
	conf := &tls.Config{RootCAs: x509.NewCertPool(), MinVersion: tls.VersionTLS12}
	conf.RootCAs.AppendCertsFromPEM(addr.CA)
	if addr.Cert != nil {
		pair, err := tls.X509KeyPair(addr.Cert, addr.Key)
		if err != nil {
			t.Fatal(err)
		}
		conf.Certificates = []tls.Certificate{pair}
	}
	tr := &http.Transport{TLSClientConfig: conf}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr}
}

// counted waits until a Fleet's status is as wanted.
func (f *fixture) counted(name string, want func(*object.FleetStatus) bool) {
	f.t.Helper()
	f.eventually("the status of Fleet "+name+" is as recorded", time.Minute, f.fleetIs(name, want))
}

// TestRecordedAllocatorModes: the allocator service without client
// certificates, and without TLS; and the conflict that both doors can meet.
func TestRecordedAllocatorModes(t *testing.T) {
	cluster := startCluster(t)
	for mode, name := range map[agones.Mode]string{
		agones.TLS: "allocator-rest/20-mtls-off-429.json", agones.Plain: "allocator-rest/21-tls-off-429.json",
	} {
		f := startOn(t, cluster, agones.Options{Allocator: mode, BatchWait: 20 * time.Millisecond})
		addr, err := f.Allocator()
		if err != nil {
			t.Fatal(err)
		}
		client := trusting(t, agones.Address{CA: addr.CA})
		f.replayAt(newComparison(), client, addr.URL, name)
		if mode == agones.Plain {
			f.fleet("lm", 3)
			f.Inject(conflict)
			f.replayAt(newComparison(), client, addr.URL, "allocator-rest/30-update-conflict-500.json")
		}
		f.Close()
	}
}
