package place

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"unicode"
	"unicode/utf8"
)

// Limits of a place's files.
const (
	MaxTotal = 64 << 20 // bytes of all files together
	MaxFile  = 16 << 20 // bytes of one file
	MaxFiles = 2000
	MaxPath  = 200 // bytes
)

// checkPath says why a file may not have this path, or nil. The text names the
// path. A tar header has room for a path of 100 bytes, or for one that can be
// cut at a slash into 155 and 100.
func checkPath(p string) error {
	switch {
	case p == "":
		return errors.New("a path is empty")
	case len(p) > MaxPath:
		return fmt.Errorf("%q has %d bytes, at most %d are allowed", clip(p), len(p), MaxPath)
	case !utf8.ValidString(p):
		return fmt.Errorf("%q is not UTF-8", p)
	case strings.ContainsFunc(p, func(c rune) bool { return !unicode.IsPrint(c) }):
		return fmt.Errorf("%q has a character that can't be printed", p)
	case strings.Contains(p, `\`):
		return fmt.Errorf("%q has a backslash; folders are parted by /", p)
	case p[0] == '/':
		return fmt.Errorf("%q must be relative to the place's folder", p)
	case p == ".." || strings.HasPrefix(p, "../") || strings.Contains(p, "/../") || strings.HasSuffix(p, "/.."):
		return fmt.Errorf("%q leads out of the place's folder", p)
	case path.Clean(p) != p || p == ".":
		return fmt.Errorf("%q is not in its shortest form, %q", p, path.Clean(p))
	}
	if _, _, ok := splitPath(p); !ok {
		return fmt.Errorf("%q has a file name of more than %d bytes", p, tarName)
	}
	return nil
}

// clash finds a file whose path is another file's folder.
func clash(files map[string][]byte) (file string, ok bool) {
	for p := range files {
		for i := range len(p) {
			if _, isFile := files[p[:i]]; isFile && p[i] == '/' {
				return p[:i], true
			}
		}
	}
	return "", false
}
