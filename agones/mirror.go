package agones

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"math/rand/v2"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

const (
	pageSize   = 500
	maxPages   = 1000
	listTime   = 20 * time.Second
	watchLeast = 5 * time.Minute // a watch is renewed after so long, up to twice of it
	watchSlack = 30 * time.Second
	retryFirst = 200 * time.Millisecond
	retryMost  = 5 * time.Second
	aMoment    = 50 * time.Millisecond // between two watches, however the first ended
)

// mirror follows the objects of one kind in one cluster: it lists them once,
// then watches, and lists again only when the API server has forgotten what
// happened since.
type mirror[T any] struct {
	server *server
	path   string
	query  url.Values // a selector
	meta   func(*T) kind.Meta

	replace func(all []T, revision uint64)
	changed func(one T)
	deleted func(one T)
	// opened says that a watch is open, lost that it ended; err is nil when it
	// was only renewed.
	opened func()
	lost   func(err error)
}

// errGone says that the API server does not know any more what happened since.
var errGone = errors.New("too old")

// run follows until ctx ends.
func (m *mirror[T]) run(ctx context.Context) {
	revision, retry := "", retryFirst
	for ctx.Err() == nil {
		began, err := time.Now(), error(nil)
		if revision == "" {
			revision, err = m.list(ctx)
		}
		if err == nil {
			err = m.watch(ctx, &revision)
		}
		if errors.Is(err, errGone) {
			revision, err = "", nil
		}
		m.lost(err)
		if err == nil || time.Since(began) > time.Minute {
			retry = retryFirst
		}
		wait := aMoment
		if err != nil {
			wait = max(retry/2+rand.N(retry/2), min(throng.RetryAfterOf(err), time.Minute)) //nolint:gosec // jitter
			retry = min(2*retry, retryMost)
		}
		pause(ctx, wait)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// list takes in all there is, and returns of when.
func (m *mirror[T]) list(ctx context.Context) (revision string, err error) {
	ctx, cancel := context.WithTimeout(ctx, listTime)
	defer cancel()
	var all []T
	query := maps.Clone(m.query)
	query.Set("limit", strconv.Itoa(pageSize))
	for range maxPages {
		var page kind.List[T]
		if err := m.server.call(ctx, request{verb: "list", method: http.MethodGet, path: m.path, query: query}, &page); err != nil {
			return "", gone(err)
		}
		all = append(all, page.Items...)
		if page.Metadata.Continue == "" {
			at, _ := strconv.ParseUint(page.Metadata.ResourceVersion, 10, 64)
			m.replace(all, at)
			return page.Metadata.ResourceVersion, nil
		}
		query.Set("continue", page.Metadata.Continue)
	}
	return "", throng.Errorf(throng.Internal, "the listing has no end")
}

func gone(err error) error {
	if r, ok := errors.AsType[refused](err); ok && r.code == http.StatusGone {
		return errGone
	}
	return err
}

// event is a line of a watch.
type event struct {
	Type   string          `json:"type"`
	Object json.RawMessage `json:"object"`
}

// watch takes in what happens after the revision, and moves it on, until the
// watch ends: nil when the API server ended it in order.
func (m *mirror[T]) watch(ctx context.Context, revision *string) error {
	most := watchLeast + rand.N(watchLeast) //nolint:gosec // jitter
	ctx, cancel := context.WithTimeout(ctx, most+watchSlack)
	defer cancel()
	query := maps.Clone(m.query)
	query.Set("watch", "1")
	query.Set("allowWatchBookmarks", "true")
	query.Set("resourceVersion", *revision)
	query.Set("timeoutSeconds", strconv.Itoa(int(most.Seconds())))
	resp, err := m.server.do(ctx, request{verb: "watch", method: http.MethodGet, path: m.path, query: query})
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return gone(refusal(resp))
	}
	m.opened()
	lines := json.NewDecoder(resp.Body)
	for {
		var e event
		if err := lines.Decode(&e); err != nil {
			if errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
				return nil
			}
			return throng.Errorf(throng.Unavailable, "the watch broke off: %w", err)
		}
		if err := m.take(e, revision); err != nil {
			return err
		}
	}
}

func (m *mirror[T]) take(e event, revision *string) error {
	if e.Type == "ERROR" {
		var s kind.Status
		_ = json.Unmarshal(e.Object, &s) // what it says is for people only
		if s.Code == http.StatusGone {
			return errGone
		}
		return throng.Errorf(throng.Unavailable, "the watch ended: %d %s", s.Code, clip(s.Message))
	}
	var one T
	if err := json.Unmarshal(e.Object, &one); err != nil {
		return throng.Errorf(throng.Unavailable, "read the watch: %w", err)
	}
	if at := m.meta(&one).ResourceVersion; at != "" {
		*revision = at
	}
	switch e.Type {
	case "ADDED", "MODIFIED":
		m.changed(one)
	case "DELETED":
		m.deleted(one)
	} // or a bookmark
	return nil
}
