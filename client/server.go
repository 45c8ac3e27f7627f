package client

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/api/gen"
)

const (
	heartbeatTime = 2 * time.Second
	reportTime    = 5 * time.Second
	maxReason     = 1000      // bytes
	maxPackage    = 256 << 20 // bytes
)

// ServerConfig says which door a game server speaks to.
type ServerConfig struct {
	Addr   string // URL of the door, or of several, as in Config
	Server throng.ServerID
	Token  string       // the server's credential until a handover brings another
	HTTP   *http.Client // as in Config
}

// Server speaks to the door as a game server. It repeats nothing: every call can
// be repeated, and the game server knows when. Errors: Unavailable when the door
// was not reached or did not answer in time (2 s, reports 5 s), else the door's.
type Server struct {
	cfg  ServerConfig
	line *line
	// control is the doors as the control connection knows them, which may live
	// where calls do not get through, and the reverse.
	control *doors
	token   atomic.Pointer[string]
	hosts   atomic.Bool // a handover was accepted

	confirms atomic.Pointer[confirms] // of the control connection now; nil: none
}

// NewServer makes a game server's client. Invalid: a bad address or name.
func NewServer(cfg ServerConfig) (*Server, error) {
	if _, err := throng.ParseServerID("Server", string(cfg.Server)); err != nil {
		return nil, err
	}
	if cfg.HTTP == nil {
		cfg.HTTP = newHTTP()
	}
	s := &Server{cfg: cfg}
	s.token.Store(&cfg.Token)
	var err error
	if s.line, err = newLine(cfg.Addr, cfg.HTTP, s.credential); err != nil {
		return nil, err
	}
	s.control, err = parseDoors(cfg.Addr)
	return s, err
}

func (s *Server) credential() string { return *s.token.Load() }

// Heartbeat extends the session's lease and brings orders back.
func (s *Server) Heartbeat(ctx context.Context, h throng.Heartbeat) (throng.HeartbeatAnswer, error) {
	req := of(gen.NewPutHeartbeatRequest(s.line.addr, string(h.Session), gen.HeartbeatOf(h)))
	return heard(send[gen.HeartbeatAnswer](ctx, s.line, heartbeatTime, req))
}

// Report replaces all that the registry knows of the session's seats.
func (s *Server) Report(ctx context.Context, r throng.Report) (throng.HeartbeatAnswer, error) {
	req := of(gen.NewPutReportRequest(s.line.addr, string(r.Session), gen.ReportOf(r)))
	return heard(send[gen.HeartbeatAnswer](ctx, s.line, reportTime, req))
}

func heard(a gen.HeartbeatAnswer, err error) (throng.HeartbeatAnswer, error) {
	if err != nil {
		return throng.HeartbeatAnswer{}, err
	}
	answer, err := a.Root()
	if err != nil {
		return throng.HeartbeatAnswer{}, throng.Errorf(throng.Unavailable, "read the door's answer: %w", err)
	}
	return answer, nil
}

// Confirm makes a held seat an occupied one. Denied: a later join fences it, or
// there is no such hold any more and no room. It goes over the control
// connection while there is one whose door takes confirms, many in one message,
// else by HTTP.
func (s *Server) Confirm(ctx context.Context, h throng.Heartbeat, c throng.RosterChange) error {
	if over := s.confirms.Load(); over != nil {
		ctx, cancel := context.WithTimeout(ctx, heartbeatTime)
		defer cancel()
		return over.ask(ctx, h.Session, c)
	}
	req := of(gen.NewConfirmRequest(s.line.addr, string(h.Session), gen.ConfirmRequest{
		Heartbeat: gen.HeartbeatOf(h), Change: gen.RosterChangeOf(c),
	}))
	_, err := send[nothing](ctx, s.line, heartbeatTime, req)
	return err
}

// ConfirmsOverControl says whether Confirm goes over the control connection now.
func (s *Server) ConfirmsOverControl() bool { return s.confirms.Load() != nil }

// End says that the session is over. The reason is cut at 1000 bytes.
func (s *Server) End(ctx context.Context, h throng.Heartbeat, e throng.Ending) error {
	req := of(gen.NewEndSessionRequest(s.line.addr, string(h.Session), gen.EndRequest{
		Reason: cutReason(e.Reason), Failed: e.Failed, Heartbeat: gen.HeartbeatOf(h),
	}))
	_, err := send[nothing](ctx, s.line, heartbeatTime, req)
	return err
}

// Retire asks for the end of a session that nobody is in.
func (s *Server) Retire(ctx context.Context, h throng.Heartbeat, reason string) error {
	req := of(gen.NewEndSessionRequest(s.line.addr, string(h.Session), gen.EndRequest{
		Reason: cutReason(reason), Heartbeat: gen.HeartbeatOf(h), IfEmpty: true,
	}))
	_, err := send[nothing](ctx, s.line, heartbeatTime, req)
	return err
}

// Drain takes no more players into the server's own session, whose process has to
// end; the session does within so long.
func (s *Server) Drain(ctx context.Context, id throng.SessionID, reason string, within time.Duration) error {
	req := of(gen.NewDrainSessionRequest(s.line.addr, string(id), gen.DrainRequest{Reason: cutReason(reason), Within: within.Seconds()}))
	_, err := send[nothing](ctx, s.line, heartbeatTime, req)
	return err
}

// Log delivers a piece of the session's log.
func (s *Server) Log(ctx context.Context, b throng.LogBatch) error {
	req := of(gen.NewPostLogsRequest(s.line.addr, string(b.Session), gen.LogBatchOf(b)))
	_, err := send[nothing](ctx, s.line, heartbeatTime, req)
	return err
}

func cutReason(reason string) string {
	if reason == "" {
		return "not said"
	}
	return strings.ToValidUTF8(reason[:min(len(reason), maxReason)], "")
}

// Package downloads a package's bytes, which are not checked against the hash
// yet; the caller closes them. It takes as long as ctx lets it. Past 256 MiB
// reading fails.
func (s *Server) Package(ctx context.Context, hash throng.PackageHash) (io.ReadCloser, error) {
	resp, err := s.line.do(ctx, of(gen.NewGetPackageRequest(s.line.addr, string(hash))), 0)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode != http.StatusOK {
		defer resp.Body.Close()
		return nil, fmt.Errorf("get package %s: %w", hash, problem(resp))
	}
	return &bounded{ReadCloser: resp.Body, left: maxPackage}, nil
}

// bounded fails where an endless answer would not end.
type bounded struct {
	io.ReadCloser
	left int64
}

// Read reads on until the bound.
func (b *bounded) Read(p []byte) (int, error) {
	if b.left <= 0 {
		return 0, errors.New("the package is too large")
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	return n, err
}
