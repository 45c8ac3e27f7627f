package main

import (
	"bytes"
	"context"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/bot"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/webtransport"
)

// Players who come by UDP, by WebTransport and through the door's WebSocket play
// in one session and see the same world.
func TestEveryTransportPlaysTogether(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	const each = 10
	ways := []string{"udp", "webtransport", "websocket"}
	reports := make([]<-chan bot.Report, len(ways))
	for i, way := range ways {
		done := make(chan bot.Report, 1)
		reports[i] = done
		go func() {
			done <- r.bots(t.Context(), bot.Config{
				Place: "arena", Players: each, For: 4 * time.Second, Name: way, Way: botWay(way),
			})
		}()
	}
	sessions := r.awaitSeated("arena", each*len(ways), 30*time.Second)
	if len(sessions) != 1 {
		t.Errorf("%d players: got %d sessions, want one for all", each*len(ways), len(sessions))
	}
	for i, way := range ways {
		report := <-reports[i]
		if !report.OK() || report.Mismatched != 0 || len(report.Errors) != 0 || report.Reconnected != 0 {
			t.Errorf("%s: joined %d of %d, failed %d, mismatched %d, reconnected %d, errors %v",
				way, report.Joined, each, report.Failed, report.Mismatched, report.Reconnected, report.Examples)
		}
		if report.SnapshotsS.Min < 3 { // a busy machine ticks more slowly; none may starve
			t.Errorf("%s: got %+v snapshots a second, want up to 30", way, report.SnapshotsS)
		}
	}
	eventually(t, 30*time.Second, "all have left", func() bool {
		seated := 0
		for _, s := range r.sessions("arena") {
			seated += s.Seated
		}
		return seated == 0
	})
}

func TestBotsCommandOverEachTransport(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	for _, way := range []string{"udp", "webtransport", "websocket"} {
		status, out := throngCommand(t, "bots", "--place", "arena", "--players", "10", "--for", "2s", "--addr", r.url, "--transport", way)
		if status != 0 || !strings.Contains(out, "joined 10 of 10") {
			t.Errorf("%s: exit status %d\n%s", way, status, out)
		}
	}
}

// What the door tells browsers is what works, and a token is good for its own
// session and once, whichever way it is brought.
func TestWebTokensEndToEnd(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	seat := func(name throng.PlayerID) client.Assignment {
		a, err := r.as(name, api.RolePlayer).Matchmake(t.Context(), throng.Ticket{
			Key: throng.TicketKey{Caller: name, Ticket: "t"}, Place: "arena", Party: []throng.PlayerID{name}, Mode: throng.ModeDropIn,
		})
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	ada := seat("ada")
	if !strings.HasPrefix(ada.Web.URL, "https://127.0.0.1:") || len(ada.Web.Certificates) != 2 ||
		!strings.HasPrefix(ada.Web.WebSocket, "ws"+strings.TrimPrefix(r.url, "http")+"/v1/sessions/") {
		t.Fatalf("where browsers connect: got %+v", ada.Web)
	}
	heard := make(chan struct{}, 1)
	game, err := client.Join(t.Context(), client.SessionConfig{
		Token: ada.JoinToken,
		Dial: func(ctx context.Context, token []byte, receive func([]byte)) (client.Conn, error) {
			return webtransport.Dial(ctx, ada.Web.URL, ada.Web.Certificates, token, receive)
		},
		Received: func(r client.Received) {
			if r.Update.Reconnect {
				select {
				case heard <- struct{}{}:
				default:
				}
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	playing, leave := context.WithCancel(context.WithoutCancel(t.Context()))
	go func() { ended <- game.Run(playing) }()
	speak := time.NewTicker(50 * time.Millisecond)
	defer speak.Stop()
	late := time.After(30 * time.Second)
	for in := false; !in; { // until the server heard that it is in: then its token is used
		_ = game.Input(0, 0, 0)
		select {
		case <-heard:
			in = true
		case <-speak.C:
		case <-late:
			t.Fatal("the game server gave no reconnect token")
		}
	}
	again := func(token []byte) throng.Kind {
		_, err := webtransport.Dial(t.Context(), ada.Web.URL, ada.Web.Certificates, token, func([]byte) {})
		if err == nil {
			t.Error("it was taken")
		}
		return throng.KindOf(err)
	}
	if got := again(ada.JoinToken); got != throng.Denied {
		t.Errorf("a token a second time: got %s, want denied", got)
	}
	spoiled := bytes.Clone(seat("bo").JoinToken)
	spoiled[300] ^= 1
	if got := again(spoiled); got != throng.Denied {
		t.Errorf("a spoiled token: got %s, want denied", got)
	}
	socket, err := webtransport.DialSocket(t.Context(), ada.Web.WebSocket, spoiled, func([]byte) {})
	if err != nil {
		t.Fatal(err)
	}
	if err := socket.Run(t.Context()); throng.KindOf(err) != throng.Denied || err == nil {
		t.Errorf("a spoiled token at the door: got %v, want denied", err)
	}
	leave()
	if err := <-ended; err != nil {
		t.Errorf("Run after Close: got %v", err)
	}
	eventually(t, 30*time.Second, "a goodbye frees the seat", func() bool {
		for _, s := range r.sessions("arena") {
			if s.Seated != 0 {
				return false
			}
		}
		return true
	})
}

// A connection that is lost, over whichever transport, costs a moment and not
// the seat.
func TestWebPlayersComeBack(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	const each = 5
	for _, way := range []string{"webtransport", "websocket"} {
		report := r.bots(t.Context(), bot.Config{
			Place: "arena", Players: each, For: 5 * time.Second, Name: way, Way: func(s bot.Seat) client.Dial {
				return losing(botWay(way)(s), 2*time.Second)
			},
		})
		if !report.OK() || report.Mismatched != 0 || report.Reconnected < each || report.Rejoined != 0 {
			t.Errorf("%s: joined %d of %d, failed %d, mismatched %d, reconnected %d, rejoined %d, errors %v",
				way, report.Joined, each, report.Failed, report.Mismatched, report.Reconnected, report.Rejoined, report.Examples)
		}
	}
}

// losing cuts the first connection after a while, without a word to either side.
func losing(dial client.Dial, after time.Duration) client.Dial {
	dialled := false // by one player, one at a time
	return func(ctx context.Context, token []byte, receive func([]byte)) (client.Conn, error) {
		conn, err := dial(ctx, token, receive)
		if err == nil && !dialled {
			dialled = true
			time.AfterFunc(after, func() { _ = conn.Abandon() })
		}
		return conn, err
	}
}
