package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/iotest"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/auth"
	"github.com/throng-gg/throng/disk"
)

const (
	serverA  = throng.ServerID("srv_local_0123456789abcdef")
	serverB  = throng.ServerID("srv_local_0123456789abcdeg")
	sessionA = throng.SessionID("ses_local_000123456789abcdef")
	sessionB = throng.SessionID("ses_local_000123456789abcdeg")
	nodeA    = throng.NodeID("nod_local_0123456789abcdef")
	hashB    = throng.PackageHash("b123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
	hashA    = throng.PackageHash("0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef")
)

// world is all that a door needs, in memory, with hooks for what a test says.
type world struct {
	mu       sync.Mutex
	place    func(ctx context.Context, t throng.Ticket, wait time.Duration) (throng.Placement, error)
	lookup   func(k throng.TicketKey, wait time.Duration) (throng.Placement, error)
	beat     func(h throng.Heartbeat) (throng.HeartbeatAnswer, error)
	attach   func(h throng.Hello, l Link) error
	confirm  func(ctx context.Context) error
	claims   map[throng.TicketKey]throng.Claim
	inLine   map[throng.TicketKey][]throng.PlayerID
	leaveErr error
	line     string // that the last lookup brought
	releases []throng.Release
	sessions []throng.Session
	said     []string // what was done, in order
	reports  []throng.Report
	links    chan Link
	listed   int
	detached chan throng.ServerID
	left     atomic.Bool // the last one closed its connection in order
	uploads  [][]byte
	owner    throng.PlayerID // of arena; empty: whoever asks
	audited  func()          // an audit has begun
}

// owned says whether an editor may do with a place what its owners may.
func (w *world) owned(by throng.Editor, id throng.PlaceID) bool {
	return by.All || id == "arena" && (w.owner == "" || w.owner == by.Player)
}

// fakeClaims is pods by their tokens.
type fakeClaims map[string]throng.ServerClaim

func (f fakeClaims) Known(token string) bool { return f[token].Server != "" }

func (f fakeClaims) Claim(_ context.Context, token string) (throng.ServerClaim, error) {
	switch c, ok := f[token]; {
	case ok && c.Server == "":
		return c, throng.RetryLater(throng.NotFound, 2*time.Second, "the pod's server is not allocated")
	case ok:
		return c, nil
	case token == "away":
		return c, throng.Errorf(throng.Unavailable, "the cluster does not answer")
	}
	return throng.ServerClaim{}, throng.Errorf(throng.Denied, "the token is not valid")
}

type fakeOwners struct{ *world }

func (f fakeOwners) Owners(_ context.Context, by throng.Editor, id throng.PlaceID) ([]throng.PlayerID, error) {
	if !f.owned(by, id) || id != "arena" {
		return nil, throng.Errorf(throng.NotFound, "there is none of yours of that name")
	}
	return []throng.PlayerID{f.owner}, nil
}

func (f fakeOwners) AddOwner(
	ctx context.Context, by throng.Editor, id throng.PlaceID, p throng.PlayerID,
) ([]throng.PlayerID, error) {
	f.say("add " + string(p))
	return f.Owners(ctx, by, id)
}

func (f fakeOwners) RemoveOwner(
	ctx context.Context, by throng.Editor, id throng.PlaceID, p throng.PlayerID,
) ([]throng.PlayerID, error) {
	f.say("remove " + string(p))
	return f.Owners(ctx, by, id)
}

func (w *world) say(s string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.said = append(w.said, s)
}

func (w *world) did() []string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.said)
}

type fakeMatchmaker struct{ *world }

func (f fakeMatchmaker) Place(ctx context.Context, t throng.Ticket, wait time.Duration) (throng.Placement, error) {
	return f.place(ctx, t, wait)
}

func (f fakeMatchmaker) Waiting(k throng.TicketKey) []throng.PlayerID { return f.inLine[k] }

func (f fakeMatchmaker) Leave(k throng.TicketKey) bool {
	_, waits := f.inLine[k]
	delete(f.inLine, k)
	return waits
}

func (f fakeMatchmaker) Lookup(_ context.Context, k throng.TicketKey, line string, wait time.Duration) (throng.Placement, error) {
	f.line = line
	return f.lookup(k, wait)
}

type fakeTickets struct{ *world }

func (f fakeTickets) Lookup(_ context.Context, k throng.TicketKey) (throng.Claim, error) {
	c, ok := f.claims[k]
	if !ok {
		return throng.Claim{}, throng.Errorf(throng.NotFound, "never seen")
	}
	return c, nil
}

type fakeRegistry struct{ *world }

func (f fakeRegistry) Heartbeat(_ context.Context, h throng.Heartbeat) (throng.HeartbeatAnswer, error) {
	return f.beat(h)
}

func (f fakeRegistry) Report(_ context.Context, r throng.Report) (throng.HeartbeatAnswer, error) {
	f.mu.Lock()
	f.reports = append(f.reports, r)
	f.mu.Unlock()
	return f.beat(r.Heartbeat)
}

func (f fakeRegistry) Confirm(ctx context.Context, h throng.Heartbeat, c throng.RosterChange) error {
	f.say("confirm " + string(h.Session) + " " + string(c.Player))
	if f.confirm != nil {
		return f.confirm(ctx)
	}
	if c.Player == "fenced" {
		return throng.Errorf(throng.Denied, "a later join of fenced")
	}
	return nil
}

func (f fakeRegistry) EndBy(_ context.Context, h throng.Heartbeat, e throng.Ending) error {
	if e.Failed {
		f.say("failed " + string(h.Session))
	}
	f.say("end by " + string(h.Server) + " " + string(h.Session) + " " + e.Reason)
	return nil
}

func (f fakeRegistry) Retire(_ context.Context, h throng.Heartbeat, reason string) error {
	f.say("retire " + string(h.Server) + " " + string(h.Session) + " " + reason)
	return nil
}

func (f fakeTickets) Leave(_ context.Context, k throng.TicketKey, p throng.PlayerID) error {
	f.say("leave " + string(k.Caller) + "/" + string(k.Ticket) + " " + string(p))
	return f.leaveErr
}

type fakeDirectory struct{ *world }

func (f fakeDirectory) Session(_ context.Context, id throng.SessionID) (throng.Session, error) {
	for _, s := range f.sessions {
		if s.ID == id {
			return s, nil
		}
	}
	return throng.Session{}, throng.Errorf(throng.NotFound, "no session %s", id)
}

func (f fakeDirectory) Sessions(
	_ context.Context, place throng.PlaceID, after throng.SessionID, limit int,
) ([]throng.Session, error) {
	f.mu.Lock()
	f.listed++
	f.mu.Unlock()
	var out []throng.Session
	for _, s := range f.sessions {
		if s.ID > after && (place == "" || s.Place == place) && len(out) < limit {
			out = append(out, s)
		}
	}
	return out, nil
}

func (f fakeDirectory) Presence(_ context.Context, p throng.PlayerID) (throng.Presence, error) {
	if p == "ada" {
		return throng.Presence{Player: p, State: throng.PresencePlaying, Session: sessionA, Place: "arena"}, nil
	}
	return throng.Presence{}, throng.Errorf(throng.NotFound, "never seen")
}

func (f fakeDirectory) Drain(_ context.Context, s throng.SessionID, reason string, within time.Duration) error {
	f.say("drain " + string(s) + " " + reason + " " + within.String())
	return nil
}

func (f fakeDirectory) End(_ context.Context, s throng.SessionID, reason string) error {
	f.say("end " + string(s) + " " + reason)
	return nil
}

type fakePlaces struct{ *world }

func (f fakePlaces) Publish(_ context.Context, by throng.Editor, id throng.PlaceID, upload io.Reader, how throng.Publication) (throng.Published, error) {
	if !f.owned(by, id) {
		return throng.Published{}, throng.Errorf(throng.Denied, "the place belongs to somebody else")
	}
	data, err := io.ReadAll(upload)
	if err != nil {
		return throng.Published{}, err
	}
	f.mu.Lock()
	f.uploads = append(f.uploads, data)
	f.mu.Unlock()
	r := throng.Release{Place: id, Name: "Arena", Version: 2, Package: hashA, Capacity: 8, TickRate: 30, Published: 1}
	return throng.Published{Release: r, Live: !how.Stage && how.Canary == 0, Canary: how.Canary}, nil
}

type fakeReleases struct{ *world }

func (f fakeReleases) Channels(_ context.Context, by throng.Editor, id throng.PlaceID) (throng.Channels, error) {
	if !f.owned(by, id) || id != "arena" {
		return throng.Channels{}, throng.Errorf(throng.NotFound, "there is none of yours of that name")
	}
	return throng.Channels{
		Place: id, Revision: 7, Live: 2, Before: 1, Canary: throng.Canary{Version: 3, Percent: 10},
		Releases: []throng.Release{{Place: id, Version: 3}, {Place: id, Version: 2}, {Place: id, Version: 1}},
	}, nil
}

func (f fakeReleases) Change(ctx context.Context, by throng.Editor, id throng.PlaceID, want throng.ReleaseChange) (throng.Channels, error) {
	ch, err := f.Channels(ctx, by, id)
	if want.Revision != 0 && want.Revision != 7 {
		return ch, throng.Errorf(throng.Conflict, "it is at revision 7")
	}
	f.say(fmt.Sprintf("release live %d canary %v rollback %t pin %t", want.Live, want.Canary, want.Rollback, want.Pin != nil && *want.Pin))
	return ch, err
}

func (f fakePlaces) Release(_ context.Context, id throng.PlaceID) (throng.Release, error) {
	for _, r := range f.releases {
		if r.Place == id {
			return r, nil
		}
	}
	return throng.Release{}, throng.Errorf(throng.NotFound, "no place %s", id)
}

func (f fakePlaces) Version(ctx context.Context, id throng.PlaceID, v throng.Version) (throng.Release, error) {
	r, err := f.Release(ctx, id)
	r.Version = v
	return r, err
}

func (f fakePlaces) Releases(_ context.Context, after throng.PlaceID, limit int) ([]throng.Release, error) {
	var out []throng.Release
	for _, r := range f.releases {
		if r.Place > after && len(out) < limit {
			out = append(out, r)
		}
	}
	return out, nil
}

func (f fakePlaces) Package(_ context.Context, hash throng.PackageHash) (io.ReadCloser, int64, error) {
	if hash == hashB {
		return io.NopCloser(io.MultiReader(strings.NewReader(strings.Repeat("x", 64<<10)), iotest.ErrReader(errors.New("disk")))), 128 << 10, nil
	}
	if hash != hashA {
		return nil, 0, throng.Errorf(throng.NotFound, "no package %s", hash)
	}
	return io.NopCloser(strings.NewReader("package")), 7, nil
}

type fakeFleet struct{ *world }

func (f fakeFleet) Attach(h throng.Hello, l Link) (func(left bool), error) {
	if f.attach != nil {
		if err := f.attach(h, l); err != nil {
			return nil, err
		}
	}
	f.links <- l
	return func(left bool) {
		f.left.Store(left)
		f.detached <- h.Server
	}, nil
}

type fakeTokens struct{}

func (fakeTokens) JoinToken(a throng.Assignment, m throng.Member) ([]byte, error) {
	return []byte(string(a.Session.ID) + "/" + string(m.Player)), nil
}

// CheckJoinToken takes what begins with the session's name.
func (fakeTokens) CheckJoinToken(s throng.SessionID, token []byte) error {
	if !bytes.HasPrefix(token, []byte(s)) {
		return throng.Errorf(throng.Denied, "the token is another session's")
	}
	return nil
}

// seated is an assignment of these players.
func seated(players ...throng.PlayerID) throng.Placement {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a := &throng.Assignment{Session: throng.Session{
		ID: sessionA, Place: "arena", Version: 1, State: throng.SessionOpen, Capacity: 8,
		Address: netip.MustParseAddrPort("192.0.2.1:7000"), BoundAt: at,
	}}
	a.Grant.Key = throng.TicketKey{Caller: players[0], Ticket: "t1"}
	a.Grant.Place, a.Grant.Version, a.Grant.HeldAt = "arena", 1, at.Add(-time.Second)
	for i, p := range players {
		a.Grant.Members = append(a.Grant.Members, throng.Member{Player: p, Epoch: throng.Epoch(i + 1)})
	}
	return throng.Placement{Assignment: a}
}

type door struct {
	t *testing.T
	*API
	world *world
	keys  *auth.Ring
	api   *auth.Keys
	http  *httptest.Server
}

// ring is a region's secrets: each is its number, 32 times.
type ring struct {
	mu      sync.Mutex
	numbers []int
}

func (r *ring) set(numbers ...int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.numbers = numbers
}

func (r *ring) Secrets() ([]auth.Secret, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var all []auth.Secret
	for _, n := range r.numbers {
		all = append(all, auth.Secret{Number: n, Bytes: [32]byte(bytes.Repeat([]byte{byte(n)}, 32))})
	}
	return all, nil
}

func testKeys(t *testing.T, numbers ...int) *auth.Ring {
	t.Helper()
	if len(numbers) == 0 {
		numbers = []int{7}
	}
	keys, err := auth.NewRing(auth.RingConfig{Secrets: &ring{numbers: numbers}})
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

// openDoor starts a door over a real listener; change may alter its Config.
func openDoor(t *testing.T, change func(*Config)) *door {
	t.Helper()
	w := &world{
		claims:   map[throng.TicketKey]throng.Claim{},
		releases: []throng.Release{{Place: "arena", Name: "Arena", Version: 1, Package: hashA, Capacity: 8, TickRate: 30}},
		links:    make(chan Link, 16),
		detached: make(chan throng.ServerID, 16),
	}
	w.place = func(_ context.Context, tk throng.Ticket, _ time.Duration) (throng.Placement, error) {
		return seated(tk.Party...), nil
	}
	w.lookup = func(k throng.TicketKey, _ time.Duration) (throng.Placement, error) {
		return throng.Placement{}, throng.Errorf(throng.NotFound, "no ticket %s", k.Ticket)
	}
	w.beat = func(h throng.Heartbeat) (throng.HeartbeatAnswer, error) {
		return throng.HeartbeatAnswer{Now: time.Unix(1, 0), Next: throng.HeartbeatTime, Acked: h.Revision}, nil
	}
	registry := prometheus.NewRegistry()
	keys := testKeys(t)
	apiKeys, err := auth.NewKeys(disk.Keys{Dir: t.TempDir()}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	who, err := auth.New(auth.Config{Ring: keys, Keys: apiKeys, Metrics: registry})
	if err != nil {
		t.Fatal(err)
	}
	cfg := Config{
		Region: "local", Auth: who, DevTokens: keys, APIKeys: apiKeys,
		Matchmaker: fakeMatchmaker{w}, Tickets: fakeTickets{w}, Registry: fakeRegistry{w}, Directory: fakeDirectory{w},
		Places: fakePlaces{w}, Owners: fakeOwners{w}, Releases: fakeReleases{w}, Fleet: fakeFleet{w}, JoinTokens: fakeTokens{},
		Claims:   fakeClaims{"pod.a.x": {Server: serverA, Token: "enroll", Region: "local", Doors: []string{"https://door"}}},
		Gatherer: registry, Metrics: registry, Logger: slog.New(slog.DiscardHandler),
	}
	social(t, &cfg)
	if change != nil {
		change(&cfg)
	}
	a, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewUnstartedServer(nil)
	s.Config = a.Server()
	s.Start()
	t.Cleanup(s.Close)
	return &door{t: t, API: a, world: w, keys: keys, api: apiKeys, http: s}
}

func (d *door) token(player throng.PlayerID, role Role) string {
	d.t.Helper()
	token, err := d.keys.PlayerToken(player, role, time.Hour)
	if err != nil {
		d.t.Fatal(err)
	}
	return token
}

func (d *door) serverToken(server throng.ServerID, session throng.SessionID) string {
	d.t.Helper()
	token, err := d.keys.EnrollToken(server)
	if session != "" {
		token, err = d.keys.ServerToken(server, session)
	}
	if err != nil {
		d.t.Fatal(err)
	}
	return token
}

// reply is an answer that was read to its end.
type reply struct {
	status int
	header http.Header
	body   string
}

func (r reply) problem(t *testing.T) gen.Problem {
	t.Helper()
	var p gen.Problem
	if err := json.Unmarshal([]byte(r.body), &p); err != nil {
		t.Fatalf("not a problem (status %d): %s", r.status, r.body)
	}
	if got, want := r.header.Get("Content-Type"), "application/problem+json"; got != want {
		t.Errorf("content type: got %s, want %s", got, want)
	}
	return p
}

// call makes a request; body "" is none, else JSON unless a header says other.
func (d *door) call(method, path, token, body string, headers ...string) reply {
	d.t.Helper()
	var content io.Reader
	if body != "" {
		content = strings.NewReader(body)
	}
	req, err := http.NewRequestWithContext(d.t.Context(), method, d.http.URL+path, content)
	if err != nil {
		d.t.Fatal(err)
	}
	if body != "" {
		req.Header.Set("Content-Type", "application/json")
	}
	if token != "" {
		req.Header.Set("Authorization", "Bearer "+token)
	}
	for i := 0; i < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := d.http.Client().Do(req)
	if err != nil {
		d.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		d.t.Fatal(err)
	}
	return reply{resp.StatusCode, resp.Header, string(data)}
}
