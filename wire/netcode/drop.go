package netcode

// Drop says why a datagram was ignored.
type Drop uint8

// The reasons to ignore a datagram.
const (
	DropNone      Drop = iota // it was not ignored
	DropMalformed             // its size or first bytes are those of no packet
	DropProtocol              // another protocol, or another version of netcode
	DropExpired               // the token's time is over
	DropForged                // it was not sealed with the right key, or was changed
	DropAddress               // the token is for another server's address
	DropUsed                  // the token was used from too many other addresses, or is spent
	DropDuplicate             // the client, or another at its address, is connected already
	DropFull                  // every slot is taken; the client was told
	DropBusy                  // too many half-open connections, or the application refused
	DropUnknown               // its sender has shown no token
	DropReplayed              // its number was seen before, or is too old
	DropType                  // a valid packet that makes no sense in this state
)

// Drops lists every reason but DropNone.
func Drops() []Drop {
	return []Drop{
		DropMalformed, DropProtocol, DropExpired, DropForged, DropAddress, DropUsed,
		DropDuplicate, DropFull, DropBusy, DropUnknown, DropReplayed, DropType,
	}
}

// String returns the reason as metrics label it.
func (d Drop) String() string {
	switch d {
	case DropNone:
		return "none"
	case DropMalformed:
		return "malformed"
	case DropProtocol:
		return "protocol"
	case DropExpired:
		return "expired"
	case DropForged:
		return "forged"
	case DropAddress:
		return "address"
	case DropUsed:
		return "used"
	case DropDuplicate:
		return "duplicate"
	case DropFull:
		return "full"
	case DropBusy:
		return "busy"
	case DropUnknown:
		return "unknown"
	case DropReplayed:
		return "replayed"
	case DropType:
		return "type"
	}
	return "none"
}
