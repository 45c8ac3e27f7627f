package netcode

import (
	"encoding/binary"
)

// request is what a client says first, in clear. Its fields alias the datagram.
type request struct {
	data    []byte // version, protocol and expire: what the token's seal covers
	nonce   []byte
	private []byte // sealed
}

// appendRequest appends a request packet of RequestSize bytes.
func appendRequest(dst []byte, t *Token) []byte {
	out := append(dst, byte(TypeRequest))
	out = append(out, version...)
	out = binary.LittleEndian.AppendUint64(out, t.ProtocolID)
	out = binary.LittleEndian.AppendUint64(out, t.Expire)
	out = append(out, t.nonce[:]...)
	return append(out, t.private[:]...)
}

// parseRequest checks the size, the version and the protocol.
func parseRequest(b []byte, protocol uint64) (request, Drop) {
	if len(b) != RequestSize || b[0] != byte(TypeRequest) {
		return request{}, DropMalformed
	}
	r := request{data: b[1 : 1+versionSize+16], nonce: b[30 : 30+NonceSize], private: b[30+NonceSize:]}
	if string(r.data[:versionSize]) != version || binary.LittleEndian.Uint64(r.data[versionSize:]) != protocol {
		return request{}, DropProtocol
	}
	return r, DropNone
}

// expire is the token's end in Unix seconds.
func (r request) expire() uint64 { return binary.LittleEndian.Uint64(r.data[versionSize+8:]) }

// mac names the token: no two tokens have the same.
func (r request) mac() tokenMAC { return tokenMAC(r.private[privateSize-tagSize:]) }
