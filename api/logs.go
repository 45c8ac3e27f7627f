package api

import (
	"context"
	"strconv"
	"sync"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

const (
	defaultLogLines = 200
	maxLogLines     = 1000
)

// PostLogs takes a piece of a session's log from its server.
func (c calls) PostLogs(ctx context.Context, req gen.PostLogsRequestObject) (gen.PostLogsResponseObject, error) {
	id, err := throng.ParseSessionID("id", req.ID)
	if err != nil {
		return nil, err
	}
	if err := ownSession(callerOf(ctx), id); err != nil {
		return nil, err
	}
	batch, err := req.Body.Root(id)
	if err != nil {
		return nil, err
	}
	if c.cfg.Logs == nil {
		return nil, noLogs()
	}
	at, err := c.homes.find(ctx, id)
	if err != nil {
		return nil, err
	}
	c.cfg.Logs.Receive(at.place, at.version, batch)
	return gen.PostLogs204Response{}, nil
}

// GetLogs reads a place's log.
func (c calls) GetLogs(ctx context.Context, req gen.GetLogsRequestObject) (gen.GetLogsResponseObject, error) {
	place, err := throng.ParsePlaceID("id", req.ID)
	if err != nil {
		return nil, err
	}
	query, err := logQuery(req.Params)
	if err != nil {
		return nil, err
	}
	if c.cfg.Logs == nil {
		return nil, noLogs()
	}
	if _, err := c.cfg.Owners.Owners(ctx, c.editorOf(ctx), place); err != nil {
		return nil, notYours(place, err)
	}
	ctx, wait, done := c.patience(ctx, query.Wait)
	defer done()
	query.Wait = wait
	page := c.cfg.Logs.Read(ctx, place, query)
	out := gen.GetLogs200JSONResponse{Lines: make([]gen.LogLine, len(page.Lines)), Next: strconv.FormatUint(page.Next, 10)}
	for i, line := range page.Lines {
		out.Lines[i] = gen.LogLineOf(line)
	}
	return out, nil
}

func noLogs() error { return throng.Errorf(throng.Unsupported, "logs are not kept here") }

func logQuery(p gen.GetLogsParams) (throng.LogQuery, error) {
	q := throng.LogQuery{Limit: defaultLogLines}
	var err error
	if after := value(p.After); after != "" {
		if q.After, err = strconv.ParseUint(after, 10, 64); err != nil {
			return q, throng.AtField(throng.Invalid, "after", "%q is not what a page said was next", clip(after))
		}
	}
	if id := value(p.Session); id != "" {
		if q.Session, err = throng.ParseSessionID("session", id); err != nil {
			return q, err
		}
	}
	if p.Limit != nil {
		q.Limit = *p.Limit
	}
	if q.Limit < 1 || q.Limit > maxLogLines {
		return q, throng.AtField(throng.Invalid, "limit", "%d is not within 1 and %d", q.Limit, maxLogLines)
	}
	wait := value(p.Wait)
	if most := int(maxWait / time.Second); wait < 0 || wait > most {
		return q, throng.AtField(throng.Invalid, "wait", "%d is not within 0 and %d", wait, most)
	}
	q.Wait = time.Duration(wait) * time.Second
	return q, nil
}

// maxHomes bounds the sessions whose place is remembered; past that all are
// asked for anew.
const maxHomes = 20_000

// homes remembers what never changes of sessions that write logs, so that not
// every line costs the registry a call.
type homes struct {
	directory Directory

	mu    sync.Mutex
	known map[throng.SessionID]home
}

type home struct {
	place   throng.PlaceID
	version throng.Version
	game    throng.GameID // that the version keeps what players own in; empty: not asked for yet
}

func newHomes(d Directory) *homes {
	return &homes{directory: d, known: make(map[throng.SessionID]home)}
}

func (h *homes) find(ctx context.Context, id throng.SessionID) (home, error) {
	h.mu.Lock()
	at, ok := h.known[id]
	h.mu.Unlock()
	if ok {
		return at, nil
	}
	s, err := h.directory.Session(ctx, id)
	if err != nil {
		return home{}, err
	}
	at = home{place: s.Place, version: s.Version}
	h.keep(id, at)
	return at, nil
}

func (h *homes) keep(id throng.SessionID, at home) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.known) >= maxHomes {
		clear(h.known)
	}
	h.known[id] = at
}
