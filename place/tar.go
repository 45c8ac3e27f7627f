package place

import (
	"fmt"
	"strings"
)

// The canonical tar's layout, POSIX.1-1988 (ustar). It is written here and not
// by archive/tar because its bytes are a package's name: they must never change
// with a library, and paths are UTF-8, which archive/tar would put into pax
// records.
const (
	tarBlock  = 512
	tarName   = 100
	tarPrefix = 155
)

// appendTarFile appends one file: header, content, padding.
func appendTarFile(dst []byte, path string, content []byte) []byte {
	prefix, name, _ := splitPath(path)
	var h [tarBlock]byte
	copy(h[0:], name)
	copy(h[100:], "0000644\x00")                          // mode
	copy(h[108:], "0000000\x00")                          // user
	copy(h[116:], "0000000\x00")                          // group
	copy(h[124:], fmt.Sprintf("%011o\x00", len(content))) // size
	copy(h[136:], "00000000000\x00")                      // time
	copy(h[148:], "        ")                             // checksum, while it is summed
	h[156] = '0'                                          // regular file
	copy(h[257:], "ustar\x0000")
	copy(h[329:], "0000000\x00") // device
	copy(h[337:], "0000000\x00")
	copy(h[345:], prefix)
	sum := 0
	for _, b := range h {
		sum += int(b)
	}
	copy(h[148:], fmt.Sprintf("%06o\x00 ", sum))
	dst = append(dst, h[:]...)
	dst = append(dst, content...)
	if rest := len(content) % tarBlock; rest > 0 {
		dst = append(dst, make([]byte, tarBlock-rest)...)
	}
	return dst
}

// tarLength is how many bytes appendTarFile appends.
func tarLength(size int) int { return tarBlock + (size+tarBlock-1)/tarBlock*tarBlock }

// splitPath cuts a path for the two fields of a header: whole into name if it
// fits, else at the last slash that leaves a prefix which fits.
func splitPath(p string) (prefix, name string, ok bool) {
	if len(p) <= tarName {
		return "", p, true
	}
	cut := strings.LastIndexByte(p[:min(len(p), tarPrefix+1)], '/')
	if cut <= 0 || len(p)-cut-1 > tarName {
		return "", "", false
	}
	return p[:cut], p[cut+1:], true
}
