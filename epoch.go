package throng

import "time"

// Epoch fences older claims of the same player. It is 256 times the
// milliseconds since 2020-01-01 UTC plus the number of the region that made it,
// so it never goes back, not after a loss and not between regions, and stays
// below 2^53.
type Epoch uint64

// EpochStart is the zero of epochs, in milliseconds since 1970.
const EpochStart = 1577836800000

// NextEpoch is the later of now and 1 ms past the highest known epoch.
func NextEpoch(now time.Time, known Epoch, region uint8) Epoch {
	ms := max(now.UnixMilli()-EpochStart, 0)
	ms = max(ms, int64(known>>8)+1)
	return Epoch(ms)<<8 | Epoch(region)
}

// Time is when it was made at the latest, or a little later if it had to be past
// another one.
func (e Epoch) Time() time.Time { return time.UnixMilli(int64(e>>8) + EpochStart) }

// Revision numbers the changes of one session's roster, from 1.
type Revision uint64

// Tick counts simulation steps of one session, from 1.
type Tick uint32
