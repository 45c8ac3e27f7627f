package contract

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer/analytics"
)

// BanStore keeps who may not play.
type BanStore interface {
	Put(ctx context.Context, b throng.Ban) error
	Bans(ctx context.Context, players []throng.PlayerID) ([]throng.Ban, error)
	ListBans(ctx context.Context, after throng.PlayerID, limit int) ([]throng.Ban, error)
	Lift(ctx context.Context, p throng.PlayerID, by string, at time.Time) (throng.Ban, error)
}

// Bans tests a BanStore. open makes an empty one for each case, with room for 5.
func Bans(t *testing.T, open func(t *testing.T) BanStore) {
	for name, run := range map[string]func(*testing.T, BanStore){
		"a ban is kept, and listed":                 bansKept,
		"the same again changes nothing":            bansOnce,
		"the one that ends later stays":             bansLater,
		"a lifted one stays lifted":                 bansLifted,
		"past its room it refuses what is not over": bansFull,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run(t, open(t))
		})
	}
}

var banTime = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC) //nolint:gochecknoglobals // a constant that Go can't write as one

func banOf(p, id string, at, hours int) throng.Ban {
	from := banTime.Add(time.Duration(at) * time.Hour)
	return throng.Ban{
		ID: id, Player: throng.PlayerID(p), Rule: "speed", Reason: "too fast", Evidence: "2 times", Score: 1.5, Place: "arena", Session: "ses_1",
		At: from, Until: from.Add(time.Duration(hours) * time.Hour),
	}
}

func onlyBan(t *testing.T, s BanStore, p throng.PlayerID) throng.Ban {
	t.Helper()
	list := must(s.Bans(t.Context(), []throng.PlayerID{"nobody", p, "else"}))(t)
	if len(list) != 1 {
		t.Fatalf("bans of %s: got %v, want one", p, list)
	}
	return list[0]
}

func bansKept(t *testing.T, s BanStore) {
	ctx := t.Context()
	if list := must(s.Bans(ctx, []throng.PlayerID{"ada"}))(t); len(list) != 0 {
		t.Errorf("got %v, want none", list)
	}
	for _, p := range []string{"cy", "ada", "bo"} {
		check(t, s.Put(ctx, banOf(p, p+"/1", 0, 1)))
	}
	if got, want := onlyBan(t, s, "bo"), banOf("bo", "bo/1", 0, 1); got != want {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if !onlyBan(t, s, "bo").Holds(banTime.Add(59*time.Minute)) || onlyBan(t, s, "bo").Holds(banTime.Add(time.Hour)) {
		t.Error("it does not hold for its hour alone")
	}
	list := must(s.ListBans(ctx, "ada", 1))(t)
	if len(list) != 1 || list[0].Player != "bo" {
		t.Errorf("after ada: got %v, want bo", list)
	}
	if list := must(s.ListBans(ctx, "", 10))(t); len(list) != 3 || list[0].Player != "ada" {
		t.Errorf("all: got %v, want three by player", list)
	}
}

func bansOnce(t *testing.T, s BanStore) {
	ctx := t.Context()
	check(t, s.Put(ctx, banOf("ada", "a", 0, 5)))
	again := banOf("ada", "a", 0, 50)
	check(t, s.Put(ctx, again))
	if got := onlyBan(t, s, "ada"); got != banOf("ada", "a", 0, 5) {
		t.Errorf("got %+v, want the first", got)
	}
}

func bansLater(t *testing.T, s BanStore) {
	ctx := t.Context()
	report := banOf("ada", "r", 0, 90)
	report.Report = true
	for _, b := range []throng.Ban{report, banOf("ada", "a", 0, 5), banOf("ada", "b", 1, 2), banOf("ada", "c", 2, 9)} {
		check(t, s.Put(ctx, b))
	}
	report.ID = "r2"
	check(t, s.Put(ctx, report))
	if got := onlyBan(t, s, "ada"); got.ID != "c" {
		t.Errorf("got %+v, want c, which ends last and is no report", got)
	}
}

func bansLifted(t *testing.T, s BanStore) {
	ctx := t.Context()
	check(t, s.Put(ctx, banOf("ada", "a", 2, 5)))
	at := banTime.Add(3 * time.Hour)
	first := must(s.Lift(ctx, "ada", "op", at))(t)
	second := must(s.Lift(ctx, "ada", "other", at.Add(time.Hour)))(t)
	if first != second || !first.Lifted.Equal(at) || first.By != "op" || first.Holds(at) {
		t.Errorf("got %+v, then %+v", first, second)
	}
	check(t, s.Put(ctx, banOf("ada", "a", 2, 5)))
	check(t, s.Put(ctx, banOf("ada", "earlier", 1, 50)))
	if got := onlyBan(t, s, "ada"); got.ID != "a" || got.Lifted.IsZero() {
		t.Errorf("what was before it was lifted came back: %+v", got)
	}
	check(t, s.Put(ctx, banOf("ada", "new", 4, 1)))
	if got := onlyBan(t, s, "ada"); got.ID != "new" {
		t.Errorf("got %+v, want the new one", got)
	}
	if _, err := s.Lift(ctx, "bo", "op", at); throng.KindOf(err) != throng.NotFound || err == nil {
		t.Errorf("lift of nothing: got %v, want NotFound", err)
	}
}

func bansFull(t *testing.T, s BanStore) {
	ctx := t.Context()
	for i := range 5 {
		check(t, s.Put(ctx, banOf(fmt.Sprint("p", i), fmt.Sprint(i), 0, 2+i)))
	}
	if err := s.Put(ctx, banOf("p9", "9", 1, 9)); throng.KindOf(err) != throng.Unavailable || err == nil {
		t.Errorf("the sixth of five: got %v, want Unavailable", err)
	}
	check(t, s.Put(ctx, banOf("p9", "9", 3, 9)))
	if list := must(s.ListBans(ctx, "", 10))(t); len(list) != 5 || list[0].Player != "p1" {
		t.Errorf("got %v, want p0's gone, which is over", list)
	}
}

// Boards tests an analytics.Board. open makes an empty one.
func Boards(t *testing.T, open func(t *testing.T) analytics.Board) {
	ctx, b := t.Context(), open(t)
	if list := must(b.Posts(ctx, "arena"))(t); len(list) != 0 {
		t.Errorf("got %q, want nothing", list)
	}
	check(t, b.Post(ctx, "arena", "a", []byte("1")))
	check(t, b.Post(ctx, "arena", "b", []byte("2")))
	check(t, b.Post(ctx, "arena", "a", []byte("3\x00")))
	check(t, b.Post(ctx, "other", "a", []byte("4")))
	sum := 0
	list := must(b.Posts(ctx, "arena"))(t)
	for _, s := range list {
		sum += len(s)
	}
	if len(list) != 2 || sum != 3 {
		t.Errorf("got %q, want the newest of both shards", list)
	}
}
