package api

import (
	"context"
	"io"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// Authenticator says who brings a token.
type Authenticator interface {
	// Known returns who was found to bring this token before, at the cost of a
	// hash; ok is false for all others.
	Known(token string) (c throng.Caller, ok bool)
	// Authenticate verifies a token or an API key. Denied: nobody's; the words
	// are for the caller. Unavailable: it cannot be said now.
	Authenticate(ctx context.Context, token string) (throng.Caller, error)
}

// Claims says who the game servers are that clusters run.
type Claims interface {
	// Known says whether the token was found good before, at the cost of a hash.
	Known(token string) bool
	// Claim returns which server the pod is that the cluster made the token for.
	// Repeated: the same. NotFound: it is not allocated, as far as is known.
	// Denied: the token is no good, or the server was released. Unavailable: it
	// cannot be said now.
	Claim(ctx context.Context, token string) (throng.ServerClaim, error)
}

// DevTokens makes access tokens for whoever asks.
type DevTokens interface {
	PlayerToken(p throng.PlayerID, role throng.Role, ttl time.Duration) (string, error)
}

// KeyBook keeps creators' API keys.
type KeyBook interface {
	// Create makes a key, with what want says of it, and returns its text, which
	// is kept nowhere. Full: the owner has too many.
	Create(ctx context.Context, want throng.APIKey) (string, throng.APIKey, error)
	// List returns an owner's keys, by ID; everybody's for an empty owner.
	List(ctx context.Context, owner throng.PlayerID) ([]throng.APIKey, error)
	// Revoke takes an owner's key away, for an empty owner whosever it is.
	// NotFound: there is none.
	Revoke(ctx context.Context, owner throng.PlayerID, id throng.KeyID) error
}

// Matchmaker places tickets.
type Matchmaker interface {
	// Place works on the ticket for up to wait, and on after that. Repeated: it
	// attaches to the same work and gets the same answer.
	Place(ctx context.Context, t throng.Ticket, wait time.Duration) (throng.Placement, error)
	// Lookup waits up to wait for a ticket that was placed before. line is what
	// its last placement had; empty: nothing.
	Lookup(ctx context.Context, k throng.TicketKey, line string, wait time.Duration) (throng.Placement, error)
	// Waiting returns whom a ticket seats that is not answered yet, the caller
	// first; nil: it is not known here.
	Waiting(k throng.TicketKey) []throng.PlayerID
	// Leave takes a ticket out of the line that nobody works on yet. False: it
	// is not there.
	Leave(k throng.TicketKey) bool
}

// Registry is what game servers and browsers need of the session registry.
type Registry interface {
	Heartbeat(ctx context.Context, h throng.Heartbeat) (throng.HeartbeatAnswer, error)
	Report(ctx context.Context, r throng.Report) (throng.HeartbeatAnswer, error)
	Confirm(ctx context.Context, h throng.Heartbeat, c throng.RosterChange) error
	// EndBy ends a session as its own server says.
	EndBy(ctx context.Context, h throng.Heartbeat, e throng.Ending) error
	// Retire ends a session as its own server asks, if nobody is in it or on the
	// way to it. Conflict: somebody is.
	Retire(ctx context.Context, h throng.Heartbeat, reason string) error
}

// Handoffs moves players of one session to another.
type Handoffs interface {
	// Handoff finds seats elsewhere for players of the session that beat's
	// server speaks for, all or none, for up to wait, and goes on after that.
	// Repeated: the same answer. Denied: one does not sit there.
	Handoff(ctx context.Context, beat throng.Heartbeat, h throng.Handoff, wait time.Duration) (throng.Placement, error)
}

// Origins knows where players come from who were handed off.
type Origins interface {
	// Origin returns it of a party in the session. NotFound: it came by itself.
	Origin(ctx context.Context, s throng.SessionID, k throng.TicketKey) (throng.Origin, error)
}

// Directory answers who and what is where.
type Directory interface {
	Session(ctx context.Context, s throng.SessionID) (throng.Session, error)
	// Sessions lists sessions that have not ended, by ID, after the given one.
	// Place empty: of all places.
	Sessions(ctx context.Context, place throng.PlaceID, after throng.SessionID, limit int) ([]throng.Session, error)
	Presence(ctx context.Context, p throng.PlayerID) (throng.Presence, error)
	// Drain takes no more players into a session and lets it end when empty, or
	// after within though it is not; zero: never.
	Drain(ctx context.Context, s throng.SessionID, reason string, within time.Duration) error
	End(ctx context.Context, s throng.SessionID, reason string) error
}

// Places is what creators publish.
type Places interface {
	// Publish checks an upload (a gzipped tar), stores it and makes it live, unless
	// how says otherwise. Invalid errors name the file and the line. id is the place
	// that the manifest must name. Denied: the place belongs to others.
	Publish(ctx context.Context, by throng.Editor, id throng.PlaceID, upload io.Reader, how throng.Publication) (throng.Published, error)
	// Release returns what is live of a place.
	Release(ctx context.Context, id throng.PlaceID) (throng.Release, error)
	// Version returns a release of a place, live or not.
	Version(ctx context.Context, id throng.PlaceID, v throng.Version) (throng.Release, error)
	// Releases lists what is live of all places, by ID, after the given one.
	Releases(ctx context.Context, after throng.PlaceID, limit int) ([]throng.Release, error)
	// Package opens a package's canonical bytes and tells their length.
	Package(ctx context.Context, hash throng.PackageHash) (io.ReadCloser, int64, error)
}

// Releases says which versions of a place new sessions run. NotFound: there is no
// such place, or it is not the editor's.
type Releases interface {
	Channels(ctx context.Context, by throng.Editor, id throng.PlaceID) (throng.Channels, error)
	// Change releases another version; when it returned, every new session runs it,
	// wherever it is opened. Conflict: the place is at another revision, or there is
	// nothing to roll back to.
	Change(ctx context.Context, by throng.Editor, id throng.PlaceID, want throng.ReleaseChange) (throng.Channels, error)
}

// Owners says whose a place is. NotFound: there is no such place, or it is not
// the editor's.
type Owners interface {
	Owners(ctx context.Context, by throng.Editor, id throng.PlaceID) ([]throng.PlayerID, error)
	// AddOwner lets another account own it as well. Full: it has as many as can be.
	AddOwner(ctx context.Context, by throng.Editor, id throng.PlaceID, p throng.PlayerID) ([]throng.PlayerID, error)
	// RemoveOwner takes one away. Conflict: it is the last one.
	RemoveOwner(ctx context.Context, by throng.Editor, id throng.PlaceID, p throng.PlayerID) ([]throng.PlayerID, error)
}

// Fleet takes the control connections of game servers and nodes.
type Fleet interface {
	// Attach registers a server's connection. detach is called when it is
	// lost, with whether the server left: closed it in order, as one does that ends.
	Attach(hello throng.Hello, link Link) (detach func(left bool), err error)
}

// Fleets is what operators see of game servers, and do with them.
type Fleets interface {
	// Servers lists those of the region, by ID. partial: a replica did not answer,
	// and what is connected to it is not known here.
	Servers(ctx context.Context) (list []throng.ServerInfo, partial bool, err error)
	// Fleets lists the clusters where they run, by name.
	Fleets(ctx context.Context) (list []throng.FleetInfo, partial bool, err error)
	// Drain takes a part of the fleet out of use, and says what is in it. Its
	// sessions end after within though players are in them; zero: never. Repeated,
	// it changes reason and end. NotFound: there is no such part.
	Drain(ctx context.Context, d throng.FleetDrain, within time.Duration) (throng.DrainSum, error)
	// Undrain takes it into use again; sessions that drain go on doing so. What is
	// in use is no error.
	Undrain(ctx context.Context, kind throng.DrainKind, name string) error
}

// Link is what a control connection can carry to a game server.
type Link interface {
	Handover(ctx context.Context, h throng.Handover) error
	Order(s throng.SessionID, o throng.Order) error
	Stop(reason string) error
}

// Parties keeps players who move together. NotFound: there is no such party, or
// the one who asks is not in it.
type Parties interface {
	// Make makes a party that the player leads, or returns the one he is alone in.
	Make(ctx context.Context, leader throng.PlayerID) (throng.Party, error)
	// Watch returns a party once its revision is not the given one any more, at
	// the latest when wait is over.
	Watch(ctx context.Context, id throng.PartyID, viewer throng.PlayerID, revision uint64, wait time.Duration) (throng.Party, error)
	// Join lets a player in. NotFound: no such party, or a wrong invite.
	Join(ctx context.Context, id throng.PartyID, player throng.PlayerID, invite string) (throng.Party, error)
	// Remove takes a player out. Denied: it is another one, and by does not lead.
	Remove(ctx context.Context, id throng.PartyID, by, player throng.PlayerID) error
	// Invite makes a new invite. Denied: the player does not lead.
	Invite(ctx context.Context, id throng.PartyID, leader throng.PlayerID) (throng.Party, error)
}

// Companions says who may be brought along.
type Companions interface {
	// Start makes a ticket the party's newest and returns whom it seats, the
	// leader first; the same ones when it is repeated. Denied: its caller does
	// not lead.
	Start(ctx context.Context, id throng.PartyID, k throng.TicketKey) ([]throng.PlayerID, error)
	// Together says whether all these players are in the caller's party.
	Together(ctx context.Context, caller throng.PlayerID, players []throng.PlayerID) (bool, error)
}

// Friends keeps players' lists of friends.
type Friends interface {
	// SetFriends replaces a player's list and returns it as it is kept. Invalid:
	// too long, or a bad name. Denied: access tokens bring it.
	SetFriends(ctx context.Context, p throng.PlayerID, names []string) ([]throng.PlayerID, error)
	Friends(ctx context.Context, p throng.PlayerID) ([]throng.PlayerID, error)
	// Claim takes in the list that an access token brought.
	Claim(ctx context.Context, p throng.PlayerID, friends []throng.PlayerID) error
	// Seen says that a player was here.
	Seen(ctx context.Context, p throng.PlayerID) error
}

// Privacy says who may see whom.
type Privacy interface {
	SetPrivacy(ctx context.Context, p throng.PlayerID, privacy throng.Privacy) error
	Privacy(ctx context.Context, p throng.PlayerID) (throng.Privacy, error)
	// Shows says whether the viewer may know where the player is.
	Shows(ctx context.Context, player, viewer throng.PlayerID) (bool, error)
}

// Codes makes what lets players into private sessions.
type Codes interface {
	// SessionCode returns a private session's code, the same each time.
	SessionCode(s throng.SessionID) string
}

// JoinTokens seals join tokens.
type JoinTokens interface {
	// JoinToken makes the token of one member of a grant, the same each time.
	JoinToken(a throng.Assignment, m throng.Member) ([]byte, error)
	// CheckJoinToken says whether a token is of a session and has not expired.
	// Invalid, Denied: it is not, or has.
	CheckJoinToken(s throng.SessionID, token []byte) error
}

// Logs is what places write.
type Logs interface {
	// Receive writes what a game server sent, each line once. It does not wait.
	Receive(place throng.PlaceID, v throng.Version, b throng.LogBatch)
	// Read returns a piece of a place's log, and waits up to q.Wait, or until
	// ctx ends, when there is none. A place that wrote nothing has an empty one.
	Read(ctx context.Context, place throng.PlaceID, q throng.LogQuery) throng.LogPage
}

// Joins is what is remembered of tickets.
type Joins interface {
	// Find returns the work on a ticket, the oldest first; caller empty: of any
	// caller. Nothing found is no error. Unavailable: others who may know it
	// could not be asked.
	Find(ctx context.Context, ticket throng.TicketID, caller throng.PlayerID) ([]throng.JoinRecord, error)
	// Record takes what this door knows of a ticket that it sent to other regions. It
	// does not wait.
	Record(r throng.JoinRecord)
}

// Replicas takes what the region's other control-plane processes say.
type Replicas interface {
	// Hear takes news. An error says that they may be lost.
	Hear(ctx context.Context, n throng.ReplicaNews) error
	// Answer answers a question.
	Answer(ctx context.Context, q throng.ReplicaQuestion) (throng.ReplicaAnswer, error)
}

// Summaries says what other regions are told of this one.
type Summaries interface {
	// Summary returns it; its places are not to be changed. Unavailable: it cannot
	// be said now.
	Summary(ctx context.Context) (throng.RegionSummary, error)
}

// Whereabouts is where players are, in all regions.
type Whereabouts interface {
	// Where returns the newest that is known of a player, as Directory's Presence does. Of
	// another region, age is how old that region's copy is here; of this one 0.
	Where(ctx context.Context, p throng.PlayerID) (at throng.Presence, age time.Duration, err error)
}

// Elsewhere is the other regions of the deployment.
type Elsewhere interface {
	RegionDoors
	// Rank puts all regions in the order in which they are tried for a ticket, the own
	// one among them; own nil: nothing good is known of it.
	Rank(w throng.RegionWish, own *throng.RegionSummary) []throng.RegionChoice
	// Sent says that a ticket of so many seats went to a region.
	Sent(r throng.RegionID, place throng.PlaceID, seats int)
	// Again says whether one more region may be asked after one that failed.
	Again() bool
	// Others are the regions that may have a ticket that is not known here.
	Others() []throng.RegionID
}

// RegionDoors calls other regions' doors on behalf of players. Unavailable is also
// what is said for a region that fails.
type RegionDoors interface {
	// Matchmake is the ticket's placement by another region's door, with the caller's
	// join token.
	Matchmake(ctx context.Context, r throng.RegionID, t throng.Ticket, wait time.Duration) (gen.Placed, error)
	// Lookup waits for a ticket that was placed before, with the join token of who asks.
	Lookup(ctx context.Context, r throng.RegionID, ask throng.TicketAsk, wait time.Duration) (gen.Placed, error)
	// Leave gives back a member's seat.
	Leave(ctx context.Context, r throng.RegionID, k throng.TicketKey, player throng.PlayerID) error
}

// Tickets is the registry's memory of joins.
type Tickets interface {
	// Lookup returns a ticket that was claimed before, with its members.
	// NotFound: never seen, or forgotten after throng.TicketTime.
	Lookup(ctx context.Context, k throng.TicketKey) (throng.Claim, error)
	// Leave gives back what the ticket holds: its hold, or by an order to the
	// server its members' seats. NotFound: no such ticket.
	Leave(ctx context.Context, k throng.TicketKey, p throng.PlayerID) error
}

// Profiles gives sessions players' profiles, one at a time. Calls can be repeated.
type Profiles interface {
	// Checkout gives the claim's session the profile and fences older ones. Denied:
	// a newer one has had it.
	Checkout(ctx context.Context, c throng.ProfileClaim) (throng.Profile, error)
	// Save makes the document the next revision. Denied: a newer session has the
	// profile. Conflict: it is not the next one.
	Save(ctx context.Context, c throng.ProfileClaim, revision throng.Revision, document []byte) error
	// Return lets go of the profile, and saves before unless document is nil.
	Return(ctx context.Context, c throng.ProfileClaim, revision throng.Revision, document []byte) error
}

// Saves is what is kept of profiles.
type Saves interface {
	// Get returns a profile as it was saved in a revision; 0: last.
	Get(ctx context.Context, k throng.ProfileKey, revision throng.Revision) (throng.Profile, error)
	// Saves lists what is kept, the newest first.
	Saves(ctx context.Context, k throng.ProfileKey) ([]throng.ProfileSave, error)
	// Restore makes an older save the newest, and returns its revision. NotFound:
	// it is not kept any more.
	Restore(ctx context.Context, k throng.ProfileKey, revision throng.Revision) (throng.Revision, error)
}

// Ledger keeps what players own.
type Ledger interface {
	// Post posts a transfer, once however often it is called.
	Post(ctx context.Context, o throng.TransferOrder) (throng.Receipt, error)
	// Inventory is what a player owns, now.
	Inventory(ctx context.Context, g throng.GameID, p throng.PlayerID) (throng.Holding, error)
	// Entries lists a player's newest transfers at or before a moment; zero: now.
	Entries(ctx context.Context, g throng.GameID, p throng.PlayerID, before time.Time, limit int) ([]throng.LedgerEntry, error)
}

// Owned is all that can be done with what players own.
type Owned interface {
	Profiles
	Saves
	Ledger
}

// Home knows which region profiles and ledger are written in.
type Home interface {
	// Here is what other regions' doors may call. Unavailable: this is not the home.
	Here() Owned
	// State is what is known of the home.
	State(ctx context.Context) (throng.HomeState, error)
	// Promote makes this region the home; force: also without the last writes of the
	// one before.
	Promote(ctx context.Context, force bool) error
	// Yield takes in that another region is the home. When it returned nil nothing is
	// written here under an older term.
	Yield(ctx context.Context, h throng.Home) error
	// Losses are transfers that were lost with an earlier home.
	Losses(ctx context.Context) ([]throng.HomeLoss, error)
}

// Numbers says how places do.
type Numbers interface {
	// Numbers returns what was counted; of a place of which nothing was heard it is
	// zero.
	Numbers(ctx context.Context, place throng.PlaceID) (throng.PlaceNumbers, error)
}

// Bans keeps who may not play.
type Bans interface {
	// Bans returns those of the given players that have one, in their order.
	Bans(ctx context.Context, players []throng.PlayerID) ([]throng.Ban, error)
	// ListBans lists all, by player, after the given one.
	ListBans(ctx context.Context, after throng.PlayerID, limit int) ([]throng.Ban, error)
	// Lift ends a player's ban. Lifted before: the same answer. NotFound: he has none.
	Lift(ctx context.Context, p throng.PlayerID, by string, at time.Time) (throng.Ban, error)
}

// Auditor proves the ledger's books.
type Auditor interface {
	Audit(ctx context.Context) (throng.AuditReport, error)
}

// Seats is the registry's word on who sits where.
type Seats interface {
	// Bound returns the session that a server speaks for. Denied: it does not.
	Bound(ctx context.Context, h throng.Heartbeat) (throng.Session, error)
	// Sits says whether players sit in a session under just those epochs. Denied:
	// one does not.
	Sits(ctx context.Context, s throng.SessionID, members []throng.Member) error
}
