package api

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
	"github.com/throng-gg/throng/client"
)

func joined(player throng.PlayerID) throng.RosterChange {
	return throng.RosterChange{
		Revision: 1, Kind: throng.RosterJoined, Player: player, Epoch: 9,
		Key: throng.TicketKey{Caller: player, Ticket: "t1"},
	}
}

// serve connects a server that hosts sessionA, and waits until its confirms
// would go over the connection.
func (d *door) serve(ctx context.Context, s *client.Server) chan error {
	d.t.Helper()
	bound := hello
	bound.Session = sessionA
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, bound, orders{}) }()
	<-d.world.links
	for !s.ConfirmsOverControl() {
		select {
		case err := <-served:
			d.t.Fatalf("Serve: %v", err)
		case <-time.After(time.Millisecond):
		}
	}
	return served
}

func (d *door) routed(route string) bool {
	return strings.Contains(d.call("GET", "/metrics", "", "").body, `throng_door_requests_total{code="204",route="`+route)
}

// TestConfirmsOverTheControlConnection sends a herd's confirms, far more than may
// be unanswered at once, and one of a player who is fenced.
func TestConfirmsOverTheControlConnection(t *testing.T) {
	d := openDoor(t, nil)
	s := d.server(d.serverToken(serverA, sessionA))
	ctx, stop := context.WithCancel(t.Context())
	served := d.serve(ctx, s)
	const herd = 5 * maxConfirms
	answers := make(chan error, herd)
	for i := range herd {
		go func() { answers <- s.Confirm(t.Context(), beat, joined(throng.PlayerID(fmt.Sprint("p", i)))) }()
	}
	for range herd {
		if err := <-answers; err != nil {
			t.Fatalf("confirm: %v", err)
		}
	}
	if n := len(slices.Compact(slices.Sorted(slices.Values(d.world.did())))); n != herd {
		t.Errorf("%d players were confirmed, want %d", n, herd)
	}
	err := s.Confirm(t.Context(), beat, joined("fenced"))
	if throng.KindOf(err) != throng.Denied || !strings.Contains(err.Error(), "a later join") {
		t.Errorf("a fenced player: got %v, want denied with the registry's words", err)
	}
	foreign := beat
	foreign.Session = sessionB
	if err := s.Confirm(t.Context(), foreign, joined("bo")); throng.KindOf(err) != throng.Denied {
		t.Errorf("a session that is not the server's: got %v, want denied", err)
	}
	left := joined("bo")
	left.Kind = throng.RosterLeft
	if err := s.Confirm(t.Context(), beat, left); throng.KindOf(err) != throng.Invalid {
		t.Errorf("who left: got %v, want invalid", err)
	}
	if d.routed("POST /v1/sessions/{id}/confirm") {
		t.Error("a confirm went by HTTP")
	}
	stop()
	if err := <-served; !errors.Is(err, context.Canceled) {
		t.Errorf("Serve: got %v, want canceled", err)
	}
	if err := s.Confirm(t.Context(), beat, joined("cy")); err != nil || !d.routed("POST /v1/sessions/{id}/confirm") {
		t.Errorf("without a control connection: got %v, want it confirmed by HTTP", err)
	}
}

// TestConfirmWhoseConnectionIsLost is asked again by its caller.
func TestConfirmWhoseConnectionIsLost(t *testing.T) {
	d := openDoor(t, nil)
	hold := make(chan struct{})
	d.world.confirm = func(ctx context.Context) error {
		close(hold)
		<-ctx.Done()
		return throng.Errorf(throng.Unavailable, "%w", ctx.Err())
	}
	s := d.server(d.serverToken(serverA, sessionA))
	served := d.serve(t.Context(), s)
	answer := make(chan error, 1)
	go func() { answer <- s.Confirm(t.Context(), beat, joined("ada")) }()
	<-hold
	d.open.close()
	if err := <-answer; throng.KindOf(err) != throng.Unavailable || err == nil {
		t.Errorf("got %v, want unavailable", err)
	}
	if err := <-served; throng.KindOf(err) != throng.Unavailable || err == nil {
		t.Errorf("Serve: got %v, want unavailable", err)
	}
}

// TestTooManyConfirms closes the connection of a server that does not keep to
// what it was told.
func TestTooManyConfirms(t *testing.T) {
	d := openDoor(t, nil)
	d.world.confirm = func(ctx context.Context) error { <-ctx.Done(); return ctx.Err() }
	bound := hello
	bound.Session = sessionA
	said, err := json.Marshal(gen.ControlUp{Hello: new(gen.HelloOf(bound))})
	if err != nil {
		t.Fatal(err)
	}
	conn := d.dialWith(d.serverToken(serverA, sessionA), string(said))
	<-d.world.links
	for i := range uint64(maxConfirms + 1) {
		flood, err := json.Marshal(gen.ControlUp{Confirms: []gen.ConfirmAsk{gen.ConfirmAskOf(i, sessionA, joined("ada"))}})
		if err != nil {
			t.Fatal(err)
		}
		if err := conn.Write(t.Context(), websocket.MessageText, flood); err != nil {
			t.Fatal(err)
		}
	}
	<-d.world.detached
	if n := len(d.world.did()); n > maxConfirms {
		t.Errorf("%d confirms were worked on, want at most %d", n, maxConfirms)
	}
}

func TestAnswersKeepTheirError(t *testing.T) {
	said := throng.RetryLater(throng.Unavailable, 1500*time.Millisecond, "rebuilding")
	got := gen.ConfirmAnswerOf(7, said).Err()
	if throng.KindOf(got) != throng.Unavailable || throng.RetryAfterOf(got) != 1500*time.Millisecond || got.Error() != said.Error() {
		t.Errorf("got %v after %v, want %v", got, throng.RetryAfterOf(got), said)
	}
}

// TestConfirmAfterALateHandover: the server took a session although nobody waited
// for its answer any more, and speaks for it.
func TestConfirmAfterALateHandover(t *testing.T) {
	d := openDoor(t, nil)
	s := d.server(d.serverToken(serverA, ""))
	ctx, giveUp := context.WithCancel(t.Context())
	took := make(chan struct{})
	o := orders{handover: func(throng.Handover) error {
		giveUp()
		<-took
		return nil
	}}
	go func() { _ = s.Serve(t.Context(), hello, o) }()
	link := <-d.world.links
	if err := link.Handover(ctx, d.handover()); throng.KindOf(err) != throng.Unavailable || err == nil {
		t.Errorf("handover: got %v, want unavailable", err)
	}
	close(took)
	// The door's welcome may stand behind the handover.
	for begun := time.Now(); !s.ConfirmsOverControl() && time.Since(begun) < time.Minute; {
		runtime.Gosched()
	}
	var err error
	for begun := time.Now(); time.Since(begun) < time.Minute; {
		// Before the server's answer is out the door knows of no session.
		if err = s.Confirm(t.Context(), beat, joined("ada")); err == nil {
			break
		}
	}
	if err != nil || d.routed("POST /v1/sessions/{id}/confirm") {
		t.Errorf("confirm: got %v, want it confirmed over the connection", err)
	}
}
