package throng

import "time"

// Role says which calls a credential is good for.
type Role string

// The roles of credentials. The first three are accounts, the others machines.
const (
	RolePlayer   Role = "player"
	RoleCreator  Role = "creator"
	RoleOperator Role = "operator"
	RoleServer   Role = "server"  // a game server
	RoleNode     Role = "node"    // a machine that runs game servers
	RoleRegion   Role = "region"  // another region's control plane
	RoleReplica  Role = "replica" // another process of the region's own control plane
)

// Account says whether the role is one of people, not of machines.
func (r Role) Account() bool { return r == RolePlayer || r == RoleCreator || r == RoleOperator }

// Caller is whom a credential was given to.
type Caller struct {
	Role    Role
	Player  PlayerID  // of accounts
	Server  ServerID  // of game servers
	Session SessionID // of game servers: the only one that it speaks for; empty while idle
	Node    NodeID    // of nodes
	Region  RegionID  // of regions
	Replica ReplicaID // of replicas
	Expires time.Time // whole seconds; zero: it does not end
	// Friends is what the claim of that name says; nil: there is none.
	Friends *[]PlayerID
	// Attributes is what the claim of that name says, for the signals of places;
	// nil: there is none.
	Attributes *[]Attribute
	// Key is the API key that was brought in place of an access token.
	Key KeyID
	// KeyRate is how many calls a second the key is good for; 0: the door's.
	KeyRate float64
}

// Editor is who changes a place or reads what only its owners may.
type Editor struct {
	Player PlayerID // empty: Throng itself
	// All is an operator's, who may edit every place.
	All bool
	// Unowned lets the player take a place that nobody owns.
	Unowned bool
}

// KeyID names an API key: "key_" and 16 characters. It is no secret.
type KeyID string

// MakeKeyID names an API key.
func MakeKeyID(e Entropy) KeyID { return KeyID("key_" + idText.EncodeToString(e[:])) }

// ParseKeyID checks the shape of an API key's name.
func ParseKeyID(field, s string) (KeyID, error) {
	if len(s) != 4+16 || s[:4] != "key_" || checkName(field, s[4:], 16, isSlugByte) != nil {
		return "", AtField(Invalid, field, "%q is not the name of a key, like key_<16 characters>", clip(s))
	}
	return KeyID(s), nil
}

// APIKey is what is kept of a creator's key. The key itself is kept nowhere.
type APIKey struct {
	ID      KeyID
	Owner   PlayerID
	Name    string  // for people
	Rate    float64 // calls a second; 0: the door's
	Created time.Time
	Expires time.Time // zero: never
	Used    time.Time // last, to the minute; zero: never
}

// MaxOwners is how many accounts can own a place together.
const MaxOwners = 32
