package gameserver

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

const (
	// maxErrands is how many calls about what players own are under way. More are
	// refused: RateLimited.
	maxErrands = 512
	errandTime = 30 * time.Second // for which one is tried
	settleTime = 2 * time.Second  // for which a session that is over waits for them
	copyRetry  = 2 * time.Second  // until a profile of which there is a copy is asked for anew
)

// keeper asks for what players own, beside the loop. What is not a channel is
// owned by the loop.
type keeper struct {
	profiles Profiles // nil: unavailable
	ledger   Ledger   // nil: unavailable
	random   func() uint64
	logger   *slog.Logger
	errands  chan errand // maxErrands long, so that the loop never waits
	// answers are run by the loop, in a later step; read for as long as ctx lives.
	answers chan func()

	made    int // transfers, for their names
	running int // errands; at most maxErrands
	records map[throng.PlayerID]*record
}

// errand is one call, whose answer the loop wants.
type errand struct {
	ask    func(ctx context.Context) error
	answer func(error)
}

// record is a player's profile, checked out under his epoch.
//
//	loading ──▶ kept ⇄ saving ──he left, nothing to save──▶ returned
type record struct {
	member throng.Member
	busy   bool // one call at a time, so that saves arrive in order
	ready  bool // it was checked out
	copied bool // the script has another region's copy, because the home is away
	// revision is of the newest save that is known; unsure: the next one may be
	// there already, with a document that was given up.
	revision throng.Revision
	unsure   bool
	saved    [sha256.Size]byte // hash of the document that was saved or loaded last
	due      time.Duration     // boot clock: when it is looked at whether it has changed
	next     []byte            // the newest document that is to be saved; nil: none
	waiting  []func(error)     // for next
	left     bool              // the player left: return it once next is saved
	then     func()            // what waits for it to be returned; nil: nothing
}

func newKeeper(cfg Config) *keeper {
	return &keeper{
		profiles: cfg.Profiles,
		ledger:   cfg.Ledger,
		random:   cfg.Random,
		logger:   cfg.Logger,
		errands:  make(chan errand, maxErrands),
		answers:  make(chan func()),
		records:  map[throng.PlayerID]*record{},
	}
}

// run does errands, all at once, until ctx ends.
func (k *keeper) run(ctx context.Context) {
	var group sync.WaitGroup
	defer group.Wait()
	for {
		select {
		case <-ctx.Done():
			return
		case e := <-k.errands:
			group.Go(func() {
				err := k.try(ctx, e)
				select {
				case k.answers <- func() { k.running--; e.answer(err) }:
				case <-ctx.Done():
				}
			})
		}
	}
}

// try asks until there is an answer, or it took too long.
func (k *keeper) try(ctx context.Context, e errand) error {
	ctx, cancel := context.WithTimeout(ctx, errandTime)
	defer cancel()
	pause := moveRetry
	for {
		err := e.ask(ctx)
		if err == nil || !again(err) {
			return err
		}
		wait := max(pause, throng.RetryAfterOf(err))
		select {
		case <-ctx.Done():
			return throng.Errorf(throng.Unavailable, "no answer within %s: %w", errandTime, err)
		case <-time.After(wait + upTo(k.random, wait/5+1)):
			pause = min(2*pause, maxBackoff)
		}
	}
}

// send has an errand done. Its answer comes in a later step in any case.
func (l *loop) send(what string, connected bool, e errand) {
	k := l.keeper
	switch {
	case !connected:
		err := throng.Errorf(throng.Unavailable, "%s not connected to this game server yet", what)
		l.later = append(l.later, func() { e.answer(err) })
	case k.running >= maxErrands:
		err := throng.Errorf(throng.RateLimited, "%d calls of %s are under way, which is the most", k.running, what)
		l.later = append(l.later, func() { e.answer(err) })
	default:
		k.running++
		k.errands <- e // has room
	}
}

// keeperBeat says who asks.
func (l *loop) keeperBeat() throng.Heartbeat {
	beat := l.heartbeat()
	beat.Changes = nil
	return beat
}

// checkout loads the profile of a player who came in, once an older stay of his
// is over.
func (l *loop) checkout(s *seat) {
	k := l.keeper
	old := k.records[s.player]
	r := &record{member: throng.Member{Player: s.player, Epoch: s.epoch}, busy: true}
	k.records[s.player] = r
	if old == nil {
		l.load(r)
		return
	}
	old.then = func() { l.load(r) }
}

// load asks until there is a profile, or a reason why there is none.
func (l *loop) load(r *record) {
	k := l.keeper
	var profile throng.Profile
	beat, copied := l.keeperBeat(), r.copied
	l.send("profiles are", k.profiles != nil, errand{
		ask: func(ctx context.Context) (err error) {
			if copied {
				select {
				case <-time.After(copyRetry + upTo(k.random, copyRetry)):
				case <-ctx.Done():
				}
			}
			profile, err = k.profiles.Checkout(ctx, beat, r.member)
			return err
		},
		answer: func(err error) {
			ours := err == nil && !profile.Copy
			r.busy, r.ready = !ours, ours // the script may save it while it hears of it
			r.revision, r.saved = profile.Revision, sha256.Sum256(profile.Document)
			l.putOff(r)
			if !r.left && l.loaded(r, profile, err) && !r.left {
				l.load(r)
				return
			}
			r.busy = r.busy && ours
			l.tend(r)
		},
	})
}

// loaded tells the script what came of a checkout, and says whether to try again.
func (l *loop) loaded(r *record, p throng.Profile, err error) bool {
	away := err != nil && again(err)
	if !away || !r.copied { // else the copy is the best there is
		l.fatal(l.script.Loaded(r.member.Player, p, err))
	}
	r.copied = r.copied && away || p.Copy
	return l.keeper.profiles != nil && (away || p.Copy)
}

// Save keeps a player's document. While one is saved, the newest of those that
// come meanwhile waits.
func (l *loop) Save(call uint64, p throng.PlayerID, document []byte) {
	answer := func(err error) {
		if call != 0 {
			l.fatal(l.script.Saved(call, err))
		}
	}
	r := l.keeper.records[p]
	if r == nil || !r.ready {
		err := throng.Errorf(throng.Unavailable, "the profile of %s is not checked out", p)
		l.later = append(l.later, func() { answer(err) })
		return
	}
	if !r.busy && r.next == nil && sha256.Sum256(document) == r.saved { // it is there
		l.later = append(l.later, func() { answer(nil) })
		return
	}
	r.next = document
	r.waiting = append(r.waiting, answer)
	l.tend(r)
}

// putOff says when a profile is looked at next: not all at once.
func (l *loop) putOff(r *record) {
	every := l.cfg.SaveEvery
	r.due = l.cfg.BootClock() + every*3/4 + upTo(l.cfg.Random, every/4+1)
}

// autosave saves what has changed of one player whose time it is, so that a step
// costs one document at most.
func (l *loop) autosave(boot time.Duration) {
	for _, s := range l.joined {
		r := l.keeper.records[s.player]
		if r == nil || !r.ready || r.left || boot < r.due {
			continue
		}
		l.putOff(r)
		if doc, err := l.script.Document(s.player); !l.fatal(err) && doc != nil {
			l.Save(0, s.player, doc)
		}
		return
	}
}

// flush saves a player's profile and lets go of it, because another session waits
// for it. He plays on until he is evicted, but nothing more of him is kept.
func (l *loop) flush(o throng.Order) {
	r := l.keeper.records[o.Player]
	if r == nil || r.left || r.member.Epoch > o.Epoch {
		return
	}
	if r.ready && l.seats[o.Player] != nil {
		if doc, err := l.script.Document(o.Player); !l.fatal(err) && doc != nil {
			l.Save(0, o.Player, doc)
		}
	}
	r.left = true
	l.lose(r, throng.Errorf(throng.Denied, "another session of %s has his profile now", o.Player))
	l.tend(r)
}

// lose tells the script that a profile is not its session's any more.
func (l *loop) lose(r *record, err error) {
	if s := l.seats[r.member.Player]; s != nil && s.epoch == r.member.Epoch {
		l.fatal(l.script.Loaded(r.member.Player, throng.Profile{}, err))
	}
}

// giveBack ends what this session may write of a player who left.
func (l *loop) giveBack(s *seat) {
	if r := l.keeper.records[s.player]; r != nil && r.member.Epoch == s.epoch {
		r.left = true
		l.tend(r)
	}
}

// tend does the next thing that a profile needs.
func (l *loop) tend(r *record) {
	k := l.keeper
	switch {
	case r.busy:
	case r.ready && r.next != nil:
		l.store(r)
	case r.ready && r.left:
		r.busy, r.ready = true, false
		beat := l.keeperBeat()
		l.send("profiles are", true, errand{
			ask: func(ctx context.Context) error { return k.profiles.Return(ctx, beat, r.member, throng.Profile{}) },
			answer: func(error) { // the next epoch fences this one anyway
				r.busy = false
				l.tend(r)
			},
		})
	case r.left:
		if k.records[r.member.Player] == r {
			delete(k.records, r.member.Player)
		}
		if r.then != nil {
			r.then()
		}
	}
}

// store saves a profile's next document, and lets go of it when the player left.
// While the store is away the newest one waits.
func (l *loop) store(r *record) {
	k := l.keeper
	document, waiting, beat, last := r.next, r.waiting, l.keeperBeat(), r.left
	r.busy, r.next, r.waiting = true, nil, nil
	next := throng.Profile{Document: document, Revision: r.revision + 1}
	call := k.profiles.Save
	if last {
		call = k.profiles.Return
	}
	l.send("profiles are", true, errand{
		ask: func(ctx context.Context) error { return call(ctx, beat, r.member, next) },
		answer: func(err error) {
			r.busy = false
			if l.stored(r, next, err) {
				r.ready = r.ready && !last
			} else if got := throng.KindOf(err); got == throng.Conflict && r.ready { // it takes the next revision
				r.waiting, waiting = append(waiting, r.waiting...), nil
				r.next = newest(r.next, document)
			} else if again(err) {
				r.next = newest(r.next, document)
			}
			for _, answer := range waiting {
				answer(err)
			}
			l.tend(r)
		},
	})
}

// newest is what waits, or else what was tried.
func newest(waits, tried []byte) []byte {
	if waits != nil {
		return waits
	}
	return tried
}

// stored takes the answer to a save. True: it is there.
func (l *loop) stored(r *record, p throng.Profile, err error) bool {
	switch kind := throng.KindOf(err); {
	case err == nil:
		r.revision, r.saved, r.unsure = p.Revision, sha256.Sum256(p.Document), false
		return true
	case again(err):
		r.unsure = true
	case kind == throng.Conflict && r.unsure:
		// What was given up had got through: this is the one after it.
		r.revision, r.unsure = p.Revision, false
		return false
	case kind == throng.Denied || kind == throng.Conflict:
		r.ready = false
		l.lose(r, throng.Errorf(throng.Denied, "%w", err))
	}
	l.logger.Warn("profile not saved", "player", string(r.member.Player), "err", err)
	return false
}

// settle keeps what the players of a session own that is over, and waits for
// what is under way, for settleTime at most. Of a script that failed nothing is
// saved: it was stopped in the midst of it.
func (l *loop) settle() {
	for _, s := range l.joined {
		if r := l.keeper.records[s.player]; r != nil && r.ready && !r.left && !l.end.Failed {
			if doc, err := l.script.Document(s.player); err == nil && doc != nil {
				l.Save(0, s.player, doc)
			}
		}
		l.giveBack(s)
	}
	late := time.After(settleTime)
	for l.runLater(); l.keeper.running > 0; l.runLater() {
		l.watchdog.beat()
		select {
		case f := <-l.keeper.answers:
			l.later = append(l.later, f)
		case <-late:
			l.logger.Warn("what players own was not kept in time", "calls", l.keeper.running)
			return
		}
	}
}

// Post posts a transfer for the script.
func (l *loop) Post(call uint64, t throng.Transfer) {
	k := l.keeper
	var receipt throng.Receipt
	whole, err := l.complete(t)
	answer := func(err error) {
		if err == nil {
			l.tellReported(whole)
		}
		l.fatal(l.script.Posted(call, receipt, err))
	}
	if err != nil {
		l.later = append(l.later, func() { answer(err) })
		return
	}
	beat := l.keeperBeat()
	l.send("the ledger is", k.ledger != nil, errand{
		ask: func(ctx context.Context) (err error) {
			receipt, err = k.ledger.Post(ctx, beat, whole)
			return err
		},
		answer: answer,
	})
}

// complete fills in what a script does not know of a transfer.
func (l *loop) complete(t throng.Transfer) (throng.Transfer, error) {
	out := t
	if out.ID == "" {
		l.keeper.made++
		out.ID = throng.TransferID(fmt.Sprintf("%s-%d", l.cfg.Incarnation, l.keeper.made))
	}
	for _, m := range []*throng.Member{&out.First, &out.Second} {
		if m.Player == "" {
			continue
		}
		s := l.seats[m.Player]
		if s == nil {
			return out, throng.Errorf(throng.Denied, "%s is not in the session any more", m.Player)
		}
		m.Epoch = s.epoch
	}
	return out, out.Check()
}

// Balance reads what a player owns, for the script.
func (l *loop) Balance(call uint64, p throng.PlayerID) {
	k := l.keeper
	var holding throng.Holding
	answer := func(err error) { l.fatal(l.script.Held(call, holding, err)) }
	s := l.seats[p]
	if s == nil {
		l.later = append(l.later, func() { answer(throng.Errorf(throng.Denied, "%s is not in the session any more", p)) })
		return
	}
	beat, member := l.keeperBeat(), throng.Member{Player: p, Epoch: s.epoch}
	l.send("the ledger is", k.ledger != nil, errand{
		ask: func(ctx context.Context) (err error) {
			holding, err = k.ledger.Balance(ctx, beat, member)
			return err
		},
		answer: answer,
	})
}
