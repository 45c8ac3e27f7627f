package api

import (
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/friend"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/party"
)

type fakeCodes struct{}

func (fakeCodes) SessionCode(s throng.SessionID) string { return "code-" + string(s[len(s)-4:]) }

// social gives a door real parties and friends, in memory.
func social(t *testing.T, cfg *Config) {
	t.Helper()
	parties, err := party.New(party.Config{Store: memory.NewParties(0), Region: "local"})
	if err != nil {
		t.Fatal(err)
	}
	friends, err := friend.New(friend.Config{Store: memory.NewFriends(0, 0), Presences: cfg.Directory})
	if err != nil {
		t.Fatal(err)
	}
	cfg.Codes, cfg.Parties, cfg.Companions, cfg.Friends, cfg.Privacy = fakeCodes{}, parties, parties, friends, friends
	cfg.AllowRawParties = true
}
