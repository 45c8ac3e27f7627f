package throng

import "time"

// Home says which region the profiles and the ledger of all games are written in.
// The others reach it through its door, and keep a copy. The higher term counts.
type Home struct {
	Region RegionID
	// Term grows with each promotion; see NextTerm. 0: nobody has said yet.
	Term uint64
}

// FirstTerm is that of the home that a deployment begins with.
const FirstTerm = 1 << 8

// NextTerm is the term in which the region of a number is made the home after one.
// No two regions make the same: the last byte is the number.
func NextTerm(before uint64, number uint8) uint64 { return (before>>8+1)<<8 | uint64(number) }

// Over says whether h counts rather than o: its term is higher.
func (h Home) Over(o Home) bool { return h.Term > o.Term }

// HomeState is what a region knows of the home.
type HomeState struct {
	Home
	Own     RegionID // who says so
	Writes  bool     // it is the home, and takes writes
	Regions []HomePeer
	Losses  int // transfers that an earlier home wrote and this one never got
}

// HomePeer is what a region knows of another, as far as the home is concerned.
type HomePeer struct {
	Region RegionID
	Heard  bool // within the last seconds
	Home   Home // as it said last; zero: it did not say
	// Behind is how old the copy of what it wrote is; below 0: not known.
	Behind time.Duration
}

// HomeLoss is a transfer that an earlier home wrote and the one after it never got.
type HomeLoss struct {
	Game    GameID
	Entry   LedgerEntry // Changes are of First
	Session SessionID
}
