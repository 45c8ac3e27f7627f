package home

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/throng-gg/throng"
)

// world is regions, each with its own store, that hear each other unless they are cut
// off. Its clock is a synctest bubble's.
type world struct {
	t       *testing.T
	mu      sync.Mutex
	regions map[throng.RegionID]*side
	cut     map[throng.RegionID]bool // hears nobody and is heard by nobody
	group   sync.WaitGroup
}

// side is one region.
type side struct {
	w      *world
	id     throng.RegionID
	homes  *Homes
	stored throng.Home
	fail   error // of its store
	owned  fakeOwned
	heard  map[throng.RegionID]throng.RegionSummary
	still  time.Duration // for which another region seems to be heard once it is lost
	lostAt map[throng.RegionID]time.Time
	behind map[throng.RegionID]time.Time // as of when its copy is; zero: unknown
	stuck  bool                          // copies do not come
	end    context.CancelFunc
}

// fakeOwned counts what is written and read.
type fakeOwned struct {
	Owned // what is not there panics

	mu     sync.Mutex
	posts  int
	slow   time.Duration
	saved  throng.Profile
	fences []throng.Epoch
}

func (f *fakeOwned) Post(context.Context, throng.TransferOrder) (throng.Receipt, error) {
	time.Sleep(f.slow) //nolint:forbidigo // fake time
	f.mu.Lock()
	defer f.mu.Unlock()
	f.posts++
	return throng.Receipt{ID: "t"}, nil
}

func (f *fakeOwned) Checkout(_ context.Context, c throng.ProfileClaim) (throng.Profile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fences = append(f.fences, c.Fence)
	return f.saved, nil
}

func (f *fakeOwned) Get(context.Context, throng.ProfileKey, throng.Revision) (throng.Profile, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.saved, nil
}

func (f *fakeOwned) Inventory(_ context.Context, _ throng.GameID, p throng.PlayerID) (throng.Holding, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return throng.Holding{Player: p, Amounts: []throng.Amount{{Item: "gold", Count: int64(f.posts)}}}, nil
}

func (s *side) Home(context.Context) (throng.Home, error) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	return s.stored, s.fail
}

func (s *side) SetHome(_ context.Context, h throng.Home) error {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if s.fail != nil {
		return s.fail
	}
	if s.stored != h && !h.Over(s.stored) {
		return throng.Errorf(throng.Conflict, "it is %v", s.stored)
	}
	s.stored = h
	return nil
}

// reached is a region's control plane that a call of another's gets to, nil if none.
func (w *world) reached(a, b throng.RegionID) *Homes {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.cut[a] || w.cut[b] {
		return nil
	}
	return w.regions[b].homes
}

func (s *side) Known() []throng.RegionSummary {
	var out []throng.RegionSummary
	for _, id := range []throng.RegionID{"ap", "eu", "us"} {
		if id == s.id {
			continue
		}
		out = append(out, s.hear(id))
	}
	return out
}

// hear answers what a region says now, or said last.
func (s *side) hear(id throng.RegionID) throng.RegionSummary {
	h := s.w.reached(s.id, id)
	now := throng.RegionSummary{Region: id}
	if h != nil {
		now.Home = h.Now()
	}
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if last := s.heard[id]; h == nil && last.Region != "" {
		return last
	}
	s.heard[id] = now
	return now
}

func (s *side) Heard(id throng.RegionID) bool {
	reached := s.w.reached(s.id, id) != nil
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	if reached {
		delete(s.lostAt, id)
		return true
	}
	if s.lostAt[id].IsZero() {
		s.lostAt[id] = time.Now()
	}
	return time.Since(s.lostAt[id]) < s.still
}

func (s *side) Owned(id throng.RegionID) Owned {
	if h := s.w.reached(s.id, id); h != nil {
		return h.Here()
	}
	return nothing{}
}

// nothing does not answer.
type nothing struct{ Owned }

func (nothing) Post(context.Context, throng.TransferOrder) (throng.Receipt, error) {
	return throng.Receipt{}, throng.Errorf(throng.Unavailable, "no answer")
}

func (nothing) Checkout(context.Context, throng.ProfileClaim) (throng.Profile, error) {
	return throng.Profile{}, throng.Errorf(throng.Unavailable, "no answer")
}

func (nothing) Inventory(context.Context, throng.GameID, throng.PlayerID) (throng.Holding, error) {
	return throng.Holding{}, throng.Errorf(throng.Unavailable, "no answer")
}

func (s *side) Yield(ctx context.Context, id throng.RegionID, h throng.Home) error {
	if there := s.w.reached(s.id, id); there != nil {
		return there.Yield(ctx, h)
	}
	return throng.Errorf(throng.Unavailable, "no answer")
}

func (s *side) Behind(id throng.RegionID) (time.Duration, bool) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	at := s.behind[id]
	if !s.w.cut[id] && !s.w.cut[s.id] && !s.stuck && !at.IsZero() {
		return 0, true
	}
	return time.Since(at), !at.IsZero()
}

func (s *side) Losses(context.Context) ([]throng.HomeLoss, error) { return nil, nil }
func (s *side) Flush(context.Context) error                       { return nil }

func (s *side) setStuck(stuck bool) {
	s.w.mu.Lock()
	defer s.w.mu.Unlock()
	s.stuck = stuck
}

func play(t *testing.T, do func(t *testing.T, w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := &world{t: t, regions: map[throng.RegionID]*side{}, cut: map[throng.RegionID]bool{}}
		for _, id := range []throng.RegionID{"ap", "eu", "us"} {
			w.regions[id] = &side{w: w, id: id, heard: map[throng.RegionID]throng.RegionSummary{}, lostAt: map[throng.RegionID]time.Time{}, behind: map[throng.RegionID]time.Time{"eu": time.Now(), "us": time.Now()}}
			w.regions[id].owned.saved = throng.Profile{Document: []byte("{}"), Revision: 4}
		}
		for id := range w.regions {
			w.start(id)
		}
		do(t, w)
		for id := range w.regions {
			w.kill(id)
		}
		w.group.Wait()
	})
}

// start starts a region's control plane, with the store that it had.
func (w *world) start(id throng.RegionID) {
	s := w.regions[id]
	number := map[throng.RegionID]uint8{"ap": 1, "eu": 2, "us": 3}[id]
	h, err := New(Config{
		Own: throng.Region{ID: id, Number: number}, First: "eu", Store: s, Regions: s, Copies: s, Local: &s.owned, Logger: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	w.mu.Lock()
	s.homes = h
	w.mu.Unlock()
	ctx, cancel := context.WithCancel(w.t.Context())
	s.end = cancel
	w.group.Go(func() { _ = h.Run(ctx) })
}

func (w *world) kill(id throng.RegionID) {
	w.regions[id].end()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.regions[id].homes = nil
}

func (w *world) setCut(id throng.RegionID, cut bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.cut[id] = cut
}

// after waits, in fake time.
func after(d time.Duration) {
	time.Sleep(d) //nolint:forbidigo // fake time
	synctest.Wait()
}

// post posts a transfer at a region's door.
func (w *world) post(id throng.RegionID) throng.Kind {
	_, err := w.regions[id].homes.Anywhere().Post(w.t.Context(), throng.TransferOrder{})
	if err == nil {
		return 0
	}
	return throng.KindOf(err)
}

// posts is how many transfers each store has.
func (w *world) posts() (out []int) {
	for _, id := range []throng.RegionID{"ap", "eu", "us"} {
		out = append(out, w.regions[id].owned.posts)
	}
	return out
}

// writers is who takes writes.
func (w *world) writers() (out []throng.RegionID) {
	for _, id := range []throng.RegionID{"ap", "eu", "us"} {
		if w.regions[id].homes == nil {
			continue
		}
		if s, err := w.regions[id].homes.State(w.t.Context()); err == nil && s.Writes {
			out = append(out, id)
		}
	}
	return out
}

func (w *world) wantWriters(want ...throng.RegionID) {
	w.t.Helper()
	if got := w.writers(); !slices.Equal(got, want) {
		w.t.Errorf("%v take writes, want %v", got, want)
	}
}

// TestWrittenAtHome: whatever door is asked, the home writes.
func TestWrittenAtHome(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		after(2 * time.Second)
		for id := range w.regions {
			if kind := w.post(id); kind != 0 {
				t.Errorf("posted at %s: %v", id, kind)
			}
		}
		if got := w.posts(); !slices.Equal(got, []int{0, 3, 0}) {
			t.Errorf("stores have %v transfers, want all at home", got)
		}
		w.wantWriters("eu")
		p, err := w.regions["us"].homes.Anywhere().Checkout(t.Context(), throng.ProfileClaim{Fence: 7})
		if err != nil || p.Copy || !slices.Equal(w.regions["eu"].owned.fences, []throng.Epoch{7}) {
			t.Errorf("checked out %+v, %v; the home fenced %v", p, err, w.regions["eu"].owned.fences)
		}
	})
}

// TestHomeIsLost: its players read copies elsewhere, nothing is written; after a
// promotion all write at the new home, and the old one is fenced when it comes back.
func TestHomeIsLost(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		after(2 * time.Second)
		w.post("eu")
		w.setCut("eu", true)
		if kind := w.post("us"); kind != throng.Unavailable {
			t.Errorf("posted while the home is away: %v, want unavailable", kind)
		}
		away := w.regions["us"].homes.Anywhere()
		p, err := away.Checkout(t.Context(), throng.ProfileClaim{Fence: 7})
		if err != nil || !p.Copy || p.Revision != 4 || len(w.regions["us"].owned.fences) != 0 {
			t.Errorf("checked out %+v, %v; want a copy, and no fence", p, err)
		}
		if has, err := away.Inventory(t.Context(), "arena", "ada"); err != nil || !has.Copy {
			t.Errorf("has %+v, %v; want a copy", has, err)
		}
		w.regions["us"].owned.saved = throng.Profile{}
		if p, err := away.Checkout(t.Context(), throng.ProfileClaim{Fence: 7}); throng.KindOf(err) != throng.Unavailable {
			t.Errorf("checked out %+v, %v; want unavailable, for nobody knows whether he is new", p, err)
		}
		if err := w.regions["us"].homes.Promote(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		after(time.Second)
		w.wantWriters("eu", "us") // the old one cannot know yet
		if w.post("ap") != 0 || w.post("us") != 0 || !slices.Equal(w.posts(), []int{0, 1, 2}) {
			t.Errorf("stores have %v transfers, want two at the new home", w.posts())
		}
		w.setCut("eu", false)
		after(time.Second)
		w.wantWriters("us")
		if kind := w.post("eu"); kind != 0 || !slices.Equal(w.posts(), []int{0, 1, 3}) {
			t.Errorf("posted at the old home: %v, stores have %v", kind, w.posts())
		}
		if got := w.regions["eu"].stored; got.Region != "us" {
			t.Errorf("the old home keeps %v as the home", got)
		}
	})
}

// TestHomeComesBack: a home that starts writes nothing before it has asked the others,
// so one that was replaced meanwhile never writes again.
func TestHomeComesBack(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		after(2 * time.Second)
		w.kill("eu")
		after(time.Second)
		if err := w.regions["us"].homes.Promote(t.Context(), false); err != nil {
			t.Fatal(err)
		}
		w.start("eu")
		for range 40 {
			w.post("eu")
			after(100 * time.Millisecond)
		}
		if w.posts()[1] != 0 {
			t.Errorf("stores have %v transfers: the old home wrote", w.posts())
		}
		w.wantWriters("us")
		// Alone, a home that nobody replaced writes after a while.
		w.kill("ap")
		w.kill("eu")
		w.kill("us")
		w.start("us")
		if kind := w.post("us"); kind != throng.Unavailable {
			t.Errorf("posted at once: %v", kind)
		}
		after(settleTime + time.Second)
		if kind := w.post("us"); kind != 0 {
			t.Errorf("posted after %s alone: %v", settleTime, kind)
		}
	})
}

// TestHomeMoves: a home that is heard is told, what it is writing is waited for, and
// no moment has two that write.
func TestHomeMoves(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		after(2 * time.Second)
		w.regions["eu"].owned.slow = 3 * time.Second
		w.group.Go(func() { w.post("ap") })
		after(time.Second)
		moved := make(chan error, 1)
		w.group.Go(func() { moved <- w.regions["us"].homes.Promote(t.Context(), false) })
		after(time.Second)
		w.wantWriters() // the old one is fenced, and what it writes is not over
		if kind := w.post("ap"); kind != throng.Unavailable {
			t.Errorf("posted meanwhile: %v, want unavailable", kind)
		}
		if err := <-moved; err != nil {
			t.Fatal(err)
		}
		if got := w.posts(); !slices.Equal(got, []int{0, 1, 0}) {
			t.Errorf("stores have %v transfers when it moved, want the one that was under way", got)
		}
		after(time.Second)
		w.wantWriters("us")
	})
}

// TestHomeIsLostJustNow: a home that does not answer, and is not heard any more a moment
// later, is lost; one that goes on being heard is not replaced but by force.
func TestHomeIsLostJustNow(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		after(2 * time.Second)
		us := w.regions["us"]
		us.still = 2 * time.Second
		w.setCut("eu", true)
		if err := us.homes.Promote(t.Context(), false); err != nil {
			t.Error(err)
		}
		w.setCut("eu", false)
		after(time.Second)
		w.wantWriters("us")
		w.regions["ap"].still = time.Hour
		w.setCut("us", true)
		if err := w.regions["ap"].homes.Promote(t.Context(), false); throng.KindOf(err) != throng.Unavailable {
			t.Errorf("promoted: %v, want unavailable", err)
		}
	})
}

// TestCopyThatDoesNotCome: a home whose last writes do not come is not replaced but by
// force, and can be asked again.
func TestCopyThatDoesNotCome(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		after(2 * time.Second)
		us := w.regions["us"]
		us.setStuck(true)
		if err := us.homes.Promote(t.Context(), false); throng.KindOf(err) != throng.Unavailable {
			t.Errorf("promoted: %v, want unavailable", err)
		}
		w.wantWriters()
		us.setStuck(false)
		if err := us.homes.Promote(t.Context(), false); err != nil {
			t.Error(err)
		}
		after(time.Second)
		w.wantWriters("us")
		ap := w.regions["ap"]
		ap.behind = map[throng.RegionID]time.Time{}
		w.setCut("us", true)
		if err := ap.homes.Promote(t.Context(), false); throng.KindOf(err) != throng.Unavailable {
			t.Errorf("promoted without a copy: %v, want unavailable", err)
		}
		if err := ap.homes.Promote(t.Context(), true); err != nil {
			t.Error(err)
		}
		w.setCut("us", false)
		after(time.Second)
		w.wantWriters("ap")
	})
}

// TestTwoArePromoted: of two regions that were promoted without hearing each other one
// counts in the end, everywhere the same.
func TestTwoArePromoted(t *testing.T) {
	play(t, func(t *testing.T, w *world) {
		after(2 * time.Second)
		for id := range w.regions {
			w.setCut(id, true)
		}
		for _, id := range []throng.RegionID{"us", "ap"} {
			if err := w.regions[id].homes.Promote(t.Context(), false); err != nil {
				t.Fatal(err)
			}
		}
		for id := range w.regions {
			w.setCut(id, false)
		}
		after(2 * time.Second)
		w.wantWriters("us")
		for id, s := range w.regions {
			if s.homes.Now().Region != "us" || s.stored != s.homes.Now() {
				t.Errorf("%s has %v, and keeps %v", id, s.homes.Now(), s.stored)
			}
		}
	})
}
