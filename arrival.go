package throng

import "time"

// Arrival is how a player came into a session, as its game server saw it.
type Arrival struct {
	Key     TicketKey
	Player  PlayerID
	Epoch   Epoch
	Session SessionID
	Place   PlaceID
	Version Version

	Connected time.Time // with a good join token and a proven address
	Confirmed time.Time // the registry said yes; zero: not yet, he plays all the same
	Entered   time.Time // the script was told
	Snapshot  time.Time // the first one was sent
}
