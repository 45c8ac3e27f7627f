package gen

import (
	"time"

	"github.com/throng-gg/throng"
)

// HomeOf turns who is home.
func HomeOf(h throng.Home) Home { return Home{Region: string(h.Region), Term: h.Term} }

// Root returns who is home.
func (h Home) Root() (throng.Home, error) { return h.root("") }

func (h Home) root(prefix string) (throng.Home, error) {
	f := fields{prefix: prefix}
	out := throng.Home{Region: check(&f, "region", h.Region, throng.ParseRegionID), Term: h.Term}
	if h.Term < throng.FirstTerm || h.Term > 1<<63 {
		f.fail(throng.AtField(throng.Invalid, prefix+"term", "%d is none", h.Term))
	}
	return out, f.err
}

// HomeStateOf turns what a region knows of the home.
func HomeStateOf(s throng.HomeState) HomeState {
	out := HomeState{Region: string(s.Region), Term: s.Term, Own: string(s.Own), Writes: s.Writes, Losses: s.Losses, Regions: []HomePeer{}}
	for _, p := range s.Regions {
		peer := HomePeer{Region: string(p.Region), Heard: p.Heard}
		if p.Home.Term > 0 {
			peer.Home = HomeOf(p.Home)
		}
		if p.Behind >= 0 {
			ms := int64(p.Behind / time.Millisecond)
			peer.BehindMs = &ms
		}
		out.Regions = append(out.Regions, peer)
	}
	return out
}

// HomeLossOf turns a transfer that was lost.
func HomeLossOf(l throng.HomeLoss) HomeLoss {
	return HomeLoss{Game: string(l.Game), Session: string(l.Session), Transfer: TransferInfoOf(l.Entry)}
}

// The calls of what players own that one region's door makes at another's.
const (
	OwnedCheckout  = "checkout"
	OwnedSave      = "save"
	OwnedReturn    = "return"
	OwnedGet       = "get"
	OwnedSaves     = "saves"
	OwnedRestore   = "restore"
	OwnedPost      = "post"
	OwnedInventory = "inventory"
	OwnedEntries   = "entries"
)

// Key returns whom the call is about.
func (c OwnedCall) Key() (throng.ProfileKey, error) {
	f := fields{}
	k := throng.ProfileKey{Game: check(&f, "game", c.Game, throng.ParseGameID), Player: f.player("player", c.Player)}
	return k, f.err
}

// Claim returns the session's right to a profile that the call brings.
func (c OwnedCall) Claim() (throng.ProfileClaim, error) {
	k, err := c.Key()
	f := fields{err: err}
	out := throng.ProfileClaim{Key: k, Fence: throng.Epoch(f.number("epoch", c.Epoch)), Session: f.session(c.Session)}
	return out, f.err
}

// Order returns the transfer that the call posts.
func (c OwnedCall) Order() (throng.TransferOrder, error) {
	f := fields{}
	out := throng.TransferOrder{Game: check(&f, "game", c.Game, throng.ParseGameID)}
	if c.Session != "" {
		out.Session = f.session(c.Session)
	}
	if f.err != nil {
		return out, f.err
	}
	var err error
	out.Transfer, err = c.Transfer.Root()
	return out, err
}
