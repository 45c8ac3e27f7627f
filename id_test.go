package throng_test

import (
	"strings"
	"testing"

	"github.com/throng-gg/throng"
)

func TestIDsCarryTheirRegionAndShard(t *testing.T) {
	s := throng.MakeSessionID("eu-west", 0xa7, throng.Entropy{1, 2, 3})
	if got := s.Region(); got != "eu-west" {
		t.Errorf("%s: region %q, want eu-west", s, got)
	}
	if got := s.Shard(); got != 0xa7 {
		t.Errorf("%s: shard %#x, want 0xa7", s, got)
	}
	if _, err := throng.ParseSessionID("id", string(s)); err != nil {
		t.Errorf("own session ID: %v", err)
	}
	for _, check := range []func() error{
		func() error {
			_, err := throng.ParseServerID("id", string(throng.MakeServerID("local", throng.Entropy{})))
			return err
		},
		func() error {
			_, err := throng.ParseNodeID("id", string(throng.MakeNodeID("local", throng.Entropy{9})))
			return err
		},
	} {
		if err := check(); err != nil {
			t.Errorf("own ID is refused: %v", err)
		}
	}
}

func TestBadNamesAreRefusedWithTheirPlace(t *testing.T) {
	long := strings.Repeat("a", 65)
	for _, c := range []struct {
		name  string
		parse func(string) error
		bad   []string
		good  []string
	}{
		{
			"player", func(s string) error { _, err := throng.ParsePlayerID("party[2]", s); return err },
			[]string{"", long, "a b", "ä", "a/b", "a\x00"},
			[]string{"ada", "Ada.1_x:y-z", long[:64]},
		},
		{
			"place", func(s string) error { _, err := throng.ParsePlaceID("party[2]", s); return err },
			[]string{"", "1a", "-a", "Arena", long[:41]},
			[]string{"arena", "my-place-2"},
		},
		{
			"session", func(s string) error { _, err := throng.ParseSessionID("party[2]", s); return err },
			[]string{"", "ses_", "ses_local_", "ses_local_00short", "srv_local_0000000000000000", "ses_LOCAL_000000000000000000"},
			nil,
		},
	} {
		for _, s := range c.bad {
			err := c.parse(s)
			if throng.KindOf(err) != throng.Invalid || err == nil || !strings.HasPrefix(err.Error(), "party[2]: ") {
				t.Errorf("%s %q: got %v, want Invalid at party[2]", c.name, s, err)
			}
		}
		for _, s := range c.good {
			if err := c.parse(s); err != nil {
				t.Errorf("%s %q: got %v, want it taken", c.name, s, err)
			}
		}
	}
}

// The name of a session says which of the region's keys its own follow from.
func TestSessionNamesTheirKey(t *testing.T) {
	for number := range 256 {
		e := throng.SessionKeyOf(uint8(number), throng.Entropy{0xff, 0xff, 3, 4, 5, 6, 7, 8, 9, 10})
		s := throng.MakeSessionID("eu-west", 0xa7, e)
		if got := s.Key(); got != uint8(number) {
			t.Errorf("%s: key %d, want %d", s, got, number)
		}
		if s.Shard() != 0xa7 || s.Region() != "eu-west" {
			t.Errorf("%s: shard %#x, region %s", s, s.Shard(), s.Region())
		}
	}
	for _, bad := range []throng.SessionID{"", "ses_", "ses_local_00", "ses_local_00!!", "x"} {
		if got := bad.Key(); got != 0 {
			t.Errorf("%q: key %d, want 0", bad, got)
		}
	}
}
