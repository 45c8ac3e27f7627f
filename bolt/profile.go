package bolt

import (
	"bytes"
	"cmp"
	"context"
	"encoding/binary"
	"slices"
	"time"

	"go.etcd.io/bbolt"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/profile"
)

// Profiles is the part of a Store that keeps profiles.
type Profiles struct{ s *Store }

var _ profile.Mirror = Profiles{}

// Profiles returns the part that keeps profiles.
func (s *Store) Profiles() Profiles { return Profiles{s} }

// formatHead is the first byte of a head as it is stored: fence, revision, whether
// it was returned, and the holder's length and name. Files of before have JSON,
// which is read as well; so it is with what stands before a save's data.
const formatHead = 1

// head is a profile.Head as older files have it.
type head struct {
	Fence    throng.Epoch     `json:"f"`
	Holder   throng.SessionID `json:"h"`
	Returned bool             `json:"r"`
	Revision throng.Revision  `json:"v"`
}

// saved is what stands before a save's data in older files.
type saved struct {
	Revision throng.Revision  `json:"-"` // there it is the key's
	Fence    throng.Epoch     `json:"f"`
	Holder   throng.SessionID `json:"h"`
	At       int64            `json:"at"` // Unix milliseconds
	Size     int              `json:"n"`
}

func profileKey(k profile.Key) []byte { return key(string(k.Game), string(k.Player)) }

// slotKey is where a save goes: the newest take the oldest one's place, so that
// nothing in the file moves.
func slotKey(k profile.Key, r throng.Revision) []byte { return saveKey(k, r%profile.Kept) }

// saveKey is where older files have saves; of the first ones it is the slot.
func saveKey(k profile.Key, r throng.Revision) []byte {
	return binary.BigEndian.AppendUint64(under(string(k.Game), string(k.Player)), uint64(r))
}

func readHead(tx *bbolt.Tx, k profile.Key) (profile.Head, error) {
	data := bucket(tx, profileHeads).Get(profileKey(k))
	if data == nil {
		return profile.Head{}, nil
	}
	return parseHead(k, data)
}

func formHead(h profile.Head) []byte {
	out := append(make([]byte, 0, 64), formatHead)
	out = binary.AppendUvarint(binary.AppendUvarint(out, uint64(h.Fence)), uint64(h.Revision))
	returned := byte(0)
	if h.Returned {
		returned = 1
	}
	return appendText(append(out, returned), string(h.Holder))
}

func parseHead(k profile.Key, data []byte) (profile.Head, error) {
	if len(data) > 0 && data[0] == '{' {
		var h head
		err := decode(data, &h)
		return profile.Head(h), err
	}
	in := fields{data: data}
	in.bad = in.byte() != formatHead
	h := profile.Head{Fence: throng.Epoch(in.number()), Revision: throng.Revision(in.number()), Returned: in.byte() == 1, Holder: throng.SessionID(in.text())}
	if in.bad || len(in.data) > 0 {
		return profile.Head{}, throng.Errorf(throng.Internal, "the stored profile of %s cannot be read", k.Player)
	}
	return h, nil
}

func putHead(tx *bbolt.Tx, k profile.Key, h profile.Head) error {
	return bucket(tx, profileHeads).Put(profileKey(k), formHead(h))
}

// Head returns what is known of a profile.
func (p Profiles) Head(_ context.Context, k profile.Key) (h profile.Head, err error) {
	err = p.s.view(func(tx *bbolt.Tx) (err error) {
		h, err = readHead(tx, k)
		return err
	})
	return h, err
}

// Checkout sets fence and holder.
func (p Profiles) Checkout(ctx context.Context, k profile.Key, fence throng.Epoch, holder throng.SessionID) (h profile.Head, err error) {
	err = p.s.change(ctx, func(tx *bbolt.Tx) (func() error, error) {
		if h, err = readHead(tx, k); err != nil {
			return nil, err
		}
		if err := profile.MayCheckout(k, h, fence, holder); err != nil {
			return nil, err
		}
		h.Fence, h.Holder, h.Returned = fence, holder, false
		return func() error { return putHead(tx, k, h) }, nil
	})
	return h, err
}

// Save stores the next save.
func (p Profiles) Save(ctx context.Context, k profile.Key, s profile.Save, returned bool) error {
	value := formSave(s) // here, where nobody waits for it
	return p.s.change(ctx, func(tx *bbolt.Tx) (func() error, error) {
		h, err := readHead(tx, k)
		if err != nil {
			return nil, err
		}
		saves := bucket(tx, profileSaves)
		if s.Revision == h.Revision && s.Revision > 0 { // repeated?
			was, err := findSave(saves, k, s.Revision)
			if err != nil {
				return nil, err
			}
			return nil, profile.MayRepeat(k, h, was, s, returned)
		}
		if err := profile.MaySave(k, h, s); err != nil {
			return nil, err
		}
		h.Revision, h.Returned = s.Revision, returned
		return func() error {
			if err := putSave(saves, k, s.Revision, value); err != nil {
				return err
			}
			return putHead(tx, k, h)
		}, nil
	})
}

// putSave stores a save in its slot.
func putSave(saves *bbolt.Bucket, k profile.Key, r throng.Revision, value []byte) error {
	if err := saves.Put(slotKey(k, r), value); err != nil || r < 2*profile.Kept {
		return err
	}
	return saves.Delete(saveKey(k, r-profile.Kept)) // an older file's
}

// Copy stores a newer profile of another store.
func (p Profiles) Copy(ctx context.Context, k profile.Key, h profile.Head, s *profile.Save) error {
	if err := profile.MayCopy(k, h, s); err != nil {
		return err
	}
	var value []byte
	if s != nil {
		value = formSave(*s)
	}
	return p.s.change(ctx, func(tx *bbolt.Tx) (func() error, error) {
		was, err := readHead(tx, k)
		if err != nil || !profile.Newer(h, was) {
			return nil, err
		}
		return func() error {
			if s != nil {
				if err := putSave(bucket(tx, profileSaves), k, s.Revision, value); err != nil {
					return err
				}
			}
			return putHead(tx, k, h)
		}, nil
	})
}

// Return lets go of a profile.
func (p Profiles) Return(ctx context.Context, k profile.Key, fence throng.Epoch, holder throng.SessionID) error {
	return p.s.change(ctx, func(tx *bbolt.Tx) (func() error, error) {
		h, err := readHead(tx, k)
		if err != nil {
			return nil, err
		}
		if err := profile.MayReturn(k, h, fence, holder); err != nil || h.Returned {
			return nil, err
		}
		h.Returned = true
		return func() error { return putHead(tx, k, h) }, nil
	})
}

// formSave is a save as it is stored: the length of what stands before its data,
// that, and the data.
func formSave(s profile.Save) []byte {
	front := binary.AppendUvarint(append(make([]byte, 0, 64), formatHead), uint64(s.Revision))
	front = binary.AppendUvarint(binary.AppendVarint(binary.AppendUvarint(front, uint64(s.Fence)), s.SavedAt.UnixMilli()), uint64(s.Size))
	front = appendText(front, string(s.Holder))
	value := binary.BigEndian.AppendUint16(make([]byte, 0, 2+len(front)+len(s.Data)), uint16(len(front)))
	return append(append(value, front...), s.Data...)
}

func parseFront(r throng.Revision, data []byte) (front saved, err error) {
	if len(data) > 0 && data[0] == '{' {
		err := decode(data, &front)
		front.Revision = r
		return front, err
	}
	in := fields{data: data}
	in.bad = in.byte() != formatHead
	front = saved{Revision: throng.Revision(in.number()), Fence: throng.Epoch(in.number()), At: in.signed(), Size: int(in.number()), Holder: throng.SessionID(in.text())}
	if in.bad || len(in.data) > 0 {
		return saved{}, throng.Errorf(throng.Internal, "save %d is damaged", r)
	}
	return front, nil
}

// findSave looks for a save, in its slot and where older files have it.
func findSave(saves *bbolt.Bucket, k profile.Key, r throng.Revision) (profile.Save, error) {
	for _, key := range [][]byte{slotKey(k, r), saveKey(k, r)} {
		value := saves.Get(key)
		if value == nil {
			continue
		}
		if s, err := readSave(value, numberOf(key)); err != nil || s.Revision == r {
			return s, err
		}
	}
	return profile.Save{}, throng.Errorf(throng.NotFound, "save %d is not kept", r)
}

// numberOf is the last part of a save's key.
func numberOf(key []byte) throng.Revision {
	return throng.Revision(binary.BigEndian.Uint64(key[len(key)-8:]))
}

// readSave takes a stored save apart; r is its key's number. Its Data is a copy.
func readSave(value []byte, r throng.Revision) (profile.Save, error) {
	if len(value) < 2 || len(value)-2 < int(binary.BigEndian.Uint16(value)) {
		return profile.Save{}, throng.Errorf(throng.Internal, "save %d is damaged", r)
	}
	n := 2 + int(binary.BigEndian.Uint16(value))
	front, err := parseFront(r, value[2:n])
	if err != nil {
		return profile.Save{}, err
	}
	return profile.Save{
		Revision: front.Revision, Fence: front.Fence, Holder: front.Holder, SavedAt: time.UnixMilli(front.At).UTC(), Size: front.Size, Data: bytes.Clone(value[n:]),
	}, nil
}

// Saved returns a save.
func (p Profiles) Saved(_ context.Context, k profile.Key, r throng.Revision) (s profile.Save, err error) {
	err = p.s.view(func(tx *bbolt.Tx) error {
		h, err := readHead(tx, k)
		if err != nil {
			return err
		}
		if r == 0 {
			r = h.Revision
		}
		if !profile.IsKept(h, r) {
			return throng.Errorf(throng.NotFound, "save %d is not kept", r)
		}
		s, err = findSave(bucket(tx, profileSaves), k, r)
		return err
	})
	return s, err
}

// Saves lists what is kept.
func (p Profiles) Saves(_ context.Context, k profile.Key) (list []profile.Save, err error) {
	prefix := under(string(k.Game), string(k.Player))
	err = p.s.view(func(tx *bbolt.Tx) error {
		h, err := readHead(tx, k)
		if err != nil {
			return err
		}
		c := bucket(tx, profileSaves).Cursor()
		for name, value := c.Seek(prefix); len(name) == len(prefix)+8 && bytes.HasPrefix(name, prefix); name, value = c.Next() {
			s, err := readSave(value, numberOf(name))
			if err != nil {
				return err
			}
			if s.Data = nil; profile.IsKept(h, s.Revision) {
				list = append(list, s)
			}
		}
		return nil
	})
	slices.SortFunc(list, func(a, b profile.Save) int { return cmp.Compare(b.Revision, a.Revision) })
	return list, err
}
