package netcode

import "time"

// ProtocolID is Throng's number in netcode packets: "THRONG" and version 1, so
// that clients of another game or wire version are ignored.
const ProtocolID uint64 = 0x5448524f4e470001

// Sizes in bytes.
const (
	TokenSize       = 2048 // a connect token as clients get it
	KeySize         = 32
	NonceSize       = 24
	UserDataSize    = 256
	MaxPayload      = 1200 // of one payload packet, at least 1
	MaxDatagram     = 1 + 8 + MaxPayload + tagSize
	RequestSize     = 1 + publicHeadSize - 8 + privateSize
	MaxServers      = 32 // addresses in one token
	versionSize     = 13
	tagSize         = 16
	publicHeadSize  = versionSize + 8 + 8 + 8 + NonceSize // of a token, before the sealed part
	privateSize     = 1024                                // sealed, with its tag
	challengeSize   = 300                                 // sealed challenge token, with its tag
	numberedSize    = 8 + challengeSize                   // body of challenge and response
	keepAliveSize   = 8
	packetNonceSize = 12
)

// MaxClients is the largest capacity of a server, as in the reference
// implementation.
const MaxClients = 256

// DefaultTimeoutSeconds is the silence after which a connection is over.
const DefaultTimeoutSeconds = 5

const (
	// sendInterval is the longest silence that either side keeps.
	sendInterval = 100 * time.Millisecond
	// farewells is how many disconnect packets are sent, because any may be lost.
	farewells = 10
	// globalSequence is where a server's packet numbers for clients without a
	// slot begin. Those share a key with packets that are numbered from zero.
	globalSequence = 1 << 63

	version = "NETCODE 1.02\x00"
)
