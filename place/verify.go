package place

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"hash"
	"io"

	"github.com/throng-gg/throng"
)

// Verified reads a package of so many bytes out of r, and holds its last bytes
// back until all of it was seen to be what its name says: who reads to the end
// has good content. Otherwise the last Read returns an Internal error in place
// of the last bytes and io.EOF. Close closes r.
func Verified(r io.ReadCloser, length int64, want throng.PackageHash) io.ReadCloser {
	return &verified{from: r, left: length, sum: sha256.New(), want: want}
}

type verified struct {
	from io.ReadCloser
	left int64
	sum  hash.Hash
	want throng.PackageHash
	over error // nil: there may be more
}

func (v *verified) Read(p []byte) (int, error) {
	if v.over != nil {
		return 0, v.over
	}
	n := 0
	if v.left > 0 {
		var err error
		n, err = v.from.Read(p[:min(int64(len(p)), v.left)])
		_, _ = v.sum.Write(p[:n]) // a hash never fails
		v.left -= int64(n)
		if err != nil && (v.left > 0 || !errors.Is(err, io.EOF)) { // an early end, too
			v.over = throng.Errorf(throng.Internal, "package %s can't be read: %w", v.want, whole(err))
			return 0, v.over
		}
	}
	if v.left > 0 {
		return n, nil
	}
	if v.over = v.check(); v.over != nil {
		return 0, v.over
	}
	v.over = io.EOF
	if n == 0 {
		return 0, io.EOF
	}
	return n, nil
}

func (v *verified) check() error {
	if got := hex.EncodeToString(v.sum.Sum(nil)); got != string(v.want) {
		return throng.Errorf(throng.Internal, "package %s is damaged: its content has hash %s", v.want, got)
	}
	return nil
}

func (v *verified) Close() error { return v.from.Close() }
