package place_test

import (
	"bytes"
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/place"
)

// publishGame publishes a place that shares a game; empty: it says none.
func publishGame(t *testing.T, c *place.Catalog, by throng.Editor, id throng.PlaceID, game string) (throng.Release, error) {
	t.Helper()
	files := placeFiles(string(id), "-- "+game+" by "+string(by.Player))
	if game != "" {
		files["place.yaml"] = append(files["place.yaml"], "game: "+game+"\n"...)
	}
	var b bytes.Buffer
	if err := place.WriteUpload(&b, files); err != nil {
		t.Fatal(err)
	}
	p, err := c.Publish(t.Context(), by, id, &b, throng.Publication{})
	return p.Release, err
}

func wantDenied(t *testing.T, what string, err error) {
	t.Helper()
	if err == nil || throng.KindOf(err) != throng.Denied {
		t.Errorf("%s: got %v, want denied", what, err)
	}
}

// TestGames: who owns a game says which places share it, and nobody else.
func TestGames(t *testing.T) {
	s := newStores()
	c := newCatalog(t, s)
	bo, op := throng.Editor{Player: "bo"}, throng.Editor{Player: "op", All: true}
	for name, game := range map[throng.PlaceID]string{"hub": "", "alone": "alone"} {
		if r, err := publishGame(t, c, ada, name, game); err != nil || r.Game != "" || r.Keeps() != throng.GameID(name) {
			t.Errorf("%s: got %+v, %v", name, r, err)
		}
	}
	if r, err := publishGame(t, c, ada, "arena", "hub"); err != nil || r.Keeps() != "hub" {
		t.Errorf("his own: got %+v, %v", r, err)
	}
	packages := len(s.packages)
	for what, try := range map[string]struct {
		by   throng.Editor
		game string
	}{"another's": {bo, "hub"}, "none": {bo, "nowhere"}, "none, by an operator": {op, "nowhere"}, "one that shares itself": {ada, "arena"}} {
		_, err := publishGame(t, c, try.by, "bos-place", try.game)
		wantDenied(t, what, err)
	}
	if len(s.packages) != packages {
		t.Error("what was refused was stored")
	}
	// Who owns the place but not the game publishes it without the game only, and
	// does not bring an older version back.
	if _, err := c.AddOwner(t.Context(), ada, "arena", "bo"); err != nil {
		t.Fatal(err)
	}
	_, err := publishGame(t, c, bo, "arena", "hub")
	wantDenied(t, "a place of two, another's game", err)
	if r, err := publishGame(t, c, bo, "arena", ""); err != nil || r.Keeps() != "arena" {
		t.Errorf("a place of two: got %+v, %v", r, err)
	}
	for what, want := range map[string]throng.ReleaseChange{
		"rollback": {Rollback: true}, "live": {Live: 1}, "canary": {Canary: &throng.Canary{Version: 1, Percent: 5}},
	} {
		_, err := c.Change(t.Context(), bo, "arena", want)
		wantDenied(t, what, err)
	}
	if _, err := c.Change(t.Context(), ada, "arena", throng.ReleaseChange{Rollback: true}); err != nil {
		t.Error(err)
	}
	if r, err := c.Release(t.Context(), "arena"); err != nil || r.Keeps() != "hub" {
		t.Errorf("rolled back: got %+v, %v", r, err)
	}
}
