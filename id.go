package throng

import (
	"encoding/base32"
	"hash/fnv"
	"strings"
)

// Shards is the number of registry shards of a region. A pool lives in one
// shard, a player's record in one.
const Shards = 256

type (
	// RegionID is like "eu-west" or "local": 1 to 16 of [a-z0-9-].
	RegionID string
	// PlayerID is the account that plays, as the studio's issuer names it (the
	// subject of its access tokens): 1 to 64 of [A-Za-z0-9_.:-].
	PlayerID string
	// PlaceID names what a creator publishes, like "arena": 1 to 40 of
	// [a-z0-9-], starting with a letter.
	PlaceID string
	// Version is one immutable publication of a place, counted from 1.
	Version int
	// SessionID is like "ses_local_7fk2m...": its region, and in the first two
	// characters after it the registry shard in hexadecimal, so that any door
	// finds the session without a lookup.
	SessionID string
	// ServerID is a process that hosts one session, like "srv_local_k2m...".
	ServerID string
	// NodeID is a machine that runs game servers, like "nod_local_k2m...".
	NodeID string
	// TicketID is made by the caller: 1 to 64 of [A-Za-z0-9_.:-]. It belongs to
	// that caller; two players may use the same one.
	TicketID string
	// Incarnation is one life of a game server process, random at each start.
	Incarnation string
	// PackageHash is the SHA-256 of a package's canonical bytes, 64 hex digits.
	PackageHash string
)

// Region is a geography with a stack of its own. Number, 0 to 255, is unique
// among a deployment's regions; it is the low byte of every epoch made there.
type Region struct {
	ID     RegionID
	Number uint8
}

// Entropy is randomness that the caller brings, 80 bits.
type Entropy [10]byte

// idText writes 5 bits a character, without the letters that look like digits.
var idText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding) //nolint:gochecknoglobals // a constant table

// idRoom holds every name that is made here, so that one costs one allocation.
const idRoom = 64

func makeID(prefix string, r RegionID, e Entropy) string {
	return string(idText.AppendEncode(appendID(make([]byte, 0, idRoom), prefix, r), e[:]))
}

func appendID(b []byte, prefix string, r RegionID) []byte {
	return append(append(append(append(b, prefix...), '_'), r...), '_')
}

// MakeSessionID names a session of a pool that lives in shard.
func MakeSessionID(r RegionID, shard uint8, e Entropy) SessionID {
	return SessionID(appendSessionID(make([]byte, 0, idRoom), r, shard, e))
}

func appendSessionID(b []byte, r RegionID, shard uint8, e Entropy) []byte {
	const hex = "0123456789abcdef"
	return idText.AppendEncode(append(appendID(b, "ses", r), hex[shard>>4], hex[shard&15]), e[:])
}

// MakeServerID names a game server.
func MakeServerID(r RegionID, e Entropy) ServerID { return ServerID(makeID("srv", r, e)) }

// MakeNodeID names a machine that runs game servers.
func MakeNodeID(r RegionID, e Entropy) NodeID { return NodeID(makeID("nod", r, e)) }

// MakeIncarnation names one life of a process.
func MakeIncarnation(e Entropy) Incarnation { return Incarnation(idText.EncodeToString(e[:])) }

// PoolShard is the shard of a pool: the sessions of one version of a place.
func PoolShard(p PlaceID, v Version) uint8 {
	h := fnv.New32a()
	h.Write([]byte(p))
	h.Write([]byte{byte(v), byte(v >> 8), byte(v >> 16), byte(v >> 24)})
	return fold(h.Sum32())
}

// PlayerShard is the shard of a player's record.
func PlayerShard(p PlayerID) uint8 {
	h := fnv.New32a()
	h.Write([]byte(p))
	return fold(h.Sum32())
}

func fold(h uint32) uint8 { return uint8(h ^ h>>8 ^ h>>16 ^ h>>24) }

// Region returns the region that the session belongs to.
func (s SessionID) Region() RegionID { return regionOf(string(s), "ses_") }

// Region returns the region that the server belongs to.
func (s ServerID) Region() RegionID { return regionOf(string(s), "srv_") }

// Shard returns the registry shard of the session's pool.
func (s SessionID) Shard() uint8 {
	rest := string(s)[strings.LastIndexByte(string(s), '_')+1:]
	if len(rest) < 2 {
		return 0
	}
	return nibble(rest[0])<<4 | nibble(rest[1])
}

// SessionKeyOf is entropy for the name of a session whose keys come from the
// region's key of that number, modulo 256.
func SessionKeyOf(number uint8, e Entropy) Entropy {
	e[0] = number
	return e
}

// Key returns the number, modulo 256, of the region's key that the session's
// own keys come from: the name says it, so that it needs no record.
func (s SessionID) Key() uint8 {
	rest := string(s)[strings.LastIndexByte(string(s), '_')+1:]
	if len(rest) < 4 {
		return 0
	}
	var e [2]byte
	if _, err := idText.Decode(e[:1], []byte(rest[2:4])); err != nil {
		return 0
	}
	return e[0]
}

// Entropy returns what the ID was made of, and whether MakeSessionID could have
// made it: ParseSessionID takes others too.
func (s SessionID) Entropy() (e Entropy, made bool) {
	rest := string(s)[strings.LastIndexByte(string(s), '_')+1:]
	if len(rest) != 18 {
		return e, false
	}
	var text [16]byte
	copy(text[:], rest[2:])
	if n, err := idText.Decode(e[:], text[:]); err != nil || n != len(e) {
		return Entropy{}, false
	}
	var again [idRoom]byte
	return e, string(s) == string(appendSessionID(again[:0], s.Region(), s.Shard(), e))
}

func nibble(c byte) uint8 {
	switch {
	case c >= '0' && c <= '9':
		return c - '0'
	case c >= 'a' && c <= 'f':
		return c - 'a' + 10
	}
	return 0
}

func regionOf(id, prefix string) RegionID {
	rest, ok := strings.CutPrefix(id, prefix)
	if !ok {
		return ""
	}
	region, _, ok := strings.Cut(rest, "_")
	if !ok {
		return ""
	}
	return RegionID(region)
}

// ParsePlayerID checks a player's name. field says where it came from.
func ParsePlayerID(field, s string) (PlayerID, error) {
	return PlayerID(s), checkName(field, s, 64, isNameByte)
}

// ParseTicketID checks a ticket's name.
func ParseTicketID(field, s string) (TicketID, error) {
	return TicketID(s), checkName(field, s, 64, isNameByte)
}

// ParsePlaceID checks a place's name.
func ParsePlaceID(field, s string) (PlaceID, error) {
	if s != "" && (s[0] < 'a' || s[0] > 'z') {
		return "", AtField(Invalid, field, "%q must start with a lower-case letter", clip(s))
	}
	return PlaceID(s), checkName(field, s, 40, isSlugByte)
}

// ParseRegionID checks a region's name.
func ParseRegionID(field, s string) (RegionID, error) {
	return RegionID(s), checkName(field, s, 16, isSlugByte)
}

// ParseSessionID checks the shape of a session ID.
func ParseSessionID(field, s string) (SessionID, error) {
	return SessionID(s), checkMade(field, s, "ses_", 18)
}

// ParseServerID checks the shape of a server ID.
func ParseServerID(field, s string) (ServerID, error) {
	return ServerID(s), checkMade(field, s, "srv_", 16)
}

// ParseNodeID checks the shape of a node ID.
func ParseNodeID(field, s string) (NodeID, error) {
	return NodeID(s), checkMade(field, s, "nod_", 16)
}

func checkMade(field, s, prefix string, tail int) error {
	region := regionOf(s, prefix)
	rest := s[strings.LastIndexByte(s, '_')+1:]
	if region == "" || len(rest) != tail || checkName(field, string(region), 16, isSlugByte) != nil ||
		checkName(field, rest, tail, isSlugByte) != nil {
		return AtField(Invalid, field, "%q is not an ID like %s<region>_<%d characters>", clip(s), prefix, tail)
	}
	return nil
}

func checkName(field, s string, most int, ok func(byte) bool) error {
	if s == "" {
		return AtField(Invalid, field, "is empty")
	}
	if len(s) > most {
		return AtField(Invalid, field, "%q has %d characters, at most %d are allowed", clip(s), len(s), most)
	}
	for i := range len(s) {
		if !ok(s[i]) {
			return AtField(Invalid, field, "%q has a character at position %d that is not allowed", clip(s), i+1)
		}
	}
	return nil
}

func isSlugByte(c byte) bool {
	return c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-'
}

func isNameByte(c byte) bool {
	return isSlugByte(c) || c >= 'A' && c <= 'Z' || c == '_' || c == '.' || c == ':'
}

func clip(s string) string {
	if len(s) > 70 {
		return s[:70] + "…"
	}
	return s
}
