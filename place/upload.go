package place

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"

	"github.com/throng-gg/throng"
)

// What an upload may unpack to, so that a small one costs little: maxRatio times
// its own length, and freeBytes in any case. Text packs to a tenth, and a blank
// picture to a hundredth.
const (
	maxRatio  = 200
	freeBytes = 1 << 20
)

// ReadUpload reads a gzipped tar and returns its files by path, within the Max
// constants. Folders are skipped; links, devices, strange paths and repeated
// ones are refused. Invalid: the error's Field is the file at fault.
func ReadUpload(r io.Reader) (map[string][]byte, error) {
	packed := &counter{r: r}
	unzip, err := gzip.NewReader(packed)
	if err != nil {
		return nil, asInvalid(fmt.Errorf("is not a gzipped tar: %w", whole(err)), "upload")
	}
	plain := &unpacked{packed: packed, r: unzip}
	files, err := readTar(plain, func(string) bool { return true })
	if err != nil {
		return nil, err
	}
	if _, err := io.Copy(io.Discard, plain); err != nil { // up to gzip's checksum
		return nil, asInvalid(err, "upload")
	}
	return files, nil
}

// whole turns an end of input, which says nothing to people, into words.
func whole(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is empty or cut off")
	}
	return err
}

type counter struct {
	r io.Reader
	n int64
}

func (c *counter) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += int64(n)
	return n, err
}

// unpacked bounds what comes out of an upload, all headers and padding included.
type unpacked struct {
	packed *counter
	r      io.Reader
	n      int64
}

func (u *unpacked) Read(p []byte) (int, error) {
	n, err := u.r.Read(p)
	u.n += int64(n)
	switch {
	case u.n > MaxPackage+maxEntries*2*tarBlock:
		return 0, throng.Errorf(throng.Invalid, "the upload unpacks to more than %d bytes", MaxTotal)
	case u.n > freeBytes+maxRatio*u.packed.n:
		return 0, throng.Errorf(throng.Invalid, "the upload unpacks to more than %d times its length", maxRatio)
	}
	return n, err
}

// WriteUpload writes files as ReadUpload reads them.
func WriteUpload(w io.Writer, files map[string][]byte) error {
	content, _, err := Pack(files)
	if err != nil {
		return err
	}
	zip := gzip.NewWriter(w)
	if _, err := zip.Write(content); err != nil {
		return fmt.Errorf("write upload: %w", err)
	}
	if err := zip.Close(); err != nil {
		return fmt.Errorf("write upload: %w", err)
	}
	return nil
}

// ReadDir returns the files of a creator's folder by path, within the Max
// constants. Names that start with a dot are skipped. Invalid: links and the
// like, or a path or size that is not allowed; Field is the file.
func ReadDir(folder fs.FS) (map[string][]byte, error) {
	files := make(map[string][]byte)
	total := 0
	err := fs.WalkDir(folder, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case strings.HasPrefix(d.Name(), "."):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		}
		if len(files) == MaxFiles {
			return throng.AtField(throng.Invalid, name, "is one file too many, at most %d are allowed", MaxFiles)
		}
		content, err := readFile(folder, name, d, total)
		if err != nil {
			return err
		}
		files[name] = content
		total += len(content)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("read folder: %w", err)
	}
	return files, nil
}

func readFile(folder fs.FS, name string, d fs.DirEntry, total int) ([]byte, error) {
	if err := checkPath(name); err != nil {
		return nil, throng.AtField(throng.Invalid, clip(name), "%w", err)
	}
	if !d.Type().IsRegular() {
		return nil, throng.AtField(throng.Invalid, name, "is not a regular file (%s)", d.Type())
	}
	f, err := folder.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	content, err := io.ReadAll(io.LimitReader(f, MaxFile+1))
	if err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return content, checkSize(name, int64(len(content)), total)
}
