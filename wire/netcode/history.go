package netcode

import "slices"

// tokenMAC is the last 16 bytes of a token's sealed part.
type tokenMAC [tagSize]byte

type tokenUse struct {
	from   []path // 1 to tokenAddresses
	expire uint64 // Unix seconds
	spent  bool   // a connection was made with it
}

// tokenAddresses is from how many addresses a token can be shown before it is
// spent: a client that loses its network in the middle of the handshake comes
// again from another one.
const tokenAddresses = 8

// history remembers which addresses showed a token, for as long as the token
// can be shown. Full: tokens that are new to it are refused, because
// forgetting one would let it be used twice.
type history struct {
	uses map[tokenMAC]tokenUse
	size int
}

// historyGrace is how many seconds a use is kept past its token's end, so that a
// clock that is put back does not bring the token to life again.
const historyGrace = 60

func makeHistory(size int) history {
	return history{uses: make(map[tokenMAC]tokenUse), size: size}
}

// show notes that a token was shown by an address.
func (h *history) show(mac tokenMAC, from path, expire uint64) Drop {
	use, known := h.uses[mac]
	switch {
	case known && use.spent:
		return DropUsed
	case known && slices.Contains(use.from, from):
		return DropNone
	case known && len(use.from) == tokenAddresses:
		return DropUsed
	case !known && len(h.uses) >= h.size:
		return DropBusy
	}
	h.uses[mac] = tokenUse{from: append(use.from, from), expire: expire}
	return DropNone
}

// isSpent says whether a connection was made with the token.
func (h *history) isSpent(mac tokenMAC) bool { return h.uses[mac].spent }

// spend closes a token for good.
func (h *history) spend(mac tokenMAC) {
	use := h.uses[mac]
	use.spent = true
	h.uses[mac] = use
}

// sweep forgets tokens that are over at unix.
func (h *history) sweep(unix uint64) {
	for mac, use := range h.uses {
		if use.expire < unix && unix-use.expire > historyGrace {
			delete(h.uses, mac)
		}
	}
}
