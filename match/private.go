package match

import "github.com/throng-gg/throng"

// privates is an index of private sessions by what is known of their codes. It
// is part of the desk, and nobody is seated out of it who does not know a code.
type privates struct {
	codes    map[throng.SessionID]throng.CodeHash
	sessions map[throng.CodeHash]throng.SessionID
}

func newPrivates() privates {
	return privates{
		codes:    map[throng.SessionID]throng.CodeHash{},
		sessions: map[throng.CodeHash]throng.SessionID{},
	}
}

// put takes in what the feed says of a private session.
func (p privates) put(s throng.Session) {
	if s.State != throng.SessionStarting && s.State != throng.SessionOpen {
		p.remove(s.ID)
		return
	}
	if s.Code == (throng.CodeHash{}) {
		return // then nobody can join it
	}
	p.codes[s.ID] = s.Code
	p.sessions[s.Code] = s.ID
}

func (p privates) remove(id throng.SessionID) {
	if code, ok := p.codes[id]; ok && p.sessions[code] == id {
		delete(p.sessions, code)
	}
	delete(p.codes, id)
}

// keep forgets all sessions but the listed ones.
func (p privates) keep(listed map[throng.SessionID]bool) {
	for id := range p.codes {
		if !listed[id] {
			p.remove(id)
		}
	}
}

// find returns the session that has a code.
func (p privates) find(code throng.CodeHash) (throng.SessionID, bool) {
	id, ok := p.sessions[code]
	return id, ok
}
