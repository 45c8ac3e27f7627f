package netcode

import (
	"encoding/binary"
	"errors"
)

// keepAlive says that its sender is there; from a server also which slot the
// client has, out of how many. What a client writes in it means nothing.
type keepAlive struct {
	slot, slots uint32
}

func (k keepAlive) append(dst []byte) []byte {
	return binary.LittleEndian.AppendUint32(binary.LittleEndian.AppendUint32(dst, k.slot), k.slots)
}

func parseKeepAlive(b []byte) (keepAlive, error) {
	if len(b) != keepAliveSize {
		return keepAlive{}, errKeepAliveSize
	}
	return keepAlive{slot: binary.LittleEndian.Uint32(b), slots: binary.LittleEndian.Uint32(b[4:])}, nil
}

var errKeepAliveSize = errors.New("a keep-alive has another size")
