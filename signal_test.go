package throng_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

func TestSessionAttributesAreCanonical(t *testing.T) {
	for text, want := range map[string]throng.SessionAttributes{
		"":     "",
		"{}":   "",
		"null": "",
		` { "skill" : 1.50, "language": {"en":2, "":1} , "mode":"ranked"}`: `{"language":{"":1,"en":2},"mode":"ranked","skill":1.5}`,
		`{"x":1e15}`: `{"x":1e+15}`,
		`{"x":{}}`:   `{"x":{}}`,
	} {
		got, err := throng.ParseSessionAttributes("attributes", []byte(text))
		if err != nil || got != want {
			t.Errorf("%s: got %s, %v, want %s", text, got, err, want)
		}
		if again, err := throng.ParseSessionAttributes("attributes", []byte(got)); err != nil || again != got || got.Check("") != nil {
			t.Errorf("%s: got %s, %v the second time", text, again, err)
		}
	}
	for text, want := range map[string]string{
		"[]": "attributes: are not an object", `{"x":1}{}`: "attributes: are not an object",
		`{"x":true}`: "attributes.x: is not a number, a category", `{"x":null}`: "attributes.x: is not a number",
		`{"x":"a b"}`: "attributes.x: ", `{"x":""}`: "attributes.x: ", `{"x":1e16}`: "attributes.x: is not a number within",
		`{"X":1}`: `attributes.X: "X" is not like`, `{"x":{"a":1.5}}`: "attributes.x.a: is not a number of players",
		`{"x":{"a":"1"}}`: "attributes.x.a: is not a number of players",
		`{"x":"` + strings.Repeat("a", 5000) + `"}`:               "attributes: have 5008 bytes",
		`{"x":"` + strings.Repeat("a", 33) + `"}`:                 "attributes.x: has 33 characters",
		`{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1}`: "attributes: are 9",
	} {
		if _, err := throng.ParseSessionAttributes("attributes", []byte(text)); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%.40s: got %v, want %s", text, err, want)
		}
	}
}

// TestLongestAttributesFit: whatever a game server can say is taken.
func TestLongestAttributesFit(t *testing.T) {
	var list []throng.SessionAttribute
	for i := range throng.MaxSignals {
		a := throng.SessionAttribute{Attribute: throng.Attribute{Name: fmt.Sprintf("n%0*d", throng.MaxSignalName-1, i)}, Counts: map[string]int{"": 200}}
		for j := range throng.MaxCategories {
			a.Counts[fmt.Sprintf("%0*d", throng.MaxCategory, j)] = 200
		}
		list = append(list, a)
	}
	if err := throng.MakeSessionAttributes(list).Check("attributes"); err != nil {
		t.Error(err)
	}
}

func FuzzParseSessionAttributes(f *testing.F) {
	f.Add([]byte(`{"language":{"":1,"en":2},"mode":"ranked","skill":1.5}`))
	f.Add([]byte(`{"x":-0,"y":1e-300}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		a, err := throng.ParseSessionAttributes("a", text)
		if err != nil {
			return
		}
		if err := a.Check("a"); err != nil {
			t.Errorf("%q became %q: %v", text, a, err)
		}
	})
}
