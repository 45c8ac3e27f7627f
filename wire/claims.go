package wire

import (
	"crypto/sha256"
	"math"

	"github.com/throng-gg/throng"
)

// ClaimsSize is the length of a join token's user data.
const ClaimsSize = 256

const (
	claimsFormat   = 1
	maxSessionName = 44
	maxVersion     = 1<<31 - 1
)

// Claims is what a join token says about its bearer, sealed in its user data.
type Claims struct {
	Session   throng.SessionID // up to 44 characters
	Player    throng.PlayerID
	Epoch     throng.Epoch
	Expires   int64 // Unix milliseconds, by the registry's clock
	Version   throng.Version
	Key       throng.TicketKey // of the wish to play; its caller is often the player
	PartySize uint8            // members, 1 for a player alone
	// Reconnect says that the session's own server made the token, for a player
	// who has a seat there, so that he can come back into it.
	Reconnect bool
	// Attributes is what the bearer brings to the place's own signals; as many
	// as fit, the first ones first. Numbers are kept to 7 digits. A reconnect
	// token has none.
	Attributes []throng.Attribute `json:",omitzero"`
}

// PartyKey is the same for all members of a party and for nobody else: the
// first half of a SHA-256 of the ticket's caller, a zero byte, and the ticket.
func (c Claims) PartyKey() [16]byte {
	sum := sha256.Sum256([]byte(string(c.Key.Caller) + "\x00" + string(c.Key.Ticket)))
	return [16]byte(sum[:16])
}

// AppendClaims appends exactly ClaimsSize bytes; all that is valid fits, but for
// attributes, of which those are left out that do not.
// Names take 7 bits a character. Invalid: a name or number out of bounds.
func AppendClaims(dst []byte, c Claims) ([]byte, error) {
	if err := c.check(); err != nil {
		return nil, err
	}
	from := len(dst)
	w := bitWriter{dst: dst}
	w.bits(claimsFormat, 8)
	w.bits64(uint64(c.Epoch))
	w.bits64(uint64(c.Expires))
	w.bits(uint32(c.Version), 32)
	w.bits(uint32(c.PartySize), 8)
	w.name(string(c.Session))
	w.name(string(c.Player))
	w.flag(c.Key.Caller == c.Player)
	if c.Key.Caller != c.Player {
		w.name(string(c.Key.Caller))
	}
	w.name(string(c.Key.Ticket))
	w.flag(c.Reconnect)
	w.attributes(c.Attributes, from+ClaimsSize)
	out := w.finish()
	return append(out, make([]byte, ClaimsSize-(len(out)-from))...), nil
}

// ParseClaims reads ClaimsSize bytes of user data. Bytes after the last field
// are for later versions and not looked at. Invalid: anything else.
func ParseClaims(b []byte) (Claims, error) {
	if len(b) != ClaimsSize {
		return Claims{}, throng.Errorf(throng.Invalid, "claims have %d bytes, want %d", len(b), ClaimsSize)
	}
	r := bitReader{src: b}
	if f := r.bits(8); f != claimsFormat {
		return Claims{}, throng.Errorf(throng.Invalid, "claims have format %d, want %d", f, claimsFormat)
	}
	var c Claims
	c.Epoch = throng.Epoch(r.bits64())
	c.Expires = int64(r.bits64())
	c.Version = throng.Version(r.bits(32))
	c.PartySize = uint8(r.bits(8))
	c.Session = throng.SessionID(r.name())
	c.Player = throng.PlayerID(r.name())
	c.Key.Caller = c.Player
	if !r.flag() {
		c.Key.Caller = throng.PlayerID(r.name())
	}
	c.Key.Ticket = throng.TicketID(r.name())
	c.Reconnect = r.flag()
	for r.flag() && !r.short && len(c.Attributes) < throng.MaxSignals {
		c.Attributes = append(c.Attributes, r.attribute())
	}
	if r.short {
		return Claims{}, throng.Errorf(throng.Invalid, "claims end too early")
	}
	if err := c.check(); err != nil {
		return Claims{}, err
	}
	return c, nil
}

func (c Claims) check() error {
	if len(c.Session) > maxSessionName {
		return throng.AtField(throng.Invalid, "session", "has %d characters, at most %d fit a join token", len(c.Session), maxSessionName)
	}
	// A session's name uses no other characters than a ticket's.
	if _, err := throng.ParseTicketID("session", string(c.Session)); err != nil {
		return err
	}
	if _, err := throng.ParsePlayerID("player", string(c.Player)); err != nil {
		return err
	}
	if _, err := throng.ParsePlayerID("caller", string(c.Key.Caller)); err != nil {
		return err
	}
	if _, err := throng.ParseTicketID("ticket", string(c.Key.Ticket)); err != nil {
		return err
	}
	if c.Version < 1 || c.Version > maxVersion {
		return throng.AtField(throng.Invalid, "version", "is %d, not 1 to %d", c.Version, maxVersion)
	}
	if c.PartySize < 1 {
		return throng.AtField(throng.Invalid, "party_size", "is 0")
	}
	for _, a := range c.Attributes {
		if err := checkAttribute(a); err != nil {
			return err
		}
	}
	return nil
}

func checkAttribute(a throng.Attribute) error {
	if _, err := throng.ParseSignalName("attributes", a.Name); err != nil {
		return err
	}
	if a.Category == "" {
		_, err := throng.ParseSignalNumber("attributes."+a.Name, a.Number)
		return err
	}
	_, err := throng.ParseCategory("attributes."+a.Name, a.Category)
	return err
}

// attributes writes those that end before limit, with a bit to spare: each
// after a set bit, the last one followed by a clear one.
func (w *bitWriter) attributes(list []throng.Attribute, limit int) {
	for _, a := range list[:min(len(list), throng.MaxSignals)] {
		before := w.mark()
		w.flag(true)
		w.name(a.Name)
		w.flag(a.Category != "")
		if a.Category != "" {
			w.name(a.Category)
		} else {
			w.bits(math.Float32bits(float32(a.Number)), 32)
		}
		if 8*len(w.dst)+int(w.n)+1 > 8*limit {
			w.rewind(before)
		}
	}
	w.flag(false)
}

func (r *bitReader) attribute() throng.Attribute {
	a := throng.Attribute{Name: r.name()}
	if r.flag() {
		a.Category = r.name()
		if a.Category == "" {
			a.Name = "" // which is not valid
		}
		return a
	}
	a.Number = float64(math.Float32frombits(r.bits(32)))
	return a
}

// name writes up to 127 characters of ASCII, 7 bits each.
func (w *bitWriter) name(s string) {
	w.bits(uint32(len(s)), 7)
	for i := range len(s) {
		w.bits(uint32(s[i]), 7)
	}
}

func (r *bitReader) name() string {
	n := r.bits(7)
	var buf [127]byte
	for i := range n {
		buf[i] = byte(r.bits(7))
	}
	return string(buf[:n])
}
