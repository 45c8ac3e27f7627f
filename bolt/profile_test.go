package bolt

import (
	"encoding/binary"
	"path/filepath"
	"reflect"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/profile"
)

// FuzzHead: any bytes are a head, which is written and read the same, or an error.
func FuzzHead(f *testing.F) {
	f.Add(formHead(profile.Head{}))
	f.Add(formHead(profile.Head{Fence: 1 << 52, Revision: 300, Returned: true, Holder: "ses_local_00aaaaaaaaaaaaaaaa"}))
	f.Add([]byte(`{"f":7,"h":"ses","r":true,"v":3}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		h, err := parseHead(profile.Key{}, data)
		if err != nil {
			return
		}
		if again, err := parseHead(profile.Key{}, formHead(h)); err != nil || again != h {
			t.Errorf("got %+v, %v, want %+v", again, err, h)
		}
	})
}

// FuzzSave does the same with saves.
func FuzzSave(f *testing.F) {
	f.Add(formSave(profile.Save{SavedAt: time.UnixMilli(0)}))
	f.Add(formSave(profile.Save{Revision: 3, Fence: 1 << 52, Holder: "ses", SavedAt: time.UnixMilli(1_790_000_000_123), Size: 10_000, Data: []byte("data")}))
	f.Add(oldSave)
	f.Add([]byte{0, 200, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := readSave(data, 3)
		if err != nil {
			return
		}
		if again, err := readSave(formSave(s), 3); err != nil || !reflect.DeepEqual(again, s) {
			t.Errorf("got %+v, %v, want %+v", again, err, s)
		}
	})
}

// oldSave is one of before.
var oldSave = func() []byte {
	front := `{"f":7,"h":"ses","at":1790000000123,"n":2}`
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(front))), front+"{}"...)
}()

// TestSavesOfBefore goes on where an older file ends, whose saves stand elsewhere.
func TestSavesOfBefore(t *testing.T) {
	t.Parallel()
	store, err := Open(Config{Path: filepath.Join(t.TempDir(), "throng.db")})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = store.Close() })
	k, p := profile.Key{Game: "bazaar", Player: "ada"}, store.Profiles()
	err = store.change(t.Context(), func(tx *bbolt.Tx) (func() error, error) {
		return func() error {
			for r := throng.Revision(6); r <= 15; r++ {
				if err := bucket(tx, profileSaves).Put(saveKey(k, r), oldSave); err != nil {
					return err
				}
			}
			return putHead(tx, k, profile.Head{Fence: 7, Holder: "ses", Revision: 15})
		}, nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for newest := throng.Revision(15); newest < 40; newest++ {
		if newest > 15 {
			s := profile.Save{Revision: newest, Fence: 7, Holder: "ses", SavedAt: time.UnixMilli(1_790_000_000_123).UTC(), Size: 2, Data: []byte("{}")}
			if err := p.Save(t.Context(), k, s, false); err != nil {
				t.Fatalf("save %d: %v", newest, err)
			}
		}
		list, err := p.Saves(t.Context(), k)
		if err != nil || len(list) != profile.Kept {
			t.Fatalf("at %d: %d are kept, %v", newest, len(list), err)
		}
		for i, s := range list {
			if got, err := p.Saved(t.Context(), k, s.Revision); s.Revision != newest-throng.Revision(i) || err != nil || got.Revision != s.Revision {
				t.Errorf("at %d: number %d is %d; read %d, %v", newest, i, s.Revision, got.Revision, err)
			}
		}
		if _, err := p.Saved(t.Context(), k, newest-profile.Kept); throng.KindOf(err) != throng.NotFound || err == nil {
			t.Errorf("at %d: the one before: %v", newest, err)
		}
	}
}

// TestProfileOfBefore reads what older files have.
func TestProfileOfBefore(t *testing.T) {
	t.Parallel()
	h, err := parseHead(profile.Key{}, []byte(`{"f":7,"h":"ses","r":true,"v":3}`))
	if want := (profile.Head{Fence: 7, Holder: "ses", Returned: true, Revision: 3}); err != nil || h != want {
		t.Errorf("got %+v, %v, want %+v", h, err, want)
	}
	s, err := readSave(oldSave, 3)
	want := profile.Save{Revision: 3, Fence: 7, Holder: "ses", SavedAt: time.UnixMilli(1_790_000_000_123).UTC(), Size: 2, Data: []byte("{}")}
	if err != nil || !reflect.DeepEqual(s, want) {
		t.Errorf("got %+v, %v, want %+v", s, err, want)
	}
}
