package wire

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/throng-gg/throng"
)

const (
	partHeader = 1 + 1 + 4
	partMax    = MaxPayload - partHeader
)

// part is one payload of a message that does not fit into one.
type part struct {
	Part, Parts uint8  // Part from 0
	Sum         uint32 // CRC-32 (IEEE) of the whole content
	Data        []byte
}

// splitParts cuts a content into parts, whose Data is part of it.
func splitParts(content []byte) []part {
	sum := crc32.ChecksumIEEE(content)
	n := (len(content) + partMax - 1) / partMax
	out := make([]part, n)
	for i := range n {
		data := content[i*partMax : min(len(content), (i+1)*partMax)]
		out[i] = part{Part: uint8(i), Parts: uint8(n), Sum: sum, Data: data}
	}
	return out
}

// appendPart appends a message: type, part in the lower and parts-1 in the upper
// half of a byte, sum, data to the end.
func appendPart(dst []byte, m Message, p part) []byte {
	out := append(dst, byte(m), p.Part|(p.Parts-1)<<4)
	out = binary.LittleEndian.AppendUint32(out, p.Sum)
	return append(out, p.Data...)
}

// parsePart reads the message. Data is part of payload.
func parsePart(payload []byte, m Message, most uint8) (part, error) {
	if MessageOf(payload) != m || len(payload) < partHeader {
		return part{}, throng.Errorf(throng.Invalid, "not a message %d of %d bytes", m, len(payload))
	}
	p := part{
		Part: payload[1] & 15, Parts: payload[1]>>4 + 1,
		Sum: binary.LittleEndian.Uint32(payload[2:]), Data: payload[partHeader:],
	}
	if p.Parts > most || p.Part >= p.Parts || len(p.Data) > partMax {
		return part{}, throng.Errorf(throng.Invalid, "part %d of %d of message %d, %d bytes", p.Part, p.Parts, m, len(p.Data))
	}
	return p, nil
}
