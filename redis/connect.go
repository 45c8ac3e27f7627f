package redis

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
)

// flushDelay is how long a connection may wait for more commands after it sent
// some. One that has been silent for as long sends at once.
const flushDelay = 500 * time.Microsecond

// retryTime is when to come again if Redis is away.
const retryTime = time.Second

// parseURL reads where Redis is. Its errors never show the password.
func parseURL(s string) (rueidis.ClientOption, error) {
	var o rueidis.ClientOption
	bad := func(why string) (rueidis.ClientOption, error) {
		return o, throng.AtField(throng.Invalid, "URL", "%s; it is like redis://user:password@host:6379/0, or rediss:// for TLS, with several hosts for a Cluster", why)
	}
	scheme, rest, _ := strings.Cut(s, "://")
	switch scheme {
	case "rediss", "valkeys":
		o.TLSConfig = &tls.Config{MinVersion: tls.VersionTLS12}
	case "redis", "valkey":
	default:
		return bad("does not begin with redis:// or rediss://")
	}
	at := strings.LastIndexByte(rest, '@')
	user, rest := rest[:max(at, 0)], rest[at+1:]
	hosts, path, _ := strings.Cut(rest, "/")
	if at >= 0 {
		u, err := url.Parse("redis://" + user + "@x")
		if err != nil || u.User == nil {
			return bad("has a user or password that is not escaped as in URLs")
		}
		o.Username = u.User.Username()
		o.Password, _ = u.User.Password()
	}
	for host := range strings.SplitSeq(hosts, ",") {
		name, port, err := net.SplitHostPort(host)
		if err != nil {
			name, port = strings.Trim(host, "[]"), "6379"
		}
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 || name == "" || strings.ContainsAny(name, "?#") {
			return bad("has a host that is not like host:6379")
		}
		o.InitAddress = append(o.InitAddress, net.JoinHostPort(name, port))
	}
	if path != "" {
		db, err := strconv.ParseUint(path, 10, 16)
		if err != nil {
			return bad("has a database that is no number")
		}
		o.SelectDB = int(db)
	}
	return o, nil
}

// link is a connection that is made when it is first needed.
type link struct {
	option rueidis.ClientOption
	client atomic.Pointer[rueidis.Client]

	mu     sync.Mutex
	closed bool
	failed time.Time // when connecting failed last
	err    error     // and why
}

func newLink(o rueidis.ClientOption, timeout time.Duration) *link {
	o.Dialer = net.Dialer{Timeout: timeout, KeepAlive: time.Second}
	o.ConnWriteTimeout = timeout
	o.MaxFlushDelay = flushDelay
	o.PipelineMultiplex = -1 // one connection, so that much goes together
	// What an answer that did not come means is for the caller to decide.
	o.DisableRetry = true
	o.DisableCache = true
	o.ClientName = "throng"
	return &link{option: o}
}

// get returns the client. It blocks while it connects.
func (l *link) get() (rueidis.Client, error) {
	if c := l.client.Load(); c != nil {
		return *c, nil
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if c := l.client.Load(); c != nil {
		return *c, nil
	}
	if l.closed {
		return nil, throng.Errorf(throng.Unavailable, "the registry's store is closed")
	}
	if time.Since(l.failed) < 200*time.Millisecond {
		return nil, l.err // one attempt is enough for all who wait
	}
	c, err := rueidis.NewClient(l.option)
	if err != nil {
		l.failed, l.err = time.Now(), away(err)
		return nil, l.err
	}
	l.client.Store(&c)
	return c, nil
}

func (l *link) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	if c := l.client.Swap(nil); c != nil {
		(*c).Close()
	}
}

// away is the error of a Redis that did not answer, or not as it should. What
// was asked may have happened; it can be repeated.
func away(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return throng.RetryLater(throng.Unavailable, retryTime, "redis did not answer in time: %w", err)
	}
	if re, ok := rueidis.IsRedisErr(err); ok && strings.Contains(re.Error(), "user_script") {
		return throng.Errorf(throng.Internal, "redis script: %w", err)
	}
	return throng.RetryLater(throng.Unavailable, retryTime, "redis: %w", err)
}

// isNoScript says whether a script is not loaded where it was called.
func isNoScript(err error) bool {
	re, ok := rueidis.IsRedisErr(err)
	return ok && re.IsNoScript()
}
