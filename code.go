package throng

import (
	"crypto/sha256"
	"strings"
)

// CodeHash is the SHA-256 of a code that lets players into a private session.
// The zero value stands for no code.
type CodeHash [32]byte

// MakeCode makes what people pass on by word or link: 16 characters, 80 bits.
func MakeCode(e Entropy) string { return idText.EncodeToString(e[:]) }

// CleanCode puts a code that somebody typed into the form that MakeCode gives:
// in lower case, without spaces around it.
func CleanCode(s string) string { return strings.ToLower(strings.TrimSpace(s)) }

// ParseCode checks the shape of a code that somebody typed: 1 to 64 characters
// once it is clean.
func ParseCode(field, s string) (string, error) {
	s = CleanCode(s)
	return s, checkName(field, s, 64, isSlugByte)
}

// HashCode is what a session keeps of its code.
func HashCode(code string) CodeHash { return sha256.Sum256([]byte(CleanCode(code))) }
