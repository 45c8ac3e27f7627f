package memory_test

import (
	"testing"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/consumer/analytics"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/friend"
	"github.com/throng-gg/throng/memory"
	"github.com/throng-gg/throng/party"
	"github.com/throng-gg/throng/replica"
)

func TestParties(t *testing.T) {
	contract.PartyStore(t, func(*testing.T) party.Store { return memory.NewParties(100) })
}

func TestFriends(t *testing.T) {
	contract.FriendStore(t, func(*testing.T) friend.Store { return memory.NewFriends(10, 2000) })
}

func TestPartiesAreBounded(t *testing.T) {
	s := memory.NewParties(2)
	for n := range byte(3) {
		_, err := s.Swap(t.Context(), party.Record{Party: throng.Party{
			ID: throng.MakePartyID("local", throng.Entropy{n}), Members: []throng.PlayerID{"ada"},
		}})
		if full := n == 2; full != (throng.KindOf(err) == throng.Unavailable && err != nil) {
			t.Errorf("party %d of 2: got %v", n+1, err)
		}
	}
}

func TestReplicas(t *testing.T) {
	contract.ReplicaStore(t, func(*testing.T) replica.Store { return memory.NewReplicas() })
}

func TestShards(t *testing.T) {
	contract.ConsumerStore(t, func(*testing.T) consumer.Store { return memory.NewShards() })
}

func TestBans(t *testing.T) {
	contract.Bans(t, func(*testing.T) contract.BanStore { return memory.NewBans(5) })
}

func TestBoard(t *testing.T) {
	contract.Boards(t, func(*testing.T) analytics.Board { return memory.NewBoard() })
}
