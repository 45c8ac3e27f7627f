package sdk

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/throng-gg/throng"
)

const (
	// DefaultPort is where the sidecar's REST API listens unless
	// AGONES_SDK_HTTP_PORT says otherwise.
	DefaultPort = 9358

	callTime = 3 * time.Second
	maxBody  = 1 << 20 // bytes of an answer, or of one object of the watch
)

// Config is what a Client needs.
type Config struct {
	Addr   string       // URL of the sidecar; empty: http://127.0.0.1:9358
	HTTP   *http.Client // nil: one of its own, which uses no proxy
	Logger *slog.Logger // nil: says nothing
}

// Client calls the sidecar. It is safe to use from many goroutines. Every call
// takes up to 3 s. Errors: Unavailable when the sidecar was not reached or did
// not answer in time, else as its answer says; see kindOf.
type Client struct {
	addr   string
	http   *http.Client
	logger *slog.Logger
}

// New makes a client. It connects when it is used. Invalid: a bad address.
func New(cfg Config) (*Client, error) {
	if cfg.Addr == "" {
		cfg.Addr = fmt.Sprintf("http://127.0.0.1:%d", DefaultPort)
	}
	u, err := url.Parse(cfg.Addr)
	if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return nil, throng.AtField(throng.Invalid, "Addr", "%q is not a URL like http://127.0.0.1:9358", cfg.Addr)
	}
	if cfg.HTTP == nil {
		cfg.HTTP = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4, IdleConnTimeout: time.Minute}}
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	return &Client{addr: strings.TrimRight(cfg.Addr, "/"), http: cfg.HTTP, logger: cfg.Logger}, nil
}

// Ready says that the server can be allocated. While it is Allocated it would
// become Ready again, so it is said once in a server's life.
func (c *Client) Ready(ctx context.Context) error { return c.post(ctx, "/ready") }

// Shutdown says that the server is over: Agones deletes it.
func (c *Client) Shutdown(ctx context.Context) error { return c.post(ctx, "/shutdown") }

// Health is one sign of life.
func (c *Client) Health(ctx context.Context) error { return c.post(ctx, "/health") }

// post makes a call that has nothing to say. An empty body would be refused.
func (c *Client) post(ctx context.Context, path string) error {
	return c.call(ctx, http.MethodPost, path, struct{}{}, nil)
}

// GameServer returns the server's own GameServer as the sidecar knows it.
func (c *Client) GameServer(ctx context.Context) (GameServer, error) {
	var g GameServer
	return g, c.call(ctx, http.MethodGet, "/gameserver", nil, &g)
}

// keyValue is a label or an annotation.
type keyValue struct {
	Key   string `json:"key"`
	Value string `json:"value"`
}

// SetLabel sets the label agones.dev/sdk-KEY. Invalid: the value is no label's.
func (c *Client) SetLabel(ctx context.Context, key, value string) error {
	return c.call(ctx, http.MethodPut, "/metadata/label", keyValue{key, value}, nil)
}

// SetAnnotation sets the annotation agones.dev/sdk-KEY.
func (c *Client) SetAnnotation(ctx context.Context, key, value string) error {
	return c.call(ctx, http.MethodPut, "/metadata/annotation", keyValue{key, value}, nil)
}

// call sends what to the sidecar and reads the answer into answer; nil: neither.
func (c *Client) call(ctx context.Context, method, path string, what, answer any) error {
	ctx, cancel := context.WithTimeout(ctx, callTime)
	defer cancel()
	var body io.Reader
	if what != nil {
		text, err := json.Marshal(what)
		if err != nil {
			return fmt.Errorf("%s %s: %w", method, path, err)
		}
		body = bytes.NewReader(text)
	}
	req, err := http.NewRequestWithContext(ctx, method, c.addr+path, body)
	if err != nil {
		return throng.Errorf(throng.Invalid, "%s %s: %w", method, path, err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := c.http.Do(req)
	if err != nil {
		return throng.Errorf(throng.Unavailable, "sidecar: %w", err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxBody+1))
	switch {
	case err != nil:
		return throng.Errorf(throng.Unavailable, "sidecar: read its answer to %s %s: %w", method, path, err)
	case len(text) > maxBody:
		return throng.Errorf(throng.Internal, "sidecar: its answer to %s %s has more than %d bytes", method, path, maxBody)
	case resp.StatusCode != http.StatusOK:
		return throng.Errorf(kindOf(resp.StatusCode, text), "sidecar: %s %s: %s", method, path, wordsOf(resp.Status, text))
	case answer == nil:
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return throng.Errorf(throng.Internal, "sidecar: its answer to %s %s: %w", method, path, err)
	}
	return nil
}

// refusal is how the sidecar says no: a code of gRPC, and words.
type refusal struct {
	Code    int    `json:"code"`
	Message string `json:"message"`
}

// kindOf tells what a refusal means. Most of them are the status 500 with code 2
// (unknown), whatever is wrong, and only the words say what.
func kindOf(status int, body []byte) throng.Kind {
	switch status {
	case http.StatusBadRequest:
		return throng.Invalid
	case http.StatusNotFound:
		return throng.NotFound
	case http.StatusNotImplemented, http.StatusMethodNotAllowed:
		return throng.Unsupported
	case http.StatusServiceUnavailable, http.StatusBadGateway, http.StatusGatewayTimeout, http.StatusTooManyRequests:
		return throng.Unavailable
	}
	var r refusal
	if json.Unmarshal(body, &r) != nil {
		return throng.Internal
	}
	words := strings.ToLower(r.Message)
	switch {
	case r.Code == 14, r.Code == 4: // unavailable, deadline exceeded
		return throng.Unavailable
	case strings.Contains(words, "already exists"):
		return throng.Exists
	case strings.Contains(words, "not found"):
		return throng.NotFound
	case strings.Contains(words, "out of range"):
		return throng.Full
	}
	return throng.Internal
}

// wordsOf is a refusal for people, cut short.
func wordsOf(status string, body []byte) string {
	const most = 300
	var r refusal
	words := strings.TrimSpace(string(body))
	if err := json.Unmarshal(body, &r); err == nil && r.Message != "" {
		words = r.Message
	}
	if len(words) > most {
		words = strings.ToValidUTF8(words[:most], "") + "…"
	}
	return status + ": " + words
}

// away says whether an error means that the sidecar was not there.
func away(err error) bool {
	return throng.KindOf(err) == throng.Unavailable || errors.Is(err, context.DeadlineExceeded)
}
