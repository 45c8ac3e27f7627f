package api

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

func TestRelease(t *testing.T) {
	d := openDoor(t, nil)
	creator := d.as(RoleCreator)
	ch, err := creator.Release(t.Context(), "arena")
	if err != nil || ch.Live != 2 || ch.Canary == nil || ch.Canary.Version != 3 || ch.Canary.Percent != 10 || len(ch.Versions) != 3 ||
		!ch.Versions[1].Live || ch.Versions[0].Canary != 10 || ch.Before != 1 || ch.Revision != 7 {
		t.Errorf("got %+v, %v", ch, err)
	}
	yes := true
	for _, c := range []struct {
		want gen.ReleaseRequest
		did  string
	}{
		{gen.ReleaseRequest{Live: 1, Revision: 7}, "release live 1 canary <nil> rollback false pin false"},
		{gen.ReleaseRequest{Canary: &gen.Canary{Percent: 20}}, "release live 0 canary &{0 20} rollback false pin false"},
		{gen.ReleaseRequest{Rollback: true}, "release live 0 canary <nil> rollback true pin false"},
		{gen.ReleaseRequest{Pin: &yes}, "release live 0 canary <nil> rollback false pin true"},
	} {
		if _, err := creator.ChangeRelease(t.Context(), "arena", c.want); err != nil {
			t.Errorf("%+v: %v", c.want, err)
		}
		if !slices.Contains(d.world.did(), c.did) {
			t.Errorf("%+v: got %q, want %q", c.want, d.world.did(), c.did)
		}
	}
	for _, c := range []struct {
		want gen.ReleaseRequest
		kind throng.Kind
	}{
		{gen.ReleaseRequest{Live: 1, Revision: 6}, throng.Conflict},
		{gen.ReleaseRequest{Live: -1}, throng.Invalid},
		{gen.ReleaseRequest{Live: 1, Revision: -1}, throng.Invalid},
		{gen.ReleaseRequest{Canary: &gen.Canary{Version: -2, Percent: 3}}, throng.Invalid},
	} {
		if _, err := creator.ChangeRelease(t.Context(), "arena", c.want); err == nil || throng.KindOf(err) != c.kind {
			t.Errorf("%+v: got %v, want %s", c.want, err, c.kind)
		}
	}
	if _, err := creator.ChangeRelease(t.Context(), "maze", gen.ReleaseRequest{Live: 1}); throng.KindOf(err) != throng.NotFound || !strings.Contains(err.Error(), "of yours") {
		t.Errorf("another's: got %v, want not found", err)
	}
	if _, err := d.as(RolePlayer).ChangeRelease(t.Context(), "arena", gen.ReleaseRequest{Live: 1}); throng.KindOf(err) != throng.Denied {
		t.Errorf("a player: got %v, want denied", err)
	}
	staged, err := creator.Publish(t.Context(), "arena", bytes.NewReader(nil), throng.Publication{Stage: true})
	if err != nil || staged.Live {
		t.Errorf("staged: got %+v, %v, want not live", staged, err)
	}
	tenth, err := creator.Publish(t.Context(), "arena", bytes.NewReader(nil), throng.Publication{Canary: 10})
	if err != nil || tenth.Live || tenth.Canary != 10 {
		t.Errorf("canary: got %+v, %v", tenth, err)
	}
}
