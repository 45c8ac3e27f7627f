package host

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"net/netip"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/wire"
	"github.com/throng-gg/throng/wire/netcode"
)

// reconnectTokens makes the tokens with which the players of the game server at
// an address come back to it. Unlike a join token, each is another one.
func reconnectTokens(server netip.AddrPort) func(throng.Handover, wire.Claims, time.Duration) ([]byte, error) {
	return func(h throng.Handover, c wire.Claims, life time.Duration) ([]byte, error) {
		claims, err := wire.AppendClaims(nil, c)
		if err != nil {
			return nil, fmt.Errorf("reconnect token: %w", err)
		}
		token := netcode.TokenConfig{
			Key:      h.Key,
			Servers:  []netip.AddrPort{server},
			UserData: [netcode.UserDataSize]byte(claims),
			Route:    []byte(h.Route),
			MarkKey:  wire.MarkKey(h.Key),
		}
		rand.Read(token.Nonce[:])
		rand.Read(token.ClientToServer[:])
		rand.Read(token.ServerToClient[:])
		token.ClientID = binary.LittleEndian.Uint64(token.Nonce[:])
		// The whole second after the exact end, as in JoinToken.
		token.Expire = uint64(time.UnixMilli(c.Expires).Add(time.Second - 1).Unix())
		token.Create = token.Expire - uint64(life/time.Second)
		return netcode.MakeToken(token)
	}
}
