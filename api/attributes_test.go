package api

import (
	"context"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

func TestAttributesComeWithTheTicket(t *testing.T) {
	d := openDoor(t, nil)
	d.world.releases[0].Signals = []throng.Signal{
		{Name: "language", Kind: throng.SignalCategory, Weight: 1}, {Name: "skill", Kind: throng.SignalNumber, Range: 9, Weight: 1},
	}
	place := d.world.place
	var got throng.Ticket
	d.world.place = func(ctx context.Context, tk throng.Ticket, wait time.Duration) (throng.Placement, error) {
		got = tk
		return place(ctx, tk, wait)
	}
	send := func(token, fields string) reply {
		got = throng.Ticket{}
		return d.call("POST", "/v1/matchmake", token, `{"ticket":"t1","place":"arena","party":["ada","bo"],`+fields+`}`)
	}
	ada := d.token("ada", RolePlayer)
	en, seven := throng.Attribute{Name: "language", Category: "en"}, throng.Attribute{Name: "skill", Number: 7}
	if r := send(ada, `"attributes":{"skill":7,"language":"en"},"party_attributes":{"bo":{"skill":7}}`); r.status != http.StatusOK {
		t.Fatalf("got %d: %s", r.status, r.body)
	}
	if want := [][]throng.Attribute{{en, seven}, {seven}}; !reflect.DeepEqual(got.Attributes, want) {
		t.Errorf("got %+v, want %+v", got.Attributes, want)
	}
	if send(ada, `"attributes":{}`); got.Attributes != nil {
		t.Errorf("got %+v, want nothing", got.Attributes)
	}

	signed, err := d.keys.PlayerTokenWithAttributes("ada", RolePlayer, time.Hour,
		map[string]any{"skill": 7.0, "other_place": 3, "language": []string{"odd"}})
	if err != nil {
		t.Fatal(err)
	}
	send(signed, `"attributes":{"skill":9000,"language":"en"}`)
	if want := [][]throng.Attribute{{en, seven}, {}}; !reflect.DeepEqual(got.Attributes, want) {
		t.Errorf("with a signed skill: got %+v, want %+v", got.Attributes, want)
	}

	for fields, want := range map[string]string{
		`"attributes":{"tall":1}`:                                     "is no signal of this place; it has language, skill",
		`"attributes":{"skill":"x"}`:                                  "is not a number, which signal skill is",
		`"attributes":{"skill":true}`:                                 "is not a number or a category",
		`"attributes":{"skill":1e20}`:                                 "is not a number within",
		`"attributes":{"language":"a b"}`:                             "attributes.language",
		`"attributes":{"language":"` + strings.Repeat("a", 33) + `"}`: "has 33 characters",
		`"party_attributes":{"cy":{}}`:                                "is not in the party",
		`"party_attributes":{"ada":{}}`:                               "is the caller",
		`"party_attributes":{"bo":{"tall":1}}`:                        "party_attributes.bo.tall",
	} {
		if r := send(ada, fields); r.status != http.StatusBadRequest || !strings.Contains(r.body, want) {
			t.Errorf("%s: got %d %s, want 400 with %q", fields, r.status, r.body, want)
		}
	}
}
