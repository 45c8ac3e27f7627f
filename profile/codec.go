package profile

import (
	"github.com/klauspost/compress/zstd"

	"github.com/throng-gg/throng"
)

// formatZstd is the first byte of what is stored: a zstd frame follows.
const formatZstd = 1

// codec compresses documents. Its methods may be called at the same time.
type codec struct {
	enc *zstd.Encoder
	dec *zstd.Decoder
}

func newCodec() (*codec, error) {
	enc, err := zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedBetterCompression), zstd.WithEncoderConcurrency(2),
		zstd.WithWindowSize(512<<10), zstd.WithLowerEncoderMem(true))
	if err != nil {
		return nil, throng.Errorf(throng.Internal, "make a compressor: %w", err)
	}
	dec, err := zstd.NewReader(nil, zstd.WithDecoderConcurrency(2), zstd.WithDecoderMaxMemory(1<<20), zstd.WithDecoderLowmem(true))
	if err != nil {
		return nil, throng.Errorf(throng.Internal, "make a decompressor: %w", err)
	}
	return &codec{enc, dec}, nil
}

func (c *codec) pack(doc []byte) []byte { return c.enc.EncodeAll(doc, []byte{formatZstd}) }

// unpack returns a document that was packed; anything else is an error, not a
// guess.
func (c *codec) unpack(data []byte) ([]byte, error) {
	if len(data) == 0 || data[0] != formatZstd {
		return nil, throng.Errorf(throng.Internal, "a stored profile has an unknown format")
	}
	doc, err := c.dec.DecodeAll(data[1:], nil)
	if err != nil {
		return nil, throng.Errorf(throng.Internal, "a stored profile cannot be read: %w", err)
	}
	if err := throng.CheckDocument("document", doc); err != nil {
		return nil, throng.Errorf(throng.Internal, "a stored profile: %w", err)
	}
	return doc, nil
}
