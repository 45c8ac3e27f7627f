package place

import (
	"archive/tar"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"

	"github.com/throng-gg/throng"
)

// MaxPackage is the most bytes that a package can have: all files' content, and
// for each a header and padding.
const MaxPackage = MaxTotal + MaxFiles*2*tarBlock + 2*tarBlock

// Pack makes the canonical package of a place's files: an uncompressed tar,
// paths sorted, the same bytes for the same files always. Invalid: a path or a
// size is not allowed; Field is the file.
func Pack(files map[string][]byte) ([]byte, throng.PackageHash, error) {
	length, total := 2*tarBlock, 0
	paths := slices.Sorted(maps.Keys(files))
	if len(paths) > MaxFiles {
		return nil, "", throng.AtField(throng.Invalid, paths[MaxFiles], "is one file too many, at most %d are allowed", MaxFiles)
	}
	for _, p := range paths {
		if err := checkPath(p); err != nil {
			return nil, "", throng.AtField(throng.Invalid, clip(p), "%w", err)
		}
		if err := checkSize(p, int64(len(files[p])), total); err != nil {
			return nil, "", err
		}
		total += len(files[p])
		length += tarLength(len(files[p]))
	}
	if p, bad := clash(files); bad {
		return nil, "", throng.AtField(throng.Invalid, p, "is a file and the folder of another file")
	}
	content := make([]byte, 0, length)
	for _, p := range paths {
		content = appendTarFile(content, p, files[p])
	}
	content = append(content, make([]byte, 2*tarBlock)...)
	return content, Hash(content), nil
}

// Hash names a package by its content.
func Hash(content []byte) throng.PackageHash {
	sum := sha256.Sum256(content)
	return throng.PackageHash(hex.EncodeToString(sum[:]))
}

// ParseHash checks the shape of a package's hash: 64 lower-case hex digits.
// field says where it came from.
func ParseHash(field, s string) (throng.PackageHash, error) {
	if len(s) != 2*sha256.Size || strings.Trim(s, "0123456789abcdef") != "" {
		return "", throng.AtField(throng.Invalid, field, "%q is not a package hash of 64 hex digits", clip(s))
	}
	return throng.PackageHash(s), nil
}

// Unpack reads a package and returns its files by path. Unless the bytes have
// the hash that is wanted, it returns none of them, and an Internal error.
func Unpack(r io.Reader, want throng.PackageHash) (map[string][]byte, error) {
	sum := sha256.New()
	bounded := &io.LimitedReader{R: r, N: MaxPackage + 1}
	content := io.TeeReader(bounded, sum)
	files, bad := readTar(content)
	if _, err := io.Copy(io.Discard, content); err != nil {
		return nil, fmt.Errorf("read package %s: %w", want, err)
	}
	if bounded.N == 0 {
		return nil, throng.Errorf(throng.Internal, "package %s is longer than %d bytes", want, MaxPackage)
	}
	if got := throng.PackageHash(hex.EncodeToString(sum.Sum(nil))); got != want {
		return nil, throng.Errorf(throng.Internal, "package %s is damaged: its content has hash %s", want, got)
	}
	if bad != nil {
		return nil, fmt.Errorf("unpack %s: %w", want, bad)
	}
	return files, nil
}

// maxEntries bounds a tar's folders and comments together with its files.
const maxEntries = 2*MaxFiles + 1000

// readTar reads the regular files of a tar, skips folders and the comment that
// git writes, and refuses the rest. The whole is bounded by the Max constants.
func readTar(r io.Reader) (map[string][]byte, error) {
	files := make(map[string][]byte)
	total, last := 0, "the first file"
	tr := tar.NewReader(r)
	for range maxEntries {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			if p, bad := clash(files); bad {
				return nil, throng.AtField(throng.Invalid, p, "is a file and the folder of another file")
			}
			return files, nil
		}
		if err != nil {
			return nil, asInvalid(err, "after "+last)
		}
		name := entryName(h)
		last = name
		content, err := readEntry(tr, h, total)
		if err != nil {
			return nil, err
		}
		if content == nil {
			continue
		}
		if _, twice := files[name]; twice {
			return nil, throng.AtField(throng.Invalid, name, "is there twice")
		}
		if len(files) == MaxFiles {
			return nil, throng.AtField(throng.Invalid, name, "is one file too many, at most %d are allowed", MaxFiles)
		}
		files[name] = content
		total += len(content)
	}
	return nil, throng.AtField(throng.Invalid, last, "is one of more than %d entries", maxEntries)
}

// entryName is the path that an entry has among a place's files: `tar -C DIR .`
// writes ./ before each.
func entryName(h *tar.Header) string {
	return strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
}

// readEntry returns a regular file's content, never nil, or nil for an entry
// that is skipped.
func readEntry(tr *tar.Reader, h *tar.Header, total int) ([]byte, error) {
	name := entryName(h)
	if h.Typeflag == tar.TypeXGlobalHeader || h.Typeflag == tar.TypeDir && (name == "" || name == ".") {
		return nil, nil
	}
	if err := checkPath(name); err != nil {
		return nil, throng.AtField(throng.Invalid, clip(name), "%w", err)
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return nil, nil
	case tar.TypeReg, tar.TypeGNUSparse:
	case tar.TypeSymlink, tar.TypeLink:
		return nil, throng.AtField(throng.Invalid, name, "is a link to %q; only files are allowed", clip(h.Linkname))
	default:
		return nil, throng.AtField(throng.Invalid, name, "is neither a file nor a folder (tar type %q)", h.Typeflag)
	}
	if err := checkSize(name, h.Size, total); err != nil {
		return nil, err
	}
	content := make([]byte, h.Size)
	if _, err := io.ReadFull(tr, content); err != nil {
		return nil, asInvalid(err, name)
	}
	return content, nil
}

func checkSize(name string, size int64, total int) error {
	if size > MaxFile {
		return throng.AtField(throng.Invalid, name, "has %d bytes, at most %d are allowed", size, MaxFile)
	}
	if int64(total)+size > MaxTotal {
		return throng.AtField(throng.Invalid, name, "brings the files to more than %d bytes together", MaxTotal)
	}
	return nil
}

// asInvalid gives a reading error the file where it happened, and keeps its
// kind if it has one.
func asInvalid(err error, name string) error {
	if known, ok := errors.AsType[*throng.Error](err); ok {
		return throng.AtField(known.Kind, name, "%w", err)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return throng.AtField(throng.Invalid, name, "the upload is cut off here")
	}
	return throng.AtField(throng.Invalid, name, "%w", err)
}
