package place_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/place"
)

// channels is what is released of arena, in words.
func channels(t *testing.T, c *place.Catalog) string {
	t.Helper()
	ch, err := c.Channels(t.Context(), ada, "arena")
	if err != nil {
		t.Fatal(err)
	}
	lanes, err := c.Lanes(t.Context(), "arena")
	if err != nil {
		t.Fatal(err)
	}
	if lanes.Live.Version != ch.Live || lanes.Percent != ch.Canary.Percent || lanes.Percent > 0 && lanes.Canary.Version != ch.Canary.Version {
		t.Errorf("joins see %d and %d in %d %%, creators see %+v", lanes.Live.Version, lanes.Canary.Version, lanes.Percent, ch)
	}
	out := fmt.Sprintf("live %d", ch.Live)
	if ch.Canary.Percent > 0 {
		out += fmt.Sprintf(", %d in %d %%", ch.Canary.Version, ch.Canary.Percent)
	}
	if ch.Pinned {
		out += ", pinned"
	}
	if ch.Before > 0 {
		out += fmt.Sprintf(", before %d", ch.Before)
	}
	return fmt.Sprintf("%s, newest %d", out, ch.Releases[0].Version)
}

func TestReleaseChanges(t *testing.T) {
	c := newCatalog(t, newStores())
	yes, no := true, false
	put := func(script string, how throng.Publication) func() error {
		return func() error {
			_, err := publishHow(t, c, placeFiles("arena", script), how)
			return err
		}
	}
	change := func(want throng.ReleaseChange) func() error {
		return func() error {
			_, err := c.Change(t.Context(), ada, "arena", want)
			return err
		}
	}
	canary := func(v throng.Version, percent int) func() error {
		return change(throng.ReleaseChange{Canary: &throng.Canary{Version: v, Percent: percent}})
	}
	for _, step := range []struct {
		do   func() error
		want string // what is released, or the error
	}{
		{put("1", throng.Publication{}), "live 1, newest 1"},
		{put("1", throng.Publication{}), "live 1, newest 1"},
		{change(throng.ReleaseChange{Rollback: true}), "rollback: nothing else was live before"},
		{canary(0, 10), "canary.version: version 1 is live"},
		{put("2", throng.Publication{Stage: true}), "live 1, newest 2"},
		{put("2", throng.Publication{Stage: true}), "live 1, newest 2"},
		{canary(0, 10), "live 1, 2 in 10 %, newest 2"},
		{canary(0, 25), "live 1, 2 in 25 %, newest 2"},
		{put("3", throng.Publication{Stage: true}), "live 1, 2 in 25 %, newest 3"},
		{canary(0, 30), "live 1, 2 in 30 %, newest 3"},
		{canary(3, 30), "live 1, 3 in 30 %, newest 3"},
		{canary(4, 30), "canary.version: there is no version 4"},
		{canary(3, 100), "canary.percent: must be 1 to 99 percent, is 100"},
		{canary(3, -1), "canary.percent: must be 1 to 99 percent, is -1"},
		{change(throng.ReleaseChange{Rollback: true}), "live 1, newest 3"},
		{canary(2, 50), "live 1, 2 in 50 %, newest 3"},
		{change(throng.ReleaseChange{Live: 2}), "live 2, before 1, newest 3"},
		{put("4", throng.Publication{Canary: 5}), "live 2, 4 in 5 %, before 1, newest 4"},
		{canary(0, 0), "live 2, before 1, newest 4"},
		{put("5", throng.Publication{}), "live 5, before 2, newest 5"},
		{change(throng.ReleaseChange{Live: 9}), "live: there is no version 9"},
		{change(throng.ReleaseChange{Rollback: true}), "live 2, before 1, newest 5"},
		{change(throng.ReleaseChange{Rollback: true, Revision: 1}), "is at revision"},
		{change(throng.ReleaseChange{Pin: &yes}), "live 2, pinned, before 1, newest 5"},
		{put("6", throng.Publication{}), "live 2, pinned, before 1, newest 6"},
		{change(throng.ReleaseChange{Live: 6}), "live 6, pinned, before 2, newest 6"},
		{change(throng.ReleaseChange{Pin: &no}), "live 6, before 2, newest 6"},
		{put("5", throng.Publication{}), "live 7, before 6, newest 7"},
		{change(throng.ReleaseChange{}), "live: or canary, rollback or pin is needed"},
		{change(throng.ReleaseChange{Live: 1, Rollback: true}), "live: is one of three"},
		{put("8", throng.Publication{Canary: 100}), "canary: must be 1 to 99"},
		{change(throng.ReleaseChange{Rollback: true}), "live 6, before 2, newest 7"},
		{change(throng.ReleaseChange{Rollback: true}), "live 2, before 1, newest 7"},
		{change(throng.ReleaseChange{Rollback: true}), "live 1, newest 7"},
	} {
		var before string
		if step.want != "live 1, newest 1" {
			before = channels(t, c)
		}
		err := step.do()
		got := channels(t, c)
		if err != nil {
			if got != before {
				t.Errorf("%v, and yet it changed: %s to %s", err, before, got)
			}
			got = err.Error()
		}
		if !strings.Contains(got, step.want) {
			t.Fatalf("got %s, want %s", got, step.want)
		}
	}
	if _, err := c.Change(t.Context(), throng.Editor{Player: "eve"}, "arena", throng.ReleaseChange{Live: 1}); throng.KindOf(err) != throng.NotFound || err == nil {
		t.Errorf("another's place: got %v, want not found", err)
	}
	if _, err := c.Channels(t.Context(), throng.Editor{Player: "eve"}, "arena"); throng.KindOf(err) != throng.NotFound || err == nil {
		t.Errorf("another's place: got %v, want not found", err)
	}
}
