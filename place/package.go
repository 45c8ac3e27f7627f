package place

import (
	"archive/tar"
	"bufio"
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

// Scripts is what of a place's files game servers run: the manifest and scripts.
func Scripts(files map[string][]byte) map[string][]byte {
	scripts := make(map[string][]byte, len(files))
	for p, content := range files {
		if isScript(p) {
			scripts[p] = content
		}
	}
	return scripts
}

func isScript(path string) bool { return path == ManifestFile || strings.HasSuffix(path, ".lua") }

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
	return unpack(r, want, func(string) bool { return true })
}

// UnpackScripts is Unpack for who runs a place: it reads and verifies the whole, and
// returns the manifest and the scripts alone.
func UnpackScripts(r io.Reader, want throng.PackageHash) (map[string][]byte, error) {
	return unpack(r, want, isScript)
}

func unpack(r io.Reader, want throng.PackageHash, keep func(path string) bool) (map[string][]byte, error) {
	sum := sha256.New()
	bounded := &io.LimitedReader{R: bufio.NewReaderSize(r, readAhead), N: MaxPackage + 1}
	content := io.TeeReader(bounded, sum)
	files, bad := readTar(content, keep)
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

// readAhead is how much of a package is read at once.
const readAhead = 128 << 10

// maxEntries bounds a tar's folders and comments together with its files.
const maxEntries = 2*MaxFiles + 1000

// readTar reads the regular files of a tar, skips folders and the comment that
// git writes, and refuses the rest. The whole is bounded by the Max constants, with
// the files that are not kept.
func readTar(r io.Reader, keep func(path string) bool) (map[string][]byte, error) {
	files := make(map[string][]byte)
	total, last := 0, "the first file"
	tr := tar.NewReader(r)
	for range maxEntries {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			if p, bad := clash(files); bad {
				return nil, throng.AtField(throng.Invalid, p, "is a file and the folder of another file")
			}
			maps.DeleteFunc(files, func(_ string, content []byte) bool { return content == nil })
			return files, nil
		}
		if err != nil {
			return nil, asInvalid(err, "after "+last)
		}
		name := entryName(h)
		last = name
		if file, err := checkEntry(h, total); err != nil {
			return nil, err
		} else if !file {
			continue
		}
		if _, twice := files[name]; twice {
			return nil, throng.AtField(throng.Invalid, name, "is there twice")
		}
		if len(files) == MaxFiles {
			return nil, throng.AtField(throng.Invalid, name, "is one file too many, at most %d are allowed", MaxFiles)
		}
		files[name] = nil
		if keep(name) {
			files[name] = make([]byte, h.Size)
			if _, err := io.ReadFull(tr, files[name]); err != nil {
				return nil, asInvalid(err, name)
			}
		}
		total += int(h.Size)
	}
	return nil, throng.AtField(throng.Invalid, last, "is one of more than %d entries", maxEntries)
}

// entryName is the path that an entry has among a place's files: `tar -C DIR .`
// writes ./ before each.
func entryName(h *tar.Header) string {
	return strings.TrimSuffix(strings.TrimPrefix(h.Name, "./"), "/")
}

// checkEntry says whether an entry is a file, and not one that is skipped.
func checkEntry(h *tar.Header, total int) (file bool, err error) {
	name := entryName(h)
	if h.Typeflag == tar.TypeXGlobalHeader || h.Typeflag == tar.TypeDir && (name == "" || name == ".") {
		return false, nil
	}
	if err := checkPath(name); err != nil {
		return false, throng.AtField(throng.Invalid, clip(name), "%w", err)
	}
	switch h.Typeflag {
	case tar.TypeDir:
		return false, nil
	case tar.TypeReg, tar.TypeGNUSparse:
		return true, checkSize(name, h.Size, total)
	case tar.TypeSymlink, tar.TypeLink:
		return false, throng.AtField(throng.Invalid, name, "is a link to %q; only files are allowed", clip(h.Linkname))
	}
	return false, throng.AtField(throng.Invalid, name, "is neither a file nor a folder (tar type %q)", h.Typeflag)
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
