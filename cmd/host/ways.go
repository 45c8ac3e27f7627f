package host

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"

	"golang.org/x/sync/errgroup"

	"github.com/throng-gg/throng/cmd/command"
	"github.com/throng-gg/throng/gameserver"
	"github.com/throng-gg/throng/udp"
	"github.com/throng-gg/throng/webtransport"
	"github.com/throng-gg/throng/wire"
)

// ways are how players come into a game server: by UDP, and from browsers.
type ways struct {
	joined *gameserver.Joined
	udp    *udp.Transport
	web    *webtransport.Transport // nil: no browsers
}

// ways binds the sockets.
func (c *Command) ways(logger *slog.Logger) (*ways, error) {
	listen, err := command.AddressOf("--udp", c.UDP)
	if err != nil {
		return nil, err
	}
	public, err := publicOf("--public-udp", c.PublicUDP)
	if err != nil {
		return nil, err
	}
	events := gameserver.NewEvents()
	w := &ways{}
	if w.udp, err = udp.New(udp.Config{Listen: listen, Public: public, Events: events}); err != nil {
		return nil, err
	}
	all := []gameserver.Transport{w.udp}
	if c.Web != "off" {
		if listen, err = command.AddressOf("--web", c.Web); err != nil {
			return nil, err
		}
		if public, err = publicOf("--public-web", c.PublicWeb); err != nil {
			return nil, err
		}
		w.web, err = webtransport.New(webtransport.Config{
			Listen: listen, Public: public, Returning: comesBack, Events: events, Logger: logger,
		})
		if err != nil {
			return nil, err
		}
		all = append(all, w.web)
	}
	w.joined, err = gameserver.Join(all...)
	return w, err
}

// comesBack says whether a token's claims lead into a seat that the player has.
func comesBack(claims []byte) bool {
	c, err := wire.ParseClaims(claims)
	return err == nil && c.Reconnect
}

// publicOf may be left out.
func publicOf(flag, s string) (netip.AddrPort, error) {
	if s == "" {
		return netip.AddrPort{}, nil
	}
	return command.AddressOf(flag, s)
}

// run serves until ctx ends, or one way breaks, which ends all.
func (w *ways) run(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	group.Go(func() error { return w.udp.Run(ctx) })
	if w.web != nil {
		group.Go(func() error { return w.web.Run(ctx) })
	}
	return group.Wait()
}

// serve keeps the ways open while what runs.
func (w *ways) serve(ctx context.Context, what func() error) error {
	sockets, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	closed := make(chan error, 1)
	go func() { closed <- w.run(sockets) }()
	err := what()
	stop()
	return errors.Join(err, <-closed)
}
