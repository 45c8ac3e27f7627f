package agones

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"net/url"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"k8s.io/client-go/rest"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/agones/kind"
)

const (
	dialTime  = 2 * time.Second
	pingAfter = 2 * time.Second // without a frame of the other side
	pingTime  = 3 * time.Second // for the answer; together: a cut is noticed within 5 s
	maxAnswer = 64 << 20        // bytes of a page of a listing
	maxWords  = 300             // of an answer, in an error
)

// server is the API server of one cluster. It repeats nothing.
type server struct {
	base  *url.URL
	http  *http.Client
	count func(verb string)
}

// newServer makes the client of an API server. Its connection is pinged, so that
// a cut is noticed in seconds, and no request is ever repeated by itself.
func newServer(cfg *rest.Config, count func(verb string)) (*server, error) {
	cfg = rest.CopyConfig(cfg)
	base, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, throng.Errorf(throng.Invalid, "the API server's address: %w", err)
	}
	tlsConfig, err := rest.TLSConfigFor(cfg)
	if err != nil {
		return nil, throng.Errorf(throng.Invalid, "TLS to the API server: %w", err)
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = "throng"
	}
	var over http.RoundTripper = &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: dialTime, KeepAlive: 15 * time.Second}).DialContext,
		TLSClientConfig:       tlsConfig,
		TLSHandshakeTimeout:   dialTime,
		MaxIdleConnsPerHost:   64,
		IdleConnTimeout:       90 * time.Second,
		ForceAttemptHTTP2:     true,
		HTTP2:                 &http.HTTP2Config{SendPingTimeout: pingAfter, PingTimeout: pingTime},
		ResponseHeaderTimeout: 30 * time.Second,
	}
	if cfg.Proxy != nil {
		over.(*http.Transport).Proxy = cfg.Proxy //nolint:forcetypeassert // made above
	}
	// Credentials, and whatever the configuration wraps around.
	if over, err = rest.HTTPWrappersForConfig(cfg, over); err != nil {
		return nil, throng.Errorf(throng.Invalid, "credentials for the API server: %w", err)
	}
	return &server{base: base, http: &http.Client{Transport: over}, count: count}, nil
}

// request is one call.
type request struct {
	verb   string // for metrics
	method string
	path   string
	query  url.Values
	body   any    // JSON; nil: none
	accept string // media type of the answer; "application/json"
}

// unsent is an error of a call that has certainly not reached the other side.
type unsent struct{ error }

func (u unsent) Unwrap() error { return u.error }

// do makes a call; the caller closes the answer's body. Unavailable: there was
// no answer; it is unsent when the call never left.
func (s *server) do(ctx context.Context, r request) (*http.Response, error) {
	s.count(r.verb)
	var body io.Reader
	if r.body != nil {
		text, err := json.Marshal(r.body)
		if err != nil {
			return nil, fmt.Errorf("make the call: %w", err)
		}
		body = bytes.NewReader(text)
	}
	u := s.base.JoinPath(r.path)
	u.RawQuery = r.query.Encode()
	var left atomic.Bool
	tracing := httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(httptrace.GotConnInfo) { left.Store(true) }})
	req, err := http.NewRequestWithContext(tracing, r.method, u.String(), body)
	if err != nil {
		return nil, fmt.Errorf("make the call: %w", err)
	}
	req.Header.Set("Accept", cmp.Or(r.accept, "application/json"))
	if body != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	resp, err := s.http.Do(req)
	if err != nil {
		err = throng.Errorf(throng.Unavailable, "the API server does not answer: %w", err)
		if !left.Load() {
			return nil, unsent{err}
		}
		return nil, err
	}
	return resp, nil
}

// call makes a call and reads the answer into out, unless that is nil.
func (s *server) call(ctx context.Context, r request, out any) error {
	resp, err := s.do(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return refusal(resp)
	}
	if out == nil {
		_, _ = io.Copy(io.Discard, io.LimitReader(resp.Body, maxAnswer)) // to use the connection again
		return nil
	}
	if err := json.NewDecoder(io.LimitReader(resp.Body, maxAnswer)).Decode(out); err != nil {
		return throng.Errorf(throng.Unavailable, "read the API server's answer: %w", err)
	}
	return nil
}

// refused is an answer that is no success.
type refused struct {
	error
	code int // HTTP's
}

func (r refused) Unwrap() error { return r.error }

// refusal reads why an API server refused.
func refusal(resp *http.Response) error {
	text, _ := io.ReadAll(io.LimitReader(resp.Body, 64<<10)) // what there is of it
	var s kind.Status
	words := strings.TrimSpace(string(text))
	if json.Unmarshal(text, &s) == nil && s.Kind == "Status" {
		words = s.Message
	}
	words = clip(words)
	after := time.Duration(s.Details.RetryAfterSeconds) * time.Second
	if seconds, err := strconv.Atoi(resp.Header.Get("Retry-After")); err == nil && seconds > 0 && seconds < 3600 {
		after = time.Duration(seconds) * time.Second
	}
	k := throng.Internal
	switch code := resp.StatusCode; {
	case code == http.StatusUnauthorized || code == http.StatusForbidden:
		k = throng.Denied
	case code == http.StatusNotFound:
		k = throng.NotFound
	case code == http.StatusConflict || code == http.StatusGone:
		k = throng.Conflict
	case code == http.StatusTooManyRequests:
		k = throng.RateLimited
	case code >= 500:
		k = throng.Unavailable
	}
	return refused{throng.RetryLater(k, after, "the API server answers %d: %s", resp.StatusCode, words), resp.StatusCode}
}

func clip(s string) string {
	if len(s) <= maxWords {
		return s
	}
	return strings.ToValidUTF8(s[:maxWords], "") + "..."
}
