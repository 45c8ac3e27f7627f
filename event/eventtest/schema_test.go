package eventtest_test

import (
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/event/eventtest"
)

// TestSchemas: what the platform's words make passes, with and without what may be
// missing, and nothing else does.
func TestSchemas(t *testing.T) {
	t.Parallel()
	for kind, list := range map[throng.EventType][]any{
		throng.EventPlayerJoined:    {throng.PlayerJoined{Epoch: 1, Version: 2}, throng.PlayerJoined{Epoch: 1, Version: 2, ArrivalMS: 3, From: "ses_1"}},
		throng.EventPlayerLeft:      {throng.PlayerLeft{Epoch: 1, Version: 2}, throng.PlayerLeft{Epoch: 1, Version: 2, StayedMS: 1, RoundTripMS: 1.5}},
		throng.EventSessionOpened:   {throng.SessionBegan{Version: 1, Capacity: 2, Private: true}},
		throng.EventSessionEnded:    {throng.SessionOver{Reason: "drained"}, throng.SessionOver{Failed: true}},
		throng.EventMatchPlaced:     {throng.MatchPlaced{Ticket: "t", Players: 1, Version: 1, WaitMS: 2}},
		throng.EventPresenceChanged: {throng.PresenceChanged{Epoch: 1}, throng.PresenceChanged{Epoch: 1, In: true}},
		throng.EventLedgerPosted: {throng.LedgerPosted{
			Game: "g", ID: "t", Kind: throng.TransferPurchase, First: "p", Offer: "o", Count: 1, Lines: []throng.EventLine{{Account: "@00", Item: "gold", Change: -1}},
		}},
		throng.EventLedgerReported: {throng.LedgerReported{
			Game: "g", ID: "t", Kind: throng.TransferTrade, First: "p", Second: "q", Gives: []throng.EventAmount{{Item: "gold", Count: 1}},
		}},
		throng.EventProfileCopied: {
			throng.ProfileCopied{Term: 1, Game: "g", Player: "p", Fence: 2}, throng.ProfileCopied{
				Term: 1, Game: "g", Player: "p", Fence: 2, Holder: "ses_1", Returned: true, Revision: 3,
				Save: &throng.CopiedSave{Fence: 2, Holder: "ses_1", SavedAt: 4, Size: 5, Data: []byte{1, 2}},
			},
		},
		throng.EventLedgerCopied: {throng.LedgerCopied{
			Term: 1, Game: "g", Record: []byte(`{"id":"t","k":"reward","f":{"p":"p"},"at":1,"l":[],"h":[]}`),
		}},
		throng.EventMotionSampled: {throng.MotionSampled{Epoch: 1, SpanMS: 1000, TickMS: 33.3, PressLeast: 5, Source: "x"}},
		"place.goal":              {throng.PlaceEmitted{Version: 1, Fields: map[string]any{"a": true, "b": 1.5, "c": "x"}}},
	} {
		for _, data := range list {
			e, err := throng.MakeEvent(throng.Event{ID: "1", Type: kind, Stream: throng.StreamPlay, Key: "k", Time: time.Now()}, data)
			if err == nil {
				err = eventtest.Check(e)
			}
			if err != nil {
				t.Error(err)
			}
		}
		for _, bad := range []string{`{}`, `{"other":1}`, `[]`, `{"epoch":"1"}`} {
			if eventtest.Check(throng.Event{ID: "1", Type: kind, Stream: throng.StreamPlay, Key: "k", Time: time.Now(), Data: []byte(bad)}) == nil {
				t.Errorf("%s takes %s", kind, bad)
			}
		}
	}
	unknown := throng.Event{ID: "1", Type: "other.v1", Stream: throng.StreamPlay, Key: "k", Time: time.Now(), Data: []byte(`{}`)}
	if eventtest.Check(unknown) == nil {
		t.Error("a type without a schema passes")
	}
}
