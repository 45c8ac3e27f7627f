package netcode

import (
	"bytes"
	"encoding/binary"
	"time"

	"golang.org/x/crypto/chacha20poly1305"

	"github.com/throng-gg/throng"
)

// OpenedToken is what a server reads of a connect token that it holds for good.
type OpenedToken struct {
	// UserData is what the token's maker put in.
	UserData [UserDataSize]byte
	// MAC names the token: no two have the same.
	MAC [16]byte
	// Expire is its end in Unix seconds.
	Expire uint64
}

// OpenToken checks a connect token that came another way than by a request
// packet: over a connection that is encrypted already and proves the address.
// protocol zero means Throng's; now is the clock that tokens expire by. Whether
// the token was used before is for the caller to know, by its MAC. Invalid: it
// is no connect token of this protocol. Denied: it expired, or is sealed with
// another key.
func OpenToken(token []byte, key [KeySize]byte, protocol uint64, now time.Time) (OpenedToken, error) {
	if len(token) != TokenSize {
		return OpenedToken{}, throng.Errorf(throng.Invalid, "a connect token has %d bytes, this one %d", TokenSize, len(token))
	}
	want := protocol
	if want == 0 {
		want = ProtocolID
	}
	if !bytes.HasPrefix(token, []byte(version)) || binary.LittleEndian.Uint64(token[versionSize:]) != want {
		return OpenedToken{}, throng.Errorf(throng.Invalid, "the connect token is of another protocol")
	}
	out := OpenedToken{Expire: binary.LittleEndian.Uint64(token[29:])}
	if out.Expire <= uint64(max(now.Unix(), 0)) {
		return OpenedToken{}, throng.Errorf(throng.Denied, "the connect token expired")
	}
	aead, err := chacha20poly1305.NewX(key[:])
	if err != nil {
		return OpenedToken{}, throng.Errorf(throng.Internal, "use token key: %w", err)
	}
	sealed := token[publicHeadSize : publicHeadSize+privateSize]
	plain, err := aead.Open(make([]byte, 0, privateSize), token[37:publicHeadSize], sealed, tokenData(want, out.Expire))
	if err != nil {
		return OpenedToken{}, throng.Errorf(throng.Denied, "the connect token is sealed with another key")
	}
	var private privateToken
	if err := private.parse(plain); err != nil {
		return OpenedToken{}, throng.Errorf(throng.Invalid, "read connect token: %w", err)
	}
	out.UserData = private.userData
	out.MAC = [16]byte(sealed[privateSize-tagSize:])
	return out, nil
}
