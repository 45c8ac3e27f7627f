package wire

import (
	"bytes"
	"reflect"
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

func someHandoff(tb testing.TB) Handoff {
	tb.Helper()
	return Handoff{
		Session: "ses_local_7f0123456789abcdef", Place: "arena", Version: 1 << 20, Code: "k2m4p6r8t0v2x4z6",
		Key: throng.TicketKey{Caller: "ada", Ticket: throng.Handoff{ID: "1", Members: []throng.Member{{Player: "ada"}}}.Key("ses_local_0").Ticket},
		Web: throng.WebAddress{URL: "https://192.0.2.1:7001/play", Certificates: [][32]byte{{1: 2}, {31: 3}}}, Socket: true,
		Token: someToken(tb, 11, "192.0.2.1:7000"),
	}
}

func TestHandoffComesBack(t *testing.T) {
	full := someHandoff(t)
	full.Session = throng.SessionID(strings.Repeat("s", MaxText))
	full.Web.URL = "https://192.0.2.1:7001/" + strings.Repeat("p", 230)
	full.Web.Certificates = make([][32]byte, throng.MaxCertificates)
	full.Token = someToken(t, 3, strings.Repeat("[2001:db8::7]:40000 ", 32))
	plain := Handoff{Session: "ses", Token: someToken(t, 3, "192.0.2.1:7000")}
	for _, want := range []Handoff{someHandoff(t), full, plain} {
		b, err := AppendHandoff(nil, want)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ParseHandoff(b)
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("got %+v, %v\nwant %+v", got, err, want)
		}
	}
}

func TestSpoiltHandoffIsInvalid(t *testing.T) {
	good, err := AppendHandoff(nil, someHandoff(t))
	if err != nil {
		t.Fatal(err)
	}
	for n := range good {
		if _, err := ParseHandoff(good[:n]); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Fatalf("cut at %d of %d: got %v, want Invalid", n, len(good), err)
		}
	}
	noToken, badURL, many := someHandoff(t), someHandoff(t), someHandoff(t)
	noToken.Token = make([]byte, tokenSize)
	badURL.Web.URL = "javascript:alert(1)"
	many.Web.Certificates = make([][32]byte, throng.MaxCertificates+1)
	for name, h := range map[string]Handoff{"a token of zeros": noToken, "a URL of another kind": badURL, "5 certificates": many} {
		if _, err := AppendHandoff(nil, h); throng.KindOf(err) != throng.Invalid || err == nil {
			t.Errorf("%s: got %v, want Invalid", name, err)
		}
	}
}

func FuzzParseHandoff(f *testing.F) {
	content, err := AppendHandoff(nil, someHandoff(f))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(content)
	f.Add(content[:90])
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ParseHandoff(b)
		if err != nil {
			return
		}
		again, err := AppendHandoff(nil, h)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		back, err := ParseHandoff(again)
		if err != nil || len(back.Token) != tokenSize || !bytes.Equal(back.Token, h.Token) || !back.Web.Equal(h.Web) {
			t.Fatalf("%+v came back as %+v, %v", h, back, err)
		}
	})
}
