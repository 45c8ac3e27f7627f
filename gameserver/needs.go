package gameserver

import (
	"context"
	"net/netip"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

// Registry is what a game server needs of the session registry. Every call can
// be repeated.
type Registry interface {
	// Heartbeat extends the session's lease and brings orders back.
	Heartbeat(ctx context.Context, h throng.Heartbeat) (throng.HeartbeatAnswer, error)
	// Report replaces all that the registry knows of the session's seats.
	Report(ctx context.Context, r throng.Report) (throng.HeartbeatAnswer, error)
	// Confirm makes a held seat an occupied one and fences the player's older
	// one. Denied: a later epoch of the player is settled or confirmed, or
	// there is no such hold any more and no room.
	Confirm(ctx context.Context, h throng.Heartbeat, c throng.RosterChange) error
	// End says that the session is over.
	End(ctx context.Context, h throng.Heartbeat, e throng.Ending) error
	// Retire ends the session if nobody is in it or on the way to it. Conflict:
	// somebody is, and the session goes on.
	Retire(ctx context.Context, h throng.Heartbeat, reason string) error
}

// Drains is how a server whose process has to end tells so.
type Drains interface {
	// Drain says that the server's own session takes no more players, and that it
	// ends within so long. It can be repeated. Unavailable: nobody heard it; other
	// errors: whoever heard it does not know the call.
	Drain(ctx context.Context, s throng.SessionID, reason string, within time.Duration) error
}

// Display shows people what the server does, outside of Throng. Its methods do
// not wait.
type Display interface {
	// Hosts is told of the session, once.
	Hosts(h throng.Handover)
	// Players is told who is in it, of how many seats, whenever that changed.
	Players(list []throng.PlayerID, seats int)
}

// Handoffs finds seats in other sessions, and knows who comes from there.
type Handoffs interface {
	// Handoff finds them for players of this server's session, all or none.
	// Repeated with the same ID it gives the same answer. Unavailable: not yet.
	// Denied: one of them does not sit here. Full, NoCapacity: there are none.
	Handoff(ctx context.Context, h throng.Heartbeat, ask throng.Handoff) (throng.Handed, error)
	// Origin returns where a party comes from that was handed off to the
	// session, and what its place sent along. NotFound: it is not known (any
	// more).
	Origin(ctx context.Context, s throng.SessionID, k throng.TicketKey) (throng.Origin, error)
}

// Profiles keeps what players own between sessions: a document each and game.
// Calls can be repeated.
type Profiles interface {
	// Checkout makes the member's epoch the fence of his profile, if that is
	// lower, and returns the profile. Denied: a later epoch has it. Unavailable:
	// not now.
	Checkout(ctx context.Context, h throng.Heartbeat, m throng.Member) (throng.Profile, error)
	// Save writes the document as that revision, if it is the next one and the
	// member's epoch is the fence. It is durable when this returns; the same again
	// is no error. Denied: a later epoch has it. Conflict: another document has
	// that revision. Invalid: see throng.CheckDocument.
	Save(ctx context.Context, h throng.Heartbeat, m throng.Member, p throng.Profile) error
	// Return saves likewise, a nil document nothing, and says that nothing more is
	// saved under the member's epoch.
	Return(ctx context.Context, h throng.Heartbeat, m throng.Member, p throng.Profile) error
}

// Ledger keeps what players own for good.
type Ledger interface {
	// Post posts a transfer. Repeated it gives the same receipt and moves
	// nothing; with other content it is a Conflict. Denied: the epoch of one of
	// its players is not his fence. Full: one has not enough.
	Post(ctx context.Context, h throng.Heartbeat, t throng.Transfer) (throng.Receipt, error)
	// Balance is all that a member of the session owns, as of now.
	Balance(ctx context.Context, h throng.Heartbeat, m throng.Member) (throng.Holding, error)
}

// Logs takes what a session writes to its place's log.
type Logs interface {
	// Log delivers lines, each of which is taken once although the call is
	// repeated. Invalid and Denied: it never will be.
	Log(ctx context.Context, b throng.LogBatch) error
}

// Publisher takes what happened, for those who are not there.
type Publisher interface {
	// Publish takes an event. It does not wait; what becomes of the event is the Publisher's
	// own to say.
	Publish(e throng.Event)
}

// Arrivals is told how players came in, for traces.
type Arrivals interface {
	// Arrived is told once a player was sent his first snapshot. It does not
	// wait.
	Arrived(a throng.Arrival)
}

// Control is the server's connection to the control plane.
type Control interface {
	// Serve connects, says hello and passes directives on until ctx ends or
	// the connection is lost, which is an error. handover's answer goes back
	// to the orchestrator. The token of an accepted handover is used from then
	// on, by Registry too.
	Serve(ctx context.Context, hello throng.Hello, d Directives) error
}

// Directives is what the control plane can tell a server. None of them blocks.
type Directives interface {
	// Connected tells that the control plane took the hello.
	Connected()
	// Handover gives the server its session. Conflict: it has another one, or
	// the handover is meant for another incarnation. Repeated: nil.
	Handover(h throng.Handover) error
	// Order is one order for the server's session.
	Order(s throng.SessionID, o throng.Order)
	// Stop ends an idle server.
	Stop(reason string)
}

// Packages fetches places.
type Packages interface {
	// Fetch returns a package's manifest and scripts by path; the whole package is
	// verified against its hash.
	Fetch(ctx context.Context, hash throng.PackageHash) (map[string][]byte, error)
}

// ConnID names one connected client of a Transport, never reused.
type ConnID uint64

// EventKind is what happened on a Transport.
type EventKind uint8

// The kinds of transport events.
const (
	EventConnected    EventKind = iota + 1 // proven address, valid token
	EventMessage                           // one payload
	EventDisconnected                      // exactly one for every Connected, whoever ended it
)

// Event is what happened on a Transport. Data belongs to the receiver, until
// it calls Done.
type Event struct {
	Kind EventKind
	Conn ConnID
	From netip.AddrPort
	At   time.Time // when it came from the network
	Data []byte    // Connected: the join token's 256 bytes of user data; Message: the payload
	// Lost is of Disconnected: the client fell silent, or its network broke. It
	// did not say goodbye and may come back.
	Lost bool

	lent   *[]byte // the buffer of Data, for Done; nil: none
	lender *sync.Pool
}

// Transport carries payloads of up to 1,200 bytes to and from clients that
// brought a valid join token.
type Transport interface {
	// Address is where clients connect.
	Address() netip.AddrPort
	// Listen begins to take clients whose tokens are sealed with key. now gives
	// the registry's time, against which tokens expire.
	Listen(key [32]byte, capacity int, now func() time.Time) error
	// Events is bounded. When it is full, datagrams are dropped and counted;
	// Connected and Disconnected never are.
	Events() <-chan Event
	// Send queues one unreliable payload. Unknown connections are no error.
	Send(c ConnID, payload []byte)
	// Disconnect ends a connection and tells the client.
	Disconnect(c ConnID)
}

// Batch is a Transport for which it is cheaper to send many payloads at once.
type Batch interface {
	// Hold lets payloads of Send wait for each other, until Release.
	Hold()
	// Release sends those that still wait.
	Release()
}

// Quiet is a Transport that does not wake its reader for messages; see
// Source.Gather.
type Quiet interface {
	Gather()
}

// Web is a Transport that browsers can connect to.
type Web interface {
	// WebAddress is where, now: certificates change.
	WebAddress() throng.WebAddress
}

// Script is a running place. Its methods are called by the loop only. An error
// means that the session is over: its text says why, file and line.
type Script interface {
	// Start runs the place's start callback.
	Start() error
	// Tick runs one simulation step of dt seconds.
	Tick(dt float64) error
	Guests
	Mover
	Owner
}

// Guests is what a script hears of its players.
type Guests interface {
	// Join and Leave tell the script of players, and what they brought to the
	// place's signals. from is not zero for those who were handed off by another
	// session.
	Join(p throng.PlayerID, from throng.Origin, brought ...throng.Attribute) error
	Leave(p throng.PlayerID) error
	// Input brings a player's newest input.
	Input(p throng.PlayerID, in Input) error
	// Message brings what a player's client sent: in order, each once.
	Message(p throng.PlayerID, m throng.Message) error
}

// Mover is what a script hears of players who move.
type Mover interface {
	// Handed tells what became of the handoff that the script called so: nil,
	// all have seats elsewhere.
	Handed(call uint64, err error) error
	// Drain tells that the session's players are to be moved, and when it ends in
	// any case; left 0: never. waits: the script says itself when the moment is
	// good.
	Drain(left time.Duration) (waits bool, err error)
}

// Owner is what a script hears of what its players own.
type Owner interface {
	// Loaded tells of a player's profile, or why there is none: Denied when a
	// newer session of his has it, also later.
	Loaded(p throng.PlayerID, profile throng.Profile, err error) error
	// Document is what is to be saved of a player who is in; nil: nothing. The
	// script itself saves whom it is told of leaving.
	Document(p throng.PlayerID) ([]byte, error)
	// Saved, Posted and Held tell what became of the save, transfer or balance
	// that the script called so.
	Saved(call uint64, err error) error
	Posted(call uint64, r throng.Receipt, err error) error
	Held(call uint64, h throng.Holding, err error) error
}

// Input is what a player wants, sanitized: MoveX and MoveY in [-1,1].
type Input struct {
	MoveX, MoveY float64
	Buttons      uint32
	// Lag is how many ticks ago the world was what the player saw as he made it,
	// as far as the session knows: at most wire.History-1.
	Lag int
}
