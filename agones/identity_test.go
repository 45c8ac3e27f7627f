package agones

import (
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

// allocated allocates a server and returns its GameServer's name.
func allocated(t *testing.T, b *Backend, f *fakeCluster, id throng.ServerID) string {
	t.Helper()
	if err := b.Allocate(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	return f.named(id)[0]
}

func TestIdentify(t *testing.T) {
	f := newFake(t, 4)
	b := start(t, f)
	id := serverID(1)
	name := allocated(t, b, f, id)
	token := f.token(name, nil)
	if b.Known(token) {
		t.Error("a token that was not seen is known")
	}
	for range 2 {
		if got, err := b.Identify(t.Context(), token); err != nil || got != id {
			t.Errorf("got %s, %v, want %s", got, err, id)
		}
	}
	if !b.Known(token) {
		t.Error("a token that was good is not known")
	}
	if got, err := b.Identify(t.Context(), f.token(name, func(c *podClaims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(time.Minute)) })); err != nil || got != id {
		t.Errorf("a later token of the pod: got %s, %v, want %s", got, err, id)
	}
	unsigned := jwt.NewWithClaims(jwt.SigningMethodNone, jwt.RegisteredClaims{Issuer: testIssuer})
	unsigned.Header["kid"] = kidOf(f.key)
	none, err := unsigned.SignedString(jwt.UnsafeAllowNoneSignatureType)
	if err != nil {
		t.Fatal(err)
	}
	for what, c := range map[string]struct {
		token string
		says  string
	}{
		"no token":          {"x", "none that a cluster makes"},
		"a long one":        {strings.Repeat("x", 9000), "9000 bytes"},
		"unsigned":          {none, "signing method none is invalid"},
		"cut":               {token[:len(token)-4], "signature"},
		"for somebody else": {f.token(name, func(c *podClaims) { c.Audience = jwt.ClaimStrings{"https://kubernetes.default.svc"} }), "audience"},
		"for nobody":        {f.token(name, func(c *podClaims) { c.Audience = nil }), "aud"},
		"expired":           {f.token(name, func(c *podClaims) { c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(-time.Minute)) }), "expired"},
		"for ever":          {f.token(name, func(c *podClaims) { c.ExpiresAt = nil }), "exp"},
		"not yet, for somebody else": {f.token(name, func(c *podClaims) {
			c.NotBefore, c.Audience = jwt.NewNumericDate(time.Now().Add(time.Minute)), jwt.ClaimStrings{"x"}
		}), "audience"},
		"another issuer":     {f.token(name, func(c *podClaims) { c.Issuer = "https://elsewhere" }), "no cluster of this region"},
		"no issuer":          {f.token(name, func(c *podClaims) { c.Issuer = "" }), "who made it"},
		"of no pod":          {f.token(name, func(c *podClaims) { c.Kubernetes.Pod.Name = "" }), "not bound to a pod"},
		"another namespace":  {f.token(name, func(c *podClaims) { c.Kubernetes.Namespace = "kube-system" }), "namespace"},
		"another node":       {f.token(name, func(c *podClaims) { c.Kubernetes.Node.Name = "node-9" }), "another node"},
		"another pod, later": {f.token(name, func(c *podClaims) { c.Kubernetes.Pod.UID = "other" }), "another pod"},
	} {
		if _, err := b.Identify(t.Context(), c.token); throng.KindOf(err) != throng.Denied || !strings.Contains(err.Error(), c.says) {
			t.Errorf("%s: got %v, want denied, %q", what, err, c.says)
		}
	}
	if err := b.Release(t.Context(), id); err != nil {
		t.Fatal(err)
	}
	if _, err := b.Identify(t.Context(), token); err == nil {
		t.Error("a released server is still somebody")
	}
}

// A cluster's clock that differs from ours a little is none of the pod's business.
// When it is ahead by more, the pod is told to come again, and not that it is
// nobody: it would end, and so would all that come after it.
func TestIdentifyAcrossClocks(t *testing.T) {
	f := newFake(t, 1)
	b := start(t, f)
	id := serverID(1)
	name := allocated(t, b, f, id)
	at := func(from, until time.Duration) string {
		return f.token(name, func(c *podClaims) {
			c.NotBefore, c.ExpiresAt = jwt.NewNumericDate(time.Now().Add(from)), jwt.NewNumericDate(time.Now().Add(until))
		})
	}
	for what, token := range map[string]string{
		"3 s ahead":  at(3*time.Second, time.Hour),
		"3 s behind": at(-time.Hour, -3*time.Second),
	} {
		if got, err := b.Identify(t.Context(), token); err != nil || got != id {
			t.Errorf("a clock %s: got %s, %v, want %s", what, got, err, id)
		}
	}
	for _, ahead := range []time.Duration{8 * time.Second, 10 * time.Minute} {
		_, err := b.Identify(t.Context(), at(ahead, time.Hour))
		if after := throng.RetryAfterOf(err); throng.KindOf(err) != throng.Unavailable || after < time.Second || after > clockWait || !strings.Contains(err.Error(), "apart") {
			t.Errorf("a clock %s ahead: got %v, again in %s, want to come again soon", ahead, err, after)
		}
	}
}

// A twin that lost, and one that came late, are nobody.
func TestIdentifyLosers(t *testing.T) {
	f := newFake(t, 4)
	f.linger = true
	b := start(t, f)
	id := serverID(1)
	name := allocated(t, b, f, id)
	f.set("warm-003", func(g *kind.GameServer) {
		g.Status.State = kind.StateAllocated
		g.Metadata.Labels[kind.LabelServer], g.Metadata.Labels[kind.LabelRegion] = string(id), "test"
		g.Metadata.Annotations = map[string]string{kind.AnnotationAllocated: time.Now().Add(time.Hour).Format(time.RFC3339Nano)}
	})
	if _, err := b.Identify(t.Context(), f.token("warm-003", nil)); throng.KindOf(err) != throng.Denied {
		eventually(t, "the twin is denied", func() bool {
			_, err := b.Identify(t.Context(), f.token("warm-003", nil))
			return throng.KindOf(err) == throng.Denied && err != nil
		})
	}
	if got, err := b.Identify(t.Context(), f.token(name, nil)); err != nil || got != id {
		t.Errorf("the first: got %s, %v, want %s", got, err, id)
	}
	f.set(name, func(g *kind.GameServer) { g.Status.State = kind.StateUnhealthy })
	eventually(t, "one that is over is denied", func() bool {
		_, err := b.Identify(t.Context(), f.token(name, nil))
		return throng.KindOf(err) == throng.Denied && err != nil
	})
}

// Who is not allocated is told to come again, and cannot make the door ask the
// cluster as often as it likes.
func TestIdentifyTooEarly(t *testing.T) {
	f := newFake(t, 2)
	b := start(t, f)
	listed(t, b)
	begun := time.Now()
	for range 200 {
		_, err := b.Identify(t.Context(), f.token("warm-001", nil))
		if throng.KindOf(err) != throng.NotFound || throng.RetryAfterOf(err) != claimAgain {
			t.Fatalf("got %v, want not found, and when to ask again", err)
		}
	}
	// Fifty at once, twenty a second, and two are for the keys.
	if n, most := f.asked("get"), 53+int(20*time.Since(begun).Seconds()); n > most {
		t.Errorf("got %d looks for 200 questions, want %d at most", n, most)
	}
	if _, err := b.Identify(t.Context(), f.token("nobody", nil)); throng.KindOf(err) != throng.NotFound {
		t.Errorf("a pod that is no game server: got %v, want not found", err)
	}
}

// The pod may know that it is allocated before the watch says so: one look.
func TestIdentifyBehindTheWatch(t *testing.T) {
	f := newFake(t, 2)
	b := start(t, f)
	listed(t, b)
	f.faulty(func(w http.ResponseWriter, _ *http.Request, verb string) bool {
		if verb == "watch" || verb == "list" {
			refuse(w, http.StatusServiceUnavailable, "ServiceUnavailable", "restarting")
			return true
		}
		return false
	})
	f.snap()
	f.set("warm-000", func(g *kind.GameServer) {
		g.Status.State = kind.StateAllocated
		g.Metadata.Labels[kind.LabelServer], g.Metadata.Labels[kind.LabelRegion] = string(serverID(5)), "test"
	})
	if got, err := b.Identify(t.Context(), f.token("warm-000", nil)); err != nil || got != serverID(5) {
		t.Errorf("got %s, %v, want %s", got, err, serverID(5))
	}
	f.set("warm-001", func(g *kind.GameServer) {
		g.Status.State = kind.StateAllocated
		g.Metadata.Labels[kind.LabelServer], g.Metadata.Labels[kind.LabelRegion] = "srv_other_0123456789abcdef", "other"
	})
	if _, err := b.Identify(t.Context(), f.token("warm-001", nil)); throng.KindOf(err) != throng.NotFound {
		t.Errorf("a server of another region: got %v, want not found", err)
	}
}

// A cluster signs with a new key: its keys are read once for all who come.
func TestKeysRotate(t *testing.T) {
	f := newFake(t, 2)
	b := start(t, f)
	id := serverID(1)
	name := allocated(t, b, f, id)
	if _, err := b.Identify(t.Context(), f.token(name, nil)); err != nil {
		t.Fatal(err)
	}
	f.mu.Lock()
	f.key = secondKey()
	f.mu.Unlock()
	before := f.asked("get")
	ring := b.verifier.keys["a"]
	ring.mu.Lock()
	ring.tried = time.Time{}
	ring.mu.Unlock()
	token := f.token(name, nil)
	var group sync.WaitGroup
	for range 20 {
		group.Go(func() {
			if got, err := b.Identify(t.Context(), token); err != nil || got != id {
				t.Errorf("got %s, %v, want %s", got, err, id)
			}
		})
	}
	group.Wait()
	if n := f.asked("get") - before; n != 2 {
		t.Errorf("got %d looks at the keys, want 2", n)
	}
}

// The cluster does not answer: what is not known is unavailable, not denied, and
// who was known stays known.
func TestKeysAway(t *testing.T) {
	f, g := newFake(t, 2), newFake(t, 2)
	g.mu.Lock()
	g.key = secondKey()
	g.mu.Unlock()
	b := start(t, f, g)
	listed(t, b) // both were seen
	id := serverID(1)
	name := allocated(t, b, f, id) // in a, by name
	token := f.token(name, nil)
	if got, err := b.Identify(t.Context(), token); err != nil || got != id {
		t.Fatalf("got %s, %v, want %s", got, err, id)
	}
	broken := func(http.ResponseWriter, *http.Request, string) bool { panic(http.ErrAbortHandler) }
	f.faulty(broken)
	g.faulty(broken)
	if got, err := b.Identify(t.Context(), token); err != nil || got != id {
		t.Errorf("known: got %s, %v, want %s", got, err, id)
	}
	if _, err := b.Identify(t.Context(), g.token("warm-000", nil)); throng.KindOf(err) != throng.Unavailable {
		t.Errorf("of a cluster whose keys are not known: got %v, want unavailable", err)
	}
}

// Any door says where the control plane is that waits for a server.
func TestDoorOf(t *testing.T) {
	f := newFake(t, 4)
	cfg := Config{Region: "test", Clusters: []ClusterConfig{f.config("a")}, Door: "https://one", Logger: slog.New(slog.DiscardHandler)}
	one, other := startWith(t, cfg), start(t, f)
	if err := one.Allocate(t.Context(), serverID(1)); err != nil {
		t.Fatal(err)
	}
	if err := other.Allocate(t.Context(), serverID(2)); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the other one sees it", func() bool { return other.DoorOf(serverID(1)) == "https://one" })
	if got := other.DoorOf(serverID(2)); got != "" {
		t.Errorf("got %q of one without a door, want none", got)
	}
	if got := one.DoorOf(serverID(3)); got != "" {
		t.Errorf("got %q of nobody, want none", got)
	}
}
