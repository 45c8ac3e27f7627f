package throng

// Home says which region the profiles and the ledger of all games are written in.
// The others reach it through its door, and keep a copy. The higher term counts: an
// operator who makes another region the home counts it up.
type Home struct {
	Region RegionID
	Term   uint64 // from 1; 0: nobody has said yet
}

// Over says whether h counts rather than o: its term is higher.
func (h Home) Over(o Home) bool { return h.Term > o.Term }
