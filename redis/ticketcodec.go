package redis

import (
	"encoding/binary"
	"math"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

// modes are numbered in tickets.
var modes = [...]throng.Mode{ //nolint:gochecknoglobals // a constant table
	"", throng.ModeDropIn, throng.ModeSession, throng.ModeNew, throng.ModeQueue, throng.ModeFriend, throng.ModePrivate,
}

// What a wish has beyond place and mode, as bits above the mode's.
const (
	wishSession = 1 << (iota + 3)
	wishFriend
	wishCode
	wishMore // a party, a party's ID, or a mode that has no number
	wishFrom // an origin
)

// packWish packs what makes two tickets the same: all but version and latencies,
// and the place, which the script adds as a number.
func packWish(t throng.Ticket) string {
	mode, flags := -1, byte(0)
	for i, m := range modes {
		if m == t.Mode {
			mode = i
		}
	}
	more := mode < 0 || t.PartyID != "" || len(t.Party) != 1 || t.Party[0] != t.Key.Caller
	if t.Session != "" {
		flags |= wishSession
	}
	if t.Friend != "" {
		flags |= wishFriend
	}
	if t.Code != (throng.CodeHash{}) {
		flags |= wishCode
	}
	if more {
		flags |= wishMore
	}
	if t.From != (throng.Origin{}) {
		flags |= wishFrom
	}
	b := []byte{flags | byte(max(mode, 0))}
	if flags&wishSession != 0 {
		b = appendShort(b, string(t.Session))
	}
	if flags&wishFriend != 0 {
		b = appendShort(b, string(t.Friend))
	}
	if flags&wishCode != 0 {
		b = append(b, t.Code[:]...)
	}
	if more {
		b = appendShort(b, string(t.Mode))
		b = appendShort(b, string(t.PartyID))
		b = appendUint(b, 2, uint64(len(t.Party)))
		for _, p := range t.Party {
			b = appendShort(b, string(p))
		}
	}
	if flags&wishFrom != 0 {
		b = appendShort(b, string(t.From.Session))
		b = appendShort(b, string(t.From.Place))
		b = append(appendUint(b, 2, uint64(len(t.From.Data))), t.From.Data...)
	}
	return string(b)
}

// parseWish is packWish's reverse, for a ticket of this key, place and version.
func parseWish(t throng.Ticket, s string) (throng.Ticket, error) {
	k, r := t.Key, reader{b: s}
	flags := r.uint(1)
	if mode := int(flags & 7); mode < len(modes) {
		t.Mode = modes[mode]
	}
	if flags&wishSession != 0 {
		t.Session = throng.SessionID(r.short())
	}
	if flags&wishFriend != 0 {
		t.Friend = throng.PlayerID(r.short())
	}
	if flags&wishCode != 0 {
		copy(t.Code[:], r.text(len(t.Code)))
	}
	if flags&wishMore != 0 {
		t.Mode, t.PartyID = throng.Mode(r.short()), throng.PartyID(r.short())
		for range r.uint(2) {
			t.Party = append(t.Party, throng.PlayerID(r.short()))
		}
	} else {
		t.Party = []throng.PlayerID{k.Caller}
	}
	if flags&wishFrom != 0 {
		t.From = throng.Origin{Session: throng.SessionID(r.short()), Place: throng.PlaceID(r.short()), Data: r.long()}
	}
	if r.bad {
		return throng.Ticket{}, throng.Errorf(throng.Internal, "ticket %s is broken", k.Ticket)
	}
	return t, nil
}

// What a grant has beyond its session, nonce and time.
const (
	grantUntil      = 1 << iota // its hold is running, for throng.HoldTime
	grantOther                  // its hold runs until another time, which follows
	grantMembers                // it is not for the caller alone
	grantPlace                  // of this place and version, which are not the ticket's; settle.lua adds it
	grantAttributes             // its members bring something to the place's signals
)

// packGrant packs a grant. Its first member's epoch is kept beside it, and so
// are its place and version.
func (n *names) packGrant(g throng.Grant) (string, error) {
	id, err := n.id(g.Session)
	if err != nil {
		return "", err
	}
	var flags byte
	switch {
	case g.Until.Equal(g.HeldAt.Add(throng.HoldTime)):
		flags |= grantUntil
	case !g.Until.IsZero():
		flags |= grantOther
	}
	if len(g.Members) != 1 || g.Members[0].Player != g.Key.Caller {
		flags |= grantMembers
	}
	b := append([]byte{flags, byte(len(id))}, id...)
	b = append(b, g.Nonce[:]...)
	b = binary.AppendVarint(b, unixMilli(g.HeldAt)-epochMilli(g.Members[0].Epoch))
	if flags&grantOther != 0 {
		b = appendUint(b, 6, uint64(unixMilli(g.Until)))
	}
	if flags&grantMembers != 0 {
		b = append(b, byte(len(g.Members)))
		for _, m := range g.Members {
			b = appendShort(appendUint(b, 7, uint64(m.Epoch)), string(m.Player))
		}
	}
	if len(g.Attributes) > 0 {
		b[0] |= grantAttributes
		if b, err = appendAttributes(b, g.Attributes); err != nil {
			return "", err
		}
	}
	return string(b), nil
}

// appendAttributes packs what members bring.
func appendAttributes(b []byte, all [][]throng.Attribute) ([]byte, error) {
	b = append(b, byte(len(all)))
	for _, list := range all {
		b = append(b, byte(len(list)))
		for _, a := range list {
			b = appendShort(b, a.Name)
			b = appendUint(b, 8, math.Float64bits(a.Number))
			b = appendShort(b, a.Category)
			if len(list) > 255 || len(a.Name) > 255 || len(a.Category) > 255 {
				return nil, throng.AtField(throng.Invalid, "attributes", "are too many, or too long")
			}
		}
	}
	if len(all) > session.MaxCapacity || len(b) > 60_000 {
		return nil, throng.AtField(throng.Invalid, "attributes", "take %d bytes of %d players, which is too much", len(b), len(all))
	}
	return b, nil
}

func (r *reader) attributes() (all [][]throng.Attribute) {
	for range r.uint(1) {
		var list []throng.Attribute
		for range r.uint(1) {
			a := throng.Attribute{Name: r.short(), Number: math.Float64frombits(r.uint(8))}
			a.Category = r.short()
			list = append(list, a)
		}
		all = append(all, list)
	}
	return all
}

func epochMilli(e throng.Epoch) int64 { return int64(e>>8) + throng.EpochStart }

// parseGrant is packGrant's reverse, for a ticket's grant.
func (n *names) parseGrant(t throng.Ticket, epoch throng.Epoch, s string) (*throng.Grant, error) {
	k, r := t.Key, reader{b: s}
	flags := r.uint(1)
	g := &throng.Grant{Hold: throng.Hold{Key: k, Session: n.session(r.short())}, Place: t.Place, Version: t.Version}
	copy(g.Nonce[:], r.text(len(g.Nonce)))
	if held := r.varint() + epochMilli(epoch); held > 0 {
		g.HeldAt = time.UnixMilli(held)
	}
	switch {
	case flags&grantUntil != 0:
		g.Until = g.HeldAt.Add(throng.HoldTime)
	case flags&grantOther != 0:
		g.Until = fromMilli(r.uint(6))
	}
	if flags&grantMembers != 0 {
		for range r.uint(1) {
			e := throng.Epoch(r.uint(7))
			g.Members = append(g.Members, throng.Member{Epoch: e, Player: throng.PlayerID(r.short())})
		}
	} else {
		g.Members = []throng.Member{{Player: k.Caller, Epoch: epoch}}
	}
	if flags&grantAttributes != 0 {
		g.Attributes = r.attributes()
	}
	if flags&grantPlace != 0 {
		g.Version, g.Place = throng.Version(r.uint(4)), throng.PlaceID(r.short())
	}
	if r.bad {
		return nil, throng.Errorf(throng.Internal, "the grant of ticket %s is broken", k.Ticket)
	}
	return g, nil
}
