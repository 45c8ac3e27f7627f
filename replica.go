package throng

// ReplicaID names one life of a control-plane process, like "rep_local_k2m...".
type ReplicaID string

// MakeReplicaID names a control-plane process.
func MakeReplicaID(r RegionID, e Entropy) ReplicaID { return ReplicaID(makeID("rep", r, e)) }

// ParseReplicaID checks the shape of a replica's ID.
func ParseReplicaID(field, s string) (ReplicaID, error) {
	return ReplicaID(s), checkMade(field, s, "rep_", 16)
}

// Replica is one of a region's control-plane processes, all of which work on
// the same registry.
type Replica struct {
	ID  ReplicaID
	URL string // of its door, as the others and game servers reach it
}

// ReplicaNews is what one replica tells the others. Nothing depends on it: what
// is lost costs time, or lines of a log.
type ReplicaNews struct {
	Orders []ServerOrder
	Took   []ServerID  // whose control connections the sender has
	Logs   []PlaceLogs // what game servers sent
	Lines  []PlaceLine // what the sender itself wrote
}

// ServerOrder is an order on its way to the replica that the server is connected
// to.
type ServerOrder struct {
	Server  ServerID
	Session SessionID
	Order   Order
}

// PlaceLogs is a piece of a session's log, with the place that it belongs to.
type PlaceLogs struct {
	Place   PlaceID
	Version Version
	LogBatch
}

// PlaceLine is a line of a place's log.
type PlaceLine struct {
	Place PlaceID
	LogLine
}

// ReplicaQuestion is what one replica asks another.
type ReplicaQuestion struct {
	Servers []ServerID // which of these do you have?
	Session SessionID  // are you finding a server for it? Empty: not asked
	// Ticket asks what is remembered of it; Caller empty: of anybody's of that
	// name. Empty: not asked.
	Ticket TicketID
	Caller PlayerID
	Fleet  bool // what game servers do you know?
}

// ReplicaAnswer is the answer to a ReplicaQuestion.
type ReplicaAnswer struct {
	Held    []ServerID
	Opening bool
	Joins   []JoinRecord // the oldest first
	Fleet   []ServerInfo // by ID
}

// MaxReplicaServers is how many servers one question or piece of news names.
const MaxReplicaServers = 256
