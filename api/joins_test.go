package api

import (
	"context"
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/getkin/kin-openapi/openapi3"

	"github.com/throng-gg/throng"
)

type fakeJoins []throng.JoinRecord

func (f fakeJoins) Find(_ context.Context, ticket throng.TicketID, caller throng.PlayerID) ([]throng.JoinRecord, error) {
	if ticket == "away" {
		return nil, throng.RetryLater(throng.Unavailable, 1, "others cannot be asked")
	}
	return slices.DeleteFunc(slices.Clone([]throng.JoinRecord(f)), func(r throng.JoinRecord) bool {
		return r.Ticket != ticket || caller != "" && r.Caller != caller
	}), nil
}

func (fakeJoins) Record(throng.JoinRecord) {}

// fullRecord has everything that a record can have.
func fullRecord(caller throng.PlayerID) throng.JoinRecord {
	language := throng.Signal{Name: "language", Kind: throng.SignalCategory, Range: 1, Weight: 3}
	return throng.JoinRecord{
		Ticket: "t1", Caller: caller, Region: "local", Process: "proc", Place: "arena", Version: 2, Mode: throng.ModeDropIn,
		Party: []throng.PlayerID{caller, "zoe"}, Players: 2, Under: 3, TookMs: 4.5, Session: sessionA, Code: "ok", Detail: "words",
		Regions: []throng.RegionChoice{{Region: "eu", Try: true, Why: "busy", Latency: 20, Open: true, Fill: 0.5, Near: 0.92, Score: 1.5, Code: "ok"}},
		Steps: []throng.JoinStep{
			{Step: throng.StepAdmitted},
			{Step: throng.StepFriends, Detail: "in 1 sessions"},
			{AfterMs: 1, Step: throng.StepHeld, Session: sessionB, Code: "full", Detail: "no room"},
		},
		Decisions: []throng.Decision{{
			AfterMs: 1, Line: 2, Openings: 1, Seats: 2, Keep: 2, Wishes: []throng.Wish{{Signal: language, Number: 1, Category: "en"}},
			Weights: throng.Weights{Fill: 2, Latency: 3, Friends: 15}, Random: 1<<63 + 1,
			Latencies: map[throng.RegionID]float64{"local": 3}, Refused: []throng.SessionID{sessionB}, Chosen: sessionA, Lots: true, Before: 1, After: 2,
			Counts: throng.JoinTold{Sessions: 9, Full: 1, Small: 2, Scored: 6, Ties: 4},
			Candidates: []throng.Candidate{{
				Session: sessionA, Capacity: 8, Free: 3, Friends: 1, Attributes: `{"language":{"en":2}}`, Score: 7.25, Tie: true, Kept: true,
				Signals: throng.JoinSignals{Fill: 0.5, Latency: 0.9, Friends: 0.5, Own: []float64{1}},
			}},
		}},
	}
}

func TestJoinsAreExplained(t *testing.T) {
	ada, bo := fullRecord("ada"), fullRecord("bo")
	d := openDoor(t, func(c *Config) { c.Joins = fakeJoins{ada, bo} })
	get := func(path string, player throng.PlayerID, role Role) reply {
		return d.call("GET", "/v1/joins/"+path, d.token(player, role), "")
	}
	read := func(r reply) []throng.JoinRecord {
		var out struct{ Joins []throng.JoinRecord }
		if err := json.Unmarshal([]byte(r.body), &out); err != nil || r.status != http.StatusOK {
			t.Fatalf("got %d %s, %v", r.status, r.body, err)
		}
		return out.Joins
	}
	if got := read(get("t1", "op", RoleOperator)); !reflect.DeepEqual(got, []throng.JoinRecord{ada, bo}) {
		t.Errorf("operator: got %+v, want both as they are", got)
	}
	if got := read(get("t1?caller=bo", "op", RoleOperator)); len(got) != 1 || got[0].Caller != "bo" {
		t.Errorf("operator, of bo: got %+v", got)
	}
	own := get("t1", "ada", RolePlayer)
	if got := read(own); len(got) != 1 || !reflect.DeepEqual(got[0], ada.ForCaller()) {
		t.Errorf("ada: got %+v, want hers", got)
	}
	for _, secret := range []string{"zoe", "bo", "proc", "friends\":1,", "language", "7.25", "in 1 sessions", `"own"`} {
		if strings.Contains(own.body, secret) {
			t.Errorf("ada is told %q: %s", secret, own.body)
		}
	}
	for path, want := range map[string]struct {
		player throng.PlayerID
		role   Role
		status int
	}{
		"t1?caller=bo":   {"ada", RolePlayer, http.StatusForbidden},
		"t1?caller=ada":  {"bo", RoleCreator, http.StatusForbidden},
		"t2":             {"op", RoleOperator, http.StatusNotFound},
		"t1?caller=cy":   {"op", RoleOperator, http.StatusNotFound},
		"t1?caller=a%20": {"op", RoleOperator, http.StatusBadRequest},
		"a%20b":          {"op", RoleOperator, http.StatusBadRequest},
		"away":           {"op", RoleOperator, http.StatusServiceUnavailable},
	} {
		if r := get(path, want.player, want.role); r.status != want.status {
			t.Errorf("%s: got %d %s, want %d", path, r.status, r.body, want.status)
		}
	}
}

// TestJoinDocumentIsComplete: what a record says is what the document says.
func TestJoinDocumentIsComplete(t *testing.T) {
	doc := loadDocument(t)
	var value any
	text, err := json.Marshal(fullRecord("ada"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &value); err != nil {
		t.Fatal(err)
	}
	schema := doc.Components.Schemas["JoinRecord"].Value
	if err := schema.VisitJSON(value); err != nil {
		t.Error(err)
	}
	compare(t, "", schema, value)
}

// compare says what is in a value and not in its schema, and the other way round.
func compare(t *testing.T, at string, schema *openapi3.Schema, value any) {
	t.Helper()
	switch v := value.(type) {
	case map[string]any:
		if len(schema.Properties) == 0 {
			return // free-form
		}
		for name, field := range v {
			if schema.Properties[name] == nil {
				t.Errorf("%s.%s is not in the document", at, name)
				continue
			}
			compare(t, at+"."+name, schema.Properties[name].Value, field)
		}
		for name := range schema.Properties {
			if _, ok := v[name]; !ok {
				t.Errorf("%s.%s is in the document only", at, name)
			}
		}
	case []any:
		for _, item := range v {
			if schema.Items != nil && at != ".steps" {
				compare(t, at, schema.Items.Value, item)
			}
		}
	}
}
