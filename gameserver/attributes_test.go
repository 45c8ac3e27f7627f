package gameserver

import (
	"fmt"
	"testing"

	"github.com/throng-gg/throng"
)

func TestSessionAttributes(t *testing.T) {
	signals := []throng.Signal{
		{Name: "language", Kind: throng.SignalCategory}, {Name: "mode", Kind: throng.SignalCategory}, {Name: "skill", Kind: throng.SignalNumber, Range: 1},
	}
	number := func(v float64) throng.Attribute { return throng.Attribute{Name: "skill", Number: v} }
	speaks := func(v string) throng.Attribute { return throng.Attribute{Name: "language", Category: v} }
	var many [][]throng.Attribute
	for i := range 30 {
		many = append(many, []throng.Attribute{speaks(fmt.Sprintf("l%02d", i%15))})
	}
	for _, c := range []struct {
		name    string
		given   map[string]throng.Attribute
		brought [][]throng.Attribute
		want    throng.SessionAttributes
	}{
		{"nobody", nil, nil, ""},
		{"nobody says anything", nil, [][]throng.Attribute{nil, nil}, ""},
		{"players", nil, [][]throng.Attribute{{number(1)}, {speaks("en"), number(2)}, {speaks("en")}, nil, {speaks("de")}}, `{"language":{"":2,"de":1,"en":2},"skill":1.5}`},
		{
			"the script",
			map[string]throng.Attribute{"mode": {Name: "mode", Category: "ranked"}, "skill": number(0)},
			[][]throng.Attribute{{number(1), speaks("en")}},
			`{"language":{"en":1},"mode":"ranked","skill":0}`,
		},
		{"the wrong kind", nil, [][]throng.Attribute{{{Name: "skill", Category: "high"}}}, ""},
		{
			"too many categories", nil, many,
			`{"language":{"":6,"l00":2,"l01":2,"l02":2,"l03":2,"l04":2,"l05":2,"l06":2,"l07":2,"l08":2,"l09":2,"l10":2,"l11":2}}`,
		},
	} {
		got := sessionAttributes(signals, c.given, c.brought)
		if got != c.want {
			t.Errorf("%s: got %s, want %s", c.name, got, c.want)
		}
		if err := got.Check("attributes"); err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
	}
}
