package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/client"
	"github.com/throng-gg/throng/udp"
)

// TestPlayersFindTheirOwnKind: a place has a signal of its own, two players of
// different languages open sessions, and everybody who comes later is put beside
// who speaks his. Each join can be explained, and each choice made again.
func TestPlayersFindTheirOwnKind(t *testing.T) {
	t.Parallel()
	r := startDev(t)
	r.publish("speak", "8\nmatchmaking:\n  signals:\n    language: {type: category, weight: 5}", `
place.on("join", function(player) print(player.name .. " speaks " .. tostring(player.attributes.language)) end)`)
	join := func(name throng.PlayerID, language string, mode throng.Mode) client.Assignment {
		t.Helper()
		a, err := r.as(name, api.RolePlayer).Matchmake(t.Context(), throng.Ticket{
			Key: throng.TicketKey{Caller: name, Ticket: throng.TicketID("tkt-" + name)}, Place: "speak", Party: []throng.PlayerID{name}, Mode: mode,
			Attributes: [][]throng.Attribute{{{Name: "language", Category: language}}},
		})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		return a
	}
	homes := map[string]throng.SessionID{}
	for name, language := range map[throng.PlayerID]string{"ada": "en", "bo": "de"} {
		a := join(name, language, throng.ModeNew)
		homes[language] = a.Session
		conn, err := udp.Dial(t.Context(), a.JoinToken, func([]byte) {})
		if err != nil {
			t.Fatalf("%s connects: %v", name, err)
		}
		over := make(chan error, 1)
		go func() { over <- conn.Run(t.Context()) }()
		t.Cleanup(func() {
			_ = conn.Close()
			<-over //nolint:errcheck // we ended it
		})
	}
	eventually(t, 30*time.Second, "both sessions say who is in them", func() bool {
		said := 0
		for _, s := range r.sessions("speak") {
			for language, id := range homes {
				if s.ID == string(id) && string(s.Attributes) == fmt.Sprintf(`{"language":{%q:1}}`, language) {
					said++
				}
			}
		}
		return said == 2
	})
	for i, language := range []string{"de", "en", "de", "en", "en", "de"} {
		name := throng.PlayerID(fmt.Sprint("late", i))
		if a := join(name, language, throng.ModeDropIn); a.Session != homes[language] {
			t.Errorf("%s who speaks %s: got %s, want %s", name, language, a.Session, homes[language])
		}
	}
	eventually(t, 20*time.Second, "the script has seen what they brought", func() bool {
		_, out := throngCommand(t, "logs", "speak", "--addr", r.url)
		return strings.Contains(out, "ada speaks en") && strings.Contains(out, "bo speaks de")
	})

	status, out := throngCommand(t, "explain", "tkt-late0", "--caller", "late0", "--replay", "--addr", r.url)
	for _, want := range []string{
		"ticket tkt-late0 of late0", "seated in " + string(homes["de"]), "language de ×5", "chosen", "lower score", string(homes["en"]),
		"admitted", "claimed", "held", "settled", "bound", "answered", "the same choice again",
	} {
		if status != 0 || !strings.Contains(out, want) {
			t.Errorf("explain: exit status %d, want %q in\n%s", status, want, out)
		}
	}
	own, err := r.as("late0", api.RolePlayer).Joins(t.Context(), "tkt-late0", "")
	if err != nil || len(own.Joins) != 1 || own.Joins[0].Process != "" || own.Joins[0].Session != homes["de"] {
		t.Errorf("late0's own view: got %+v, %v", own, err)
	}
	status, out = throngCommand(t, "explain", "tkt-nobody", "--addr", r.url)
	if status != 1 || !strings.Contains(out, "nothing is remembered of a ticket tkt-nobody") {
		t.Errorf("explain of no ticket: exit status %d, %s", status, out)
	}
}
