package profile

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/throng-gg/throng"
)

// Times of a hand-over.
const (
	FlushTime = 2 * time.Second        // that an older holder is waited for
	flushLook = 100 * time.Millisecond // between looks whether he has let go
)

// Config is what Profiles is made of.
type Config struct {
	Store   Store
	Wallets Wallets
	Flusher Flusher       // nil: nobody is asked
	Changes Changes       // nil: nobody is told
	Region  throng.Region // where a restore's fence is made
	Now     func() time.Time
	Logger  *slog.Logger
	Metrics prometheus.Registerer // nil: not registered
}

// Profiles lets sessions have players' profiles, one at a time.
type Profiles struct {
	cfg     Config
	codec   *codec
	metrics *metrics

	mu sync.Mutex
	// let is closed when a profile is let go of here; guarded by mu. As long as
	// somebody waits: at most one for each checkout under way.
	let map[Key]chan struct{}
}

// New makes Profiles. It starts nothing.
func New(cfg Config) (*Profiles, error) {
	if cfg.Store == nil || cfg.Wallets == nil || cfg.Now == nil || cfg.Logger == nil {
		return nil, throng.Errorf(throng.Invalid, "profiles: a needed part of its configuration is missing")
	}
	m, err := newMetrics(cfg.Metrics)
	if err != nil {
		return nil, err
	}
	c, err := newCodec()
	if err != nil {
		return nil, err
	}
	return &Profiles{cfg: cfg, codec: c, metrics: m, let: map[Key]chan struct{}{}}, nil
}

// Checkout gives a session the profile, and from then on no older one: profile
// and wallet are fenced. The older holder is asked to flush first, and waited for
// at most FlushTime. Repeated by the same session it gives the profile as it is
// then. Denied: a newer session has had it. Whether the player's epoch is the
// session's is the caller's to know.
func (p *Profiles) Checkout(ctx context.Context, c Claim) (out throng.Profile, err error) {
	defer p.metrics.done("checkout", &err)
	if err := checkClaim(c); err != nil {
		return throng.Profile{}, err
	}
	defer p.changed(c.Key, &err)
	head, err := p.cfg.Store.Head(ctx, c.Key)
	if err != nil {
		return throng.Profile{}, fmt.Errorf("profile of %s: %w", c.Key.Player, err)
	}
	if head.Fence > c.Fence {
		return throng.Profile{}, fenced(c, head)
	}
	if held := head.Holder != "" && !head.Returned && head.Holder != c.Session; held && p.cfg.Flusher != nil {
		if err := p.flush(ctx, c, head); err != nil {
			return throng.Profile{}, err
		}
	}
	// The wallet first: between the two the older session may still save, and that
	// save is read below; but it trades no more.
	if err := p.cfg.Wallets.Fence(ctx, c.Key.Game, c.Key.Player, c.Fence); err != nil {
		return throng.Profile{}, fmt.Errorf("wallet of %s: %w", c.Key.Player, err)
	}
	if head, err = p.cfg.Store.Checkout(ctx, c.Key, c.Fence, c.Session); err != nil {
		return throng.Profile{}, fmt.Errorf("profile of %s: %w", c.Key.Player, err)
	}
	return p.read(ctx, c.Key, head.Revision)
}

func fenced(c Claim, head Head) error {
	return throng.AtField(throng.Denied, "epoch", "session %s has had %s since, at epoch %d: epoch %d is fenced",
		head.Holder, c.Key.Player, head.Fence, c.Fence)
}

func checkClaim(c Claim) error {
	if err := checkKey(c.Key); err != nil {
		return err
	}
	if _, err := throng.ParseSessionID("session", string(c.Session)); err != nil {
		return err
	}
	if c.Fence == 0 {
		return throng.AtField(throng.Invalid, "epoch", "is 0")
	}
	return nil
}

// flush asks the older holder to let go, and waits until he has, or for
// FlushTime: then he is fenced anyway.
func (p *Profiles) flush(ctx context.Context, c Claim, head Head) error {
	begun := time.Now()
	defer func() { p.metrics.handover.Observe(time.Since(begun).Seconds()) }()
	let, done := p.watch(c.Key)
	defer done()
	p.cfg.Flusher.Flush(ctx, head.Holder, c.Key.Player, head.Fence)
	over := time.NewTimer(FlushTime)
	defer over.Stop()
	look := time.NewTicker(flushLook)
	defer look.Stop()
	for {
		select {
		case <-ctx.Done():
			return throng.Errorf(throng.Unavailable, "wait for session %s to let go of %s: %w", head.Holder, c.Key.Player, ctx.Err())
		case <-over.C:
			p.cfg.Logger.WarnContext(ctx, "profile is taken from a session that did not let go of it", "player", string(c.Key.Player), "session", string(head.Holder))
			return nil
		case <-let:
			return nil
		case <-look.C: // it may be let go of through another control plane
			now, err := p.cfg.Store.Head(ctx, c.Key)
			if err == nil && (now.Returned || now.Fence != head.Fence) {
				return nil
			}
		}
	}
}

// watch returns what is closed when the profile is let go of here.
func (p *Profiles) watch(k Key) (let <-chan struct{}, done func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	ch := p.let[k]
	if ch == nil {
		ch = make(chan struct{})
		p.let[k] = ch
	}
	return ch, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if p.let[k] == ch {
			delete(p.let, k)
		}
	}
}

func (p *Profiles) tellLet(k Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if ch := p.let[k]; ch != nil {
		close(ch)
		delete(p.let, k)
	}
}

// changed tells that a profile changed, unless an error says that it did not.
func (p *Profiles) changed(k Key, err *error) {
	kind := throng.KindOf(*err)
	if p.cfg.Changes != nil && (*err == nil || kind == throng.Unavailable || kind == throng.Internal) {
		p.cfg.Changes.Changed(k)
	}
}

// read returns a document; revision 0: there is none yet.
func (p *Profiles) read(ctx context.Context, k Key, revision throng.Revision) (throng.Profile, error) {
	if revision == 0 {
		return throng.Profile{}, nil
	}
	save, err := p.cfg.Store.Saved(ctx, k, revision)
	if err != nil {
		return throng.Profile{}, fmt.Errorf("save %d of %s: %w", revision, k.Player, err)
	}
	doc, err := p.codec.unpack(save.Data)
	if err != nil {
		return throng.Profile{}, fmt.Errorf("save %d of %s: %w", revision, k.Player, err)
	}
	return throng.Profile{Document: doc, Revision: save.Revision, SavedAt: save.SavedAt}, nil
}

// Save makes a document the profile's next revision. The same again is no error.
// Invalid: the document is none. Denied: a newer session has the profile.
// Conflict: revision is not the next one. Unavailable: repeat it as it is.
func (p *Profiles) Save(ctx context.Context, c Claim, revision throng.Revision, doc []byte) (err error) {
	defer p.metrics.done("save", &err)
	return p.save(ctx, c, revision, doc, false)
}

// Return saves as Save does, without a document nothing, and lets go of the
// profile. The same again is no error.
func (p *Profiles) Return(ctx context.Context, c Claim, revision throng.Revision, doc []byte) (err error) {
	defer p.metrics.done("return", &err)
	if doc != nil {
		err = p.save(ctx, c, revision, doc, true)
	} else if err = checkClaim(c); err == nil {
		defer p.changed(c.Key, &err)
		err = p.cfg.Store.Return(ctx, c.Key, c.Fence, c.Session)
	}
	if err == nil {
		p.tellLet(c.Key)
	}
	return err
}

func (p *Profiles) save(ctx context.Context, c Claim, revision throng.Revision, doc []byte, returned bool) (err error) {
	if err := checkClaim(c); err != nil {
		return err
	}
	if err := throng.CheckDocument("document", doc); err != nil {
		return err
	}
	defer p.changed(c.Key, &err)
	data := p.codec.pack(doc)
	p.metrics.bytes.WithLabelValues("plain").Add(float64(len(doc)))
	p.metrics.bytes.WithLabelValues("stored").Add(float64(len(data)))
	err = p.cfg.Store.Save(ctx, c.Key, Save{
		Revision: revision, Fence: c.Fence, Holder: c.Session, SavedAt: p.cfg.Now().Truncate(time.Millisecond).UTC(), Size: len(doc), Data: data,
	}, returned)
	if err != nil {
		return fmt.Errorf("save %d of %s: %w", revision, c.Key.Player, err)
	}
	return nil
}

// Get returns the newest document, or the one of a revision. Revision 0 in the
// answer: nothing was saved yet. NotFound: there is none of that revision, or it
// is not kept any more.
func (p *Profiles) Get(ctx context.Context, k Key, revision throng.Revision) (throng.Profile, error) {
	if err := checkKey(k); err != nil {
		return throng.Profile{}, err
	}
	if revision == 0 {
		head, err := p.cfg.Store.Head(ctx, k)
		if err != nil {
			return throng.Profile{}, fmt.Errorf("profile of %s: %w", k.Player, err)
		}
		revision = head.Revision
	}
	return p.read(ctx, k, revision)
}

func checkKey(k Key) error {
	if _, err := throng.ParseGameID("game", string(k.Game)); err != nil {
		return err
	}
	_, err := throng.ParsePlayerID("player", string(k.Player))
	return err
}

// Saves lists what is kept of a profile, the newest first.
func (p *Profiles) Saves(ctx context.Context, k Key) ([]throng.ProfileSave, error) {
	if err := checkKey(k); err != nil {
		return nil, err
	}
	list, err := p.cfg.Store.Saves(ctx, k)
	out := make([]throng.ProfileSave, len(list))
	for i, s := range list {
		out[i] = throng.ProfileSave{Revision: s.Revision, SavedAt: s.SavedAt, Session: s.Holder, Size: s.Size}
	}
	return out, err
}

// Restore makes an older save the newest, under a fence of its own: a session
// that has the profile loses it, and its saves are refused from then on. NotFound:
// the save is not kept any more.
func (p *Profiles) Restore(ctx context.Context, k Key, revision throng.Revision) (out throng.Revision, err error) {
	defer p.metrics.done("restore", &err)
	if err := checkKey(k); err != nil {
		return 0, err
	}
	save, err := p.cfg.Store.Saved(ctx, k, revision)
	if err != nil {
		return 0, fmt.Errorf("save %d of %s: %w", revision, k.Player, err)
	}
	if _, err := p.codec.unpack(save.Data); err != nil {
		return 0, fmt.Errorf("save %d of %s: %w", revision, k.Player, err)
	}
	head, err := p.cfg.Store.Head(ctx, k)
	if err != nil {
		return 0, fmt.Errorf("profile of %s: %w", k.Player, err)
	}
	defer p.changed(k, &err)
	fence := throng.NextEpoch(p.cfg.Now(), head.Fence, p.cfg.Region.Number)
	if head, err = p.cfg.Store.Checkout(ctx, k, fence, ""); err != nil {
		return 0, fmt.Errorf("profile of %s: %w", k.Player, err)
	}
	save.Revision, save.Fence, save.Holder = head.Revision+1, fence, ""
	save.SavedAt = p.cfg.Now().Truncate(time.Millisecond).UTC()
	if err := p.cfg.Store.Save(ctx, k, save, true); err != nil {
		return 0, fmt.Errorf("restore save %d of %s: %w", revision, k.Player, err)
	}
	return save.Revision, nil
}
