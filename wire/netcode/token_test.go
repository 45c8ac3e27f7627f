package netcode

import (
	"bytes"
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

func TestOpenToken(t *testing.T) {
	c := goldenToken()
	good, err := MakeToken(c)
	if err != nil {
		t.Fatal(err)
	}
	alive := time.Unix(int64(c.Expire)-1, 0)
	opened, err := OpenToken(good, c.Key, c.ProtocolID, alive)
	if err != nil || opened.UserData != c.UserData || opened.Expire != c.Expire {
		t.Fatalf("a good token: got %+v, %v", opened, err)
	}
	request := appendRequest(nil, must(ParseToken(good))(t))
	if r, _ := parseRequest(request, must(ParseToken(good))(t).ProtocolID); r.mac() != tokenMAC(opened.MAC) {
		t.Errorf("its name: got %x, a request's is %x", opened.MAC, r.mac())
	}
	spoiled := func(at int) []byte {
		b := bytes.Clone(good)
		b[at] ^= 1
		return b
	}
	other := c.Key
	other[0] ^= 1
	for name, try := range map[string]struct {
		token []byte
		key   [KeySize]byte
		now   time.Time
		want  throng.Kind
	}{
		"empty":          {nil, c.Key, alive, throng.Invalid},
		"short":          {good[:TokenSize-1], c.Key, alive, throng.Invalid},
		"version":        {spoiled(3), c.Key, alive, throng.Invalid},
		"protocol":       {spoiled(13), c.Key, alive, throng.Invalid},
		"expired":        {good, c.Key, alive.Add(time.Second), throng.Denied},
		"other key":      {good, other, alive, throng.Denied},
		"later expiry":   {spoiled(36), c.Key, alive, throng.Denied},
		"nonce":          {spoiled(40), c.Key, alive, throng.Denied},
		"private part":   {spoiled(500), c.Key, alive, throng.Denied},
		"before 1970":    {good, other, time.Unix(-5, 0), throng.Denied},
		"not a protocol": {bytes.Repeat([]byte("x"), TokenSize), c.Key, alive, throng.Invalid},
	} {
		if _, err := OpenToken(try.token, try.key, c.ProtocolID, try.now); err == nil || throng.KindOf(err) != try.want {
			t.Errorf("%s: got %v, want %s", name, err, try.want)
		}
	}
}

func must[T any](v T, err error) func(t *testing.T) T {
	return func(t *testing.T) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func FuzzOpenToken(f *testing.F) {
	c := goldenToken()
	good, err := MakeToken(c)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:100])
	f.Fuzz(func(t *testing.T, b []byte) {
		opened, err := OpenToken(b, c.Key, c.ProtocolID, time.Unix(1, 0))
		if err == nil && !bytes.Equal(b[:publicHeadSize+privateSize][37:], good[37:publicHeadSize+privateSize]) {
			t.Fatalf("took a token that nobody made: %+v", opened)
		}
	})
}
