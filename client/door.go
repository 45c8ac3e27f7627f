package client

import (
	"net/http"
	"strings"

	"github.com/throng-gg/throng"
)

// Config says which door to speak to, and as whom.
type Config struct {
	// Addr is the URL of the door, like http://localhost:8080, or of several of
	// one region, separated by commas: calls go to the first until it is not
	// reached, and are repeated at the next.
	Addr  string
	Token string // access token; empty: only DevToken can be called
	// HTTP makes the calls; nil: a client of its own that keeps up to 256 idle
	// connections. It should have no timeout: calls bring theirs.
	HTTP *http.Client
}

// Door speaks to a region's door for one account. It is safe to use from many
// goroutines.
type Door struct {
	cfg  Config
	line *line
	far  *latencies
}

// New makes a client; it connects when it is used. Invalid: a bad address.
func New(cfg Config) (*Door, error) {
	if cfg.HTTP == nil {
		cfg.HTTP = newHTTP()
	}
	l, err := newLine(cfg.Addr, cfg.HTTP, func() string { return cfg.Token })
	if err != nil {
		return nil, err
	}
	return &Door{cfg: cfg, line: l, far: &latencies{}}, nil
}

// Socket is where the door relays a player's WebSocket to a session's server.
func (d *Door) Socket(s throng.SessionID) string {
	return "ws" + strings.TrimPrefix(d.line.addr, "http") + "v1/sessions/" + string(s) + "/socket"
}

// As returns a client of the same door, over the same connections, with another
// access token. Latencies are measured for both.
func (d *Door) As(token string) (*Door, error) {
	cfg := d.cfg
	cfg.Token = token
	as := &Door{cfg: cfg, far: d.far}
	line := *d.line // also of what is known of the doors
	line.token = func() string { return as.cfg.Token }
	as.line = &line
	return as, nil
}
