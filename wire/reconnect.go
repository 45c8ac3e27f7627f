package wire

import (
	"bytes"
	"encoding/binary"

	"github.com/throng-gg/throng"
)

// Reconnect gives a connected client a token with which it can come back into
// its seat after the connection was lost: all of a netcode 1.02 connect token
// but the server's addresses, which the client knows from the token that it
// came with. A new connection gets three, one a second, and then one every 15 s, so that
// the newest is good for at least 45 s. Over UDP each makes one connection.
// Over WebTransport and WebSocket it is good again when the answer to it, or the
// connection that it made, was lost.
//
// For other languages: the message is 1,141 bytes, in this order, numbers
// little-endian, without padding.
//
//	offset  bytes
//	     0      1  5, the message
//	     1      8  Protocol
//	     9      8  Create
//	    17      8  Expire
//	    25     24  Nonce
//	    49   1024  Sealed
//	  1073      4  Timeout
//	  1077     32  ClientToServer
//	  1109     32  ServerToClient
//
// What Token makes of it, and of the token that the client came with, is 2,048
// bytes: the 13 bytes "NETCODE 1.02\0"; bytes 1 to 1076 of this message as they
// are; the addresses of the token that the client came with, as they stand from
// its byte 1089 on (a count of 4 bytes, then each address: one byte 1, 4 bytes
// and a port of 2; or one byte 2, 16 bytes and a port of 2); bytes 1077 to 1140
// of this message; zeros. Over WebTransport and WebSocket it is used as the join
// token was.
type Reconnect struct {
	Protocol       uint64 // of netcode
	Create, Expire uint64 // Unix seconds, by the registry's clock; only their difference means something to a client
	Nonce          [24]byte
	Sealed         [1024]byte // for the server
	Timeout        int32      // s of silence that end the connection
	ClientToServer [32]byte   // seals what the client sends
	ServerToClient [32]byte   // opens what the server sends
}

const (
	reconnectSize = 1 + 3*8 + 24 + 1024 + 4 + 2*32

	tokenSize      = 2048
	tokenVersion   = "NETCODE 1.02\x00"
	tokenAddresses = len(tokenVersion) + 3*8 + 24 + 1024 + 4 // where a token's addresses stand
	tokenServers   = 32                                      // at most
)

// AppendReconnect appends the message.
func AppendReconnect(dst []byte, r Reconnect) []byte {
	out := append(dst, byte(MessageReconnect))
	out = r.appendHead(out)
	return r.appendKeys(out)
}

// ParseReconnect reads the message. Invalid: it is none.
func ParseReconnect(payload []byte) (Reconnect, error) {
	if MessageOf(payload) != MessageReconnect || len(payload) != reconnectSize {
		return Reconnect{}, throng.Errorf(throng.Invalid, "not a reconnect of %d bytes", len(payload))
	}
	var r Reconnect
	readKeys(&r, readHead(&r, payload[1:]))
	if r.Create > r.Expire {
		return Reconnect{}, throng.Errorf(throng.Invalid, "a reconnect token expires before it was made")
	}
	return r, nil
}

// ReconnectOf takes apart a netcode connect token of 2,048 bytes; its addresses
// are not kept. Invalid: it is none.
func ReconnectOf(token []byte) (Reconnect, error) {
	addresses, err := addressesOf(token)
	if err != nil {
		return Reconnect{}, err
	}
	var r Reconnect
	readHead(&r, token[len(tokenVersion):])
	readKeys(&r, token[tokenAddresses+len(addresses):])
	// One set of checks: what would not be read is not made.
	return ParseReconnect(AppendReconnect(make([]byte, 0, reconnectSize), r))
}

// Token makes the connect token, 2,048 bytes, for the addresses of the token
// that the client came with. Invalid: that is no connect token.
func (r Reconnect) Token(first []byte) ([]byte, error) {
	addresses, err := addressesOf(first)
	if err != nil {
		return nil, err
	}
	out := append(make([]byte, 0, tokenSize), tokenVersion...)
	out = r.appendHead(out)
	out = append(out, addresses...)
	out = r.appendKeys(out)
	return out[:tokenSize], nil
}

// appendHead appends what stands before a token's addresses.
func (r Reconnect) appendHead(dst []byte) []byte {
	out := binary.LittleEndian.AppendUint64(dst, r.Protocol)
	out = binary.LittleEndian.AppendUint64(out, r.Create)
	out = binary.LittleEndian.AppendUint64(out, r.Expire)
	out = append(out, r.Nonce[:]...)
	out = append(out, r.Sealed[:]...)
	return binary.LittleEndian.AppendUint32(out, uint32(r.Timeout))
}

// appendKeys appends what stands after them.
func (r Reconnect) appendKeys(dst []byte) []byte {
	return append(append(dst, r.ClientToServer[:]...), r.ServerToClient[:]...)
}

// readHead reads what appendHead wrote and returns what follows. b is long enough.
func readHead(r *Reconnect, b []byte) (rest []byte) {
	r.Protocol = binary.LittleEndian.Uint64(b)
	r.Create = binary.LittleEndian.Uint64(b[8:])
	r.Expire = binary.LittleEndian.Uint64(b[16:])
	r.Nonce = [24]byte(b[24:])
	r.Sealed = [1024]byte(b[48:])
	r.Timeout = int32(binary.LittleEndian.Uint32(b[1072:]))
	return b[1076:]
}

// readKeys reads what appendKeys wrote. b is long enough.
func readKeys(r *Reconnect, b []byte) {
	r.ClientToServer, r.ServerToClient = [32]byte(b), [32]byte(b[32:])
}

// addressesOf returns the addresses of a connect token as they stand in it.
func addressesOf(token []byte) ([]byte, error) {
	if len(token) != tokenSize || !bytes.HasPrefix(token, []byte(tokenVersion)) {
		return nil, throng.Errorf(throng.Invalid, "%d bytes are not a connect token of netcode 1.02", len(token))
	}
	rest := token[tokenAddresses:]
	count := binary.LittleEndian.Uint32(rest)
	if count < 1 || count > tokenServers {
		return nil, throng.Errorf(throng.Invalid, "a connect token names %d server addresses, not 1 to %d", count, tokenServers)
	}
	n := 4
	for range count { // at most 4 + 32 * 19 bytes of 959
		switch rest[n] {
		case 1:
			n += 1 + 4 + 2
		case 2:
			n += 1 + 16 + 2
		default:
			return nil, throng.Errorf(throng.Invalid, "a server address of a connect token is neither IPv4 nor IPv6")
		}
	}
	return rest[:n], nil
}
