package session_test

import (
	"github.com/throng-gg/throng/api"
	"github.com/throng-gg/throng/fleet"
	"github.com/throng-gg/throng/match"
	"github.com/throng-gg/throng/session"
)

// What the other parts need of the registry.
var (
	_ match.Registry = (*session.Registry)(nil)
	_ match.Sessions = (*session.Registry)(nil)
	_ fleet.Registry = (*session.Registry)(nil)
	_ api.Registry   = (*session.Registry)(nil)
	_ api.Directory  = (*session.Registry)(nil)
	_ api.Origins    = (*session.Registry)(nil)
	_ match.Origins  = (*session.Registry)(nil)
)
