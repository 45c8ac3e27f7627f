package client

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

const (
	callTime   = 10 * time.Second
	doorTime   = 3 * time.Second // of it, for one door where there is another
	uploadTime = 5 * time.Minute
	maxAnswer  = 4 << 20 // bytes of JSON
)

// line is how calls get to a region's doors.
type line struct {
	addr  string // what calls are written for; ends with /
	doors *doors
	http  *http.Client
	token func() string // asked for at each call
}

func newLine(addr string, over *http.Client, token func() string) (*line, error) {
	doors, err := parseDoors(addr)
	if err != nil {
		return nil, err
	}
	return &line{addr: doors.base, doors: doors, http: over, token: token}, nil
}

// NewHTTP makes what calls a door over TLS connections that dial makes: with a CA
// or a client certificate of one's own. Plain ones it makes itself.
func NewHTTP(dial func(ctx context.Context, network, addr string) (net.Conn, error)) *http.Client {
	c := newHTTP()
	if t, ok := c.Transport.(*http.Transport); ok {
		t.DialTLSContext = dial
	}
	return c
}

func newHTTP() *http.Client {
	return &http.Client{Transport: &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 2 * time.Second, KeepAlive: 15 * time.Second}).DialContext,
		TLSHandshakeTimeout:   5 * time.Second,
		MaxIdleConns:          1024,
		MaxIdleConnsPerHost:   256,
		IdleConnTimeout:       time.Minute,
		ExpectContinueTimeout: time.Second,
		ForceAttemptHTTP2:     true,
	}}
}

// request is what the generated code made of a call.
type request struct {
	*http.Request
	err error
}

func of(r *http.Request, err error) request { return request{r, err} }

// do makes a call, at the next door if one is not reached, or does not answer for so
// long (0: as long as ctx goes): every call can be repeated. Unavailable: no door was
// reached. The caller closes the answer's body.
func (l *line) do(ctx context.Context, r request, patience time.Duration) (*http.Response, error) {
	if r.err != nil {
		return nil, throng.Errorf(throng.Invalid, "make the call: %w", r.err)
	}
	if token := l.token(); token != "" {
		r.Header.Set("Authorization", "Bearer "+token)
	}
	var last error
	doors := l.doors.count()
	for i := range doors {
		door := l.doors.now()
		call, err := l.doors.aim(r.WithContext(ctx), door)
		if err != nil {
			return nil, throng.Errorf(throng.Invalid, "make the call: %w", err)
		}
		if i == doors-1 {
			patience = 0
		}
		resp, err := answered(l.http, call, patience)
		if err == nil {
			if resp.StatusCode == http.StatusServiceUnavailable {
				l.doors.leave(door) // it may be stopping; the repeat goes elsewhere
			}
			return resp, nil
		}
		last = err
		if !errors.Is(ctx.Err(), context.Canceled) { // not what the caller gave up
			l.doors.leave(door)
		}
		if ctx.Err() != nil || r.Body != nil && r.GetBody == nil {
			break
		}
	}
	return nil, throng.Errorf(throng.Unavailable, "call the door: %w", last)
}

// answered makes one call, whose answer begins within patience; 0: within its context.
func answered(over *http.Client, call *http.Request, patience time.Duration) (*http.Response, error) {
	if patience <= 0 {
		return over.Do(call)
	}
	ctx, cancel := context.WithCancel(call.Context())
	late := time.AfterFunc(patience, cancel)
	resp, err := over.Do(call.WithContext(ctx))
	switch {
	case err != nil:
		cancel()
		return nil, err
	case !late.Stop():
		_ = resp.Body.Close()
		return nil, fmt.Errorf("%s does not answer within %s", call.URL.Host, patience)
	}
	resp.Body = boundBody{resp.Body, cancel}
	return resp, nil
}

// boundBody ends its call when it is closed.
type boundBody struct {
	io.ReadCloser

	end context.CancelFunc
}

// Close closes the answer.
func (b boundBody) Close() error {
	defer b.end()
	return b.ReadCloser.Close()
}

// send makes a call and takes the JSON of its answer, or its error, within most.
func send[T any](ctx context.Context, l *line, most time.Duration, r request) (T, error) {
	var out T
	ctx, cancel := context.WithTimeout(ctx, most)
	defer cancel()
	resp, err := l.do(ctx, r, max(most-callTime, 0)+doorTime)
	if err != nil {
		return out, err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return out, problem(resp)
	}
	if resp.StatusCode == http.StatusNoContent {
		return out, nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(&out); err != nil {
		// It may have broken off: the call can be repeated.
		return out, throng.Errorf(throng.Unavailable, "read the door's answer: %w", err)
	}
	return out, nil
}

type nothing struct{}

// problem makes the error again that the door had.
func problem(resp *http.Response) error {
	var p gen.Problem
	err := json.NewDecoder(io.LimitReader(resp.Body, 64<<10)).Decode(&p)
	if err != nil || p.Code == "" {
		return &throng.Error{
			Kind: kindOfStatus(resp.StatusCode), RetryAfter: retryHeader(resp),
			Err: fmt.Errorf("the answer is HTTP status %d", resp.StatusCode),
		}
	}
	detail := p.Detail
	if p.Field != "" { // Error says it first
		detail = strings.Replace(detail, p.Field+": ", "", 1)
	}
	e := &throng.Error{
		Kind:       throng.ParseKind(p.Code),
		Field:      p.Field,
		RetryAfter: time.Duration(p.RetryAfter * float64(time.Second)),
		Err:        errors.New(detail),
	}
	if e.RetryAfter <= 0 {
		e.RetryAfter = retryHeader(resp)
	}
	return e
}

func retryHeader(resp *http.Response) time.Duration {
	seconds, err := strconv.Atoi(resp.Header.Get("Retry-After"))
	if err != nil || seconds < 0 || seconds > 3600 {
		return 0
	}
	return time.Duration(seconds) * time.Second
}

// kindOfStatus is for answers that are no door's, like a proxy's.
func kindOfStatus(status int) throng.Kind {
	switch status {
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return throng.Unavailable
	case http.StatusTooManyRequests:
		return throng.RateLimited
	case http.StatusUnauthorized, http.StatusForbidden:
		return throng.Denied
	case http.StatusNotFound:
		return throng.NotFound
	}
	return throng.Internal
}
