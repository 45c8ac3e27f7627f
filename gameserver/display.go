package gameserver

import "github.com/throng-gg/throng"

// show tells the display who is in the session, if that changed since.
func (l *loop) show() {
	if l.cfg.Display == nil || l.shown == l.roster.revision && l.tick > 1 {
		return
	}
	l.shown = l.roster.revision
	players := make([]throng.PlayerID, 0, len(l.seats))
	for p := range l.seats {
		players = append(players, p)
	}
	l.cfg.Display.Players(players, l.hand.Capacity)
}
