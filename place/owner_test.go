package place_test

import (
	"bytes"
	"fmt"
	"slices"
	"sync"
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/place"
)

func owners(t *testing.T, c *place.Catalog, by throng.Editor) string {
	t.Helper()
	list, err := c.Owners(t.Context(), by, "arena")
	if err != nil {
		return throng.KindOf(err).String()
	}
	return fmt.Sprint(list)
}

func publishAs(t *testing.T, c *place.Catalog, by throng.Editor, script string) error {
	t.Helper()
	_, err := c.Publish(t.Context(), by, "arena", arenaUpload(t, script), throng.Publication{})
	return err
}

func TestWhoPublishesFirstOwns(t *testing.T) {
	c := ownCatalog(t)
	bo, op := throng.Editor{Player: "bo"}, throng.Editor{Player: "op", All: true}
	if got := owners(t, c, ada); got != "not_found" {
		t.Errorf("before: got %s", got)
	}
	if err := publishAs(t, c, ada, "-- 1"); err != nil {
		t.Fatal(err)
	}
	for _, script := range []string{"-- 1", "-- 2"} { // also what is live already
		if err := publishAs(t, c, bo, script); throng.KindOf(err) != throng.Denied || err == nil {
			t.Errorf("another's %s: got %v, want denied", script, err)
		}
	}
	if err := publishAs(t, c, op, "-- 3"); err != nil {
		t.Errorf("an operator: got %v", err)
	}
	if got := owners(t, c, ada) + owners(t, c, bo) + owners(t, c, op); got != "[ada]not_found[ada]" {
		t.Errorf("got %s", got)
	}
	_, foreign := c.Owners(t.Context(), bo, "arena")
	_, none := c.Owners(t.Context(), bo, "nowhere")
	if foreign == nil || none == nil || foreign.Error() != `place "arena": there is none of yours of that name` ||
		none.Error() != `place "nowhere": there is none of yours of that name` {
		t.Errorf("of another: %v; of none: %v; want the same words", foreign, none)
	}
}

func TestOwnersShareAndHandOver(t *testing.T) {
	c := ownCatalog(t)
	bo, op := throng.Editor{Player: "bo"}, throng.Editor{Player: "op", All: true}
	if err := publishAs(t, c, ada, "-- 1"); err != nil {
		t.Fatal(err)
	}
	if _, err := c.AddOwner(t.Context(), bo, "arena", "bo"); throng.KindOf(err) != throng.NotFound || err == nil {
		t.Errorf("who adds himself: got %v, want not found", err)
	}
	for range 2 {
		list, err := c.AddOwner(t.Context(), ada, "arena", "bo")
		if err != nil || !slices.Equal(list, []throng.PlayerID{"ada", "bo"}) {
			t.Errorf("share: got %v, %v", list, err)
		}
	}
	if err := publishAs(t, c, bo, "-- 2"); err != nil {
		t.Errorf("who owns it as well: got %v", err)
	}
	if _, err := c.RemoveOwner(t.Context(), ada, "arena", "ada"); err != nil {
		t.Errorf("leave: got %v", err)
	}
	if err := publishAs(t, c, ada, "-- 3"); throng.KindOf(err) != throng.Denied || err == nil {
		t.Errorf("who left: got %v, want denied", err)
	}
	if _, err := c.RemoveOwner(t.Context(), bo, "arena", "bo"); throng.KindOf(err) != throng.Conflict || err == nil {
		t.Errorf("the last one leaves: got %v, want conflict", err)
	}
	if _, err := c.RemoveOwner(t.Context(), op, "arena", "bo"); err != nil {
		t.Errorf("an operator takes the last one: got %v", err)
	}
	if err := publishAs(t, c, bo, "-- 4"); throng.KindOf(err) != throng.Denied || err == nil {
		t.Errorf("a place that nobody owns: got %v, want denied", err)
	}
	dev := throng.Editor{Player: "dev", Unowned: true}
	if err := publishAs(t, c, dev, "-- 5"); err != nil {
		t.Errorf("where creators may take such places: got %v", err)
	}
	if got := owners(t, c, throng.Editor{Player: "dev"}); got != "[dev]" {
		t.Errorf("he owns it now: got %s", got)
	}
	for i := range throng.MaxOwners {
		_, err := c.AddOwner(t.Context(), op, "arena", throng.PlayerID(fmt.Sprint("p", i)))
		if full := i == throng.MaxOwners-1; full != (throng.KindOf(err) == throng.Full && err != nil) {
			t.Errorf("owner %d: got %v", i+2, err)
		}
	}
}

// TestOneFirstPublisher: of many who publish the same place first, one owns it
// and the others are denied.
func TestOneFirstPublisher(t *testing.T) {
	c := ownCatalog(t)
	const many = 8
	results := make([]error, many)
	var group sync.WaitGroup
	for i := range many {
		upload := arenaUpload(t, fmt.Sprint("-- ", i))
		group.Go(func() {
			_, results[i] = c.Publish(t.Context(), throng.Editor{Player: throng.PlayerID(fmt.Sprint("p", i))}, "arena", upload, throng.Publication{})
		})
	}
	group.Wait()
	won := 0
	for i, err := range results {
		switch {
		case err == nil:
			won++
		case throng.KindOf(err) != throng.Denied:
			t.Errorf("%d: got %v, want denied", i, err)
		}
	}
	list, err := c.Owners(t.Context(), throng.Editor{All: true}, "arena")
	if won != 1 || err != nil || len(list) != 1 {
		t.Errorf("%d published, owners %v, %v; want one", won, list, err)
	}
}

func ownCatalog(t *testing.T) *place.Catalog {
	t.Helper()
	return newCatalog(t, newStores())
}

func arenaUpload(t *testing.T, script string) *bytes.Buffer {
	t.Helper()
	var b bytes.Buffer
	if err := place.WriteUpload(&b, placeFiles("arena", script)); err != nil {
		t.Fatal(err)
	}
	return &b
}
