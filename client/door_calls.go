package client

import (
	"context"
	"io"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

// Page says which part of a list to return.
type Page struct {
	After string // the page before's Next; empty: from the start
	Limit int    // at most so many, up to 200; zero: 50
}

// given is a parameter, or nil for one that is left to the door.
func given[T comparable](v T) *T {
	var none T
	if v == none {
		return nil
	}
	return &v
}

// SessionQuery says which of a place's sessions to list.
type SessionQuery struct {
	Page
	State string // starting, open or draining; empty: all
	Free  int    // with at least so many free seats
}

// DevToken asks throng dev for an access token of any player. role is player,
// creator or operator. Only throng dev has this: NotFound elsewhere.
func (d *Door) DevToken(ctx context.Context, player throng.PlayerID, role string) (gen.AccessToken, error) {
	req := of(gen.NewDevTokenRequest(d.line.addr, gen.DevTokenRequest{Player: string(player), Role: role}))
	return send[gen.AccessToken](ctx, d.line, callTime, req)
}

// Places lists what is live.
func (d *Door) Places(ctx context.Context, p Page) (gen.PlaceList, error) {
	req := of(gen.NewListPlacesRequest(d.line.addr, &gen.ListPlacesParams{After: given(p.After), Limit: given(p.Limit)}))
	return send[gen.PlaceList](ctx, d.line, callTime, req)
}

// Sessions lists a place's sessions as players see them.
func (d *Door) Sessions(ctx context.Context, place throng.PlaceID, q SessionQuery) (gen.SessionList, error) {
	req := of(gen.NewListPlaceSessionsRequest(d.line.addr, string(place), &gen.ListPlaceSessionsParams{
		After: given(q.After), Limit: given(q.Limit), State: given(q.State), Free: given(q.Free),
	}))
	return send[gen.SessionList](ctx, d.line, callTime, req)
}

// Presence tells where a player is.
func (d *Door) Presence(ctx context.Context, player throng.PlayerID) (gen.Presence, error) {
	req := of(gen.NewGetPresenceRequest(d.line.addr, string(player)))
	return send[gen.Presence](ctx, d.line, callTime, req)
}

// Regions lists the deployment's regions.
func (d *Door) Regions(ctx context.Context) (gen.RegionList, error) {
	req := of(gen.NewListRegionsRequest(d.line.addr))
	return send[gen.RegionList](ctx, d.line, callTime, req)
}

// Publish uploads a place, a gzipped tar of up to 64 MiB, and makes it live, or
// what else how says. It is not repeated, as upload can be read only once; the
// same content again is the same version. Invalid: a fault in the upload, with its
// file and line.
func (d *Door) Publish(ctx context.Context, place throng.PlaceID, upload io.Reader, how throng.Publication) (gen.Release, error) {
	params := &gen.PublishParams{Stage: given(how.Stage), Canary: given(how.Canary)}
	req := of(gen.NewPublishRequestWithBody(d.line.addr, string(place), params, "application/gzip", upload))
	return send[gen.Release](ctx, d.line, uploadTime, req)
}

// Release says which versions of the caller's place there are, and which of them
// new sessions run. NotFound: the caller has no such place.
func (d *Door) Release(ctx context.Context, place throng.PlaceID) (gen.Channels, error) {
	req := of(gen.NewGetReleaseRequest(d.line.addr, string(place)))
	return send[gen.Channels](ctx, d.line, callTime, req)
}

// ChangeRelease makes another version live, or what else want says. With a
// revision it is safe to repeat. Conflict: the place is at another one, or there
// is nothing to roll back to.
func (d *Door) ChangeRelease(ctx context.Context, place throng.PlaceID, want gen.ReleaseRequest) (gen.Channels, error) {
	req := of(gen.NewChangeReleaseRequest(d.line.addr, string(place), want))
	return send[gen.Channels](ctx, d.line, pollTime+callTime, req)
}

// Logs reads a piece of a place's log. after is the page before's Next, empty
// for all that is remembered. Without a line it waits, up to q.Wait, at most 20 s.
// q.After is not looked at.
func (d *Door) Logs(ctx context.Context, place throng.PlaceID, after string, q throng.LogQuery) (gen.LogPage, error) {
	wait := int(q.Wait / time.Second)
	req := of(gen.NewGetLogsRequest(d.line.addr, string(place), &gen.GetLogsParams{
		After: given(after), Session: given(string(q.Session)), Wait: given(wait), Limit: given(q.Limit),
	}))
	return send[gen.LogPage](ctx, d.line, pollTime+callTime, req)
}

// Joins explains how a ticket was answered. caller empty: an operator's call is
// for any player's, others' for their own.
func (d *Door) Joins(ctx context.Context, ticket throng.TicketID, caller throng.PlayerID) (gen.JoinRecordList, error) {
	req := of(gen.NewGetJoinsRequest(d.line.addr, string(ticket), &gen.GetJoinsParams{Caller: given(string(caller))}))
	return send[gen.JoinRecordList](ctx, d.line, callTime, req)
}

// SessionRecords lists sessions for operators. place empty: of all places.
func (d *Door) SessionRecords(ctx context.Context, place throng.PlaceID, p Page) (gen.SessionRecordList, error) {
	req := of(gen.NewListSessionsRequest(d.line.addr, &gen.ListSessionsParams{
		Place: given(string(place)), After: given(p.After), Limit: given(p.Limit),
	}))
	return send[gen.SessionRecordList](ctx, d.line, callTime, req)
}

// SessionRecord returns one session for operators, also an ended one while it
// is remembered.
func (d *Door) SessionRecord(ctx context.Context, id throng.SessionID) (gen.SessionRecord, error) {
	req := of(gen.NewGetSessionRequest(d.line.addr, string(id)))
	return send[gen.SessionRecord](ctx, d.line, callTime, req)
}

// Drain takes no more players into a session, which hands off those who are in
// it. It ends when it is empty, or after within though it is not; zero: never.
func (d *Door) Drain(ctx context.Context, id throng.SessionID, reason string, within time.Duration) error {
	req := of(gen.NewDrainSessionRequest(d.line.addr, string(id), gen.DrainRequest{Reason: reason, Within: within.Seconds()}))
	_, err := send[nothing](ctx, d.line, callTime, req)
	return err
}

// End ends a session.
func (d *Door) End(ctx context.Context, id throng.SessionID, reason string) error {
	req := of(gen.NewEndSessionRequest(d.line.addr, string(id), gen.EndRequest{Reason: reason}))
	_, err := send[nothing](ctx, d.line, callTime, req)
	return err
}
