package redis

import (
	"context"
	"crypto/rand"
	"crypto/sha1" //nolint:gosec // it is how Redis names scripts
	"embed"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/redis/rueidis"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/session"
)

//go:embed lua/*.lua
var luaFiles embed.FS

// script is one of the scripts of a family.
type script uint8

const (
	scriptStamp script = iota
	scriptOpen
	scriptRead
	scriptTend
	scriptHold
	scriptUnhold
	scriptSeat
	scriptSeated
	scriptUnseat
	scriptEvict
	scriptHeartbeat
	scriptReport
	scriptPublished
	scriptDrain
	scriptEnd
	scriptExpire
	scriptForget
	scriptPage
	scriptClaim
	scriptMember
	scriptSettle
	scriptTicket
	scriptLeave
	scriptFence
	scriptRestore
	scriptEvicted
	scriptLeft
	scriptPresence
	scriptReap
	scriptCount
)

// recipes says what each script is made of, in order, and when it is served.
var recipes = [scriptCount]struct { //nolint:gochecknoglobals // a constant table
	need  need
	all   bool // it begins or ends sessions: see lifeKeys
	parts string
}{
	scriptStamp:     {always, false, "stamp"},
	scriptOpen:      {grants, true, "prelude session holds add open save"},
	scriptRead:      {live, false, "prelude session holds read save"},
	scriptTend:      {always, false, "prelude session holds read save"},
	scriptHold:      {grants, false, "prelude session holds hold save"},
	scriptUnhold:    {live, false, "prelude session holds seats unhold save"},
	scriptSeat:      {live, false, "prelude session holds seats seat save"},
	scriptSeated:    {live, false, "prelude session holds seats seated save"},
	scriptUnseat:    {always, false, "prelude session holds seats depart unseat save"},
	scriptEvict:     {always, false, "prelude session holds orders evict save"},
	scriptHeartbeat: {always, false, "prelude session holds seats depart orders bind published heartbeat save"},
	scriptReport:    {always, true, "prelude session holds seats depart orders bind add report save"},
	scriptPublished: {always, false, "prelude session published note save"},
	scriptDrain:     {live, false, "prelude session holds orders drain save"},
	scriptEnd:       {live, true, "prelude session holds depart bury end save"},
	scriptExpire:    {live, true, "prelude session holds depart bury expire save"},
	scriptForget:    {always, true, "prelude forget"},
	scriptPage:      {grants, false, "prelude page"},
	scriptClaim:     {grants, false, "prelude player places ticket claim"},
	scriptMember:    {grants, false, "prelude player more member"},
	scriptSettle:    {grants, false, "prelude player places ticket settle"},
	scriptTicket:    {live, false, "prelude player places ticket find"},
	scriptLeave:     {live, false, "prelude player places ticket more leave"},
	scriptFence:     {live, false, "prelude player places more fence"},
	scriptRestore:   {always, false, "prelude places each player more fence every"},
	scriptEvicted:   {always, false, "prelude player more evicted"},
	scriptLeft:      {always, false, "prelude player more left"},
	scriptPresence:  {live, false, "prelude player places presence"},
	scriptReap:      {always, false, "prelude reap"},
}

// family is all scripts of one generation. Their text carries its nonce, so
// that a Redis which has one of them is the process in which the generation
// began: scripts are neither saved nor sent to replicas.
type family struct {
	nonce  string // 8 characters
	anchor string // a script that is the same in every version of Throng; its name
	texts  [scriptCount]string
	names  [scriptCount]string
}

func anchorText(nonce string) string { return "return 'throng generation " + nonce + "'" }

func scriptName(text string) string {
	sum := sha1.Sum([]byte(text)) //nolint:gosec // as above
	return hex.EncodeToString(sum[:])
}

// patch puts another line in place of one of a part, as tests do to take a guard
// out. Nothing but a test can make one.
type patch struct{ part, line, instead string }

func patched(part, line string, patches []patch) string {
	for _, p := range patches {
		if p.part == part && p.line == line {
			return p.instead
		}
	}
	return line
}

func newFamily(nonce string, quarantine time.Duration, clock string, patches []patch) *family {
	f := &family{nonce: nonce, anchor: scriptName(anchorText(nonce))}
	all := sha1.New() //nolint:gosec // as above
	for i, r := range recipes {
		var text strings.Builder
		fmt.Fprintf(&text, "local NONCE, NEED, QUARANTINE, CLOCK = '%s', %d, %d, %s\n", nonce, r.need, quarantine.Milliseconds(), clock)
		for part := range strings.FieldsSeq(r.parts) {
			b, err := luaFiles.ReadFile("lua/" + part + ".lua")
			if err != nil {
				panic(err) // the files are in the binary
			}
			for line := range strings.Lines(string(b)) {
				if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "--") {
					text.WriteString(patched(part, line, patches) + "\n")
				}
			}
		}
		f.texts[i] = text.String()
		all.Write([]byte(f.texts[i]))
	}
	// A stamp that is loaded says that all of its version are: it has to differ if
	// any of them does.
	f.texts[scriptStamp] += "-- " + hex.EncodeToString(all.Sum(nil)) + "\n"
	for i, text := range f.texts {
		f.names[i] = scriptName(text)
	}
	return f
}

// shelf keeps families by their nonce.
type shelf struct {
	quarantine time.Duration
	clock      string  // in Lua, the time that is told in tests; nil
	patches    []patch // in tests

	mu       sync.Mutex
	families map[string]*family
	recent   []string // nonces that this process loaded, oldest first, at most 8
}

func newShelf(quarantine time.Duration, clock string) *shelf {
	return &shelf{quarantine: quarantine, clock: clock, families: map[string]*family{}}
}

// get returns the family of a nonce.
func (s *shelf) get(nonce string) *family {
	s.mu.Lock()
	defer s.mu.Unlock()
	f := s.families[nonce]
	if f == nil {
		if len(s.families) >= 64 {
			clear(s.families)
		}
		f = newFamily(nonce, s.quarantine, s.clock, s.patches)
		s.families[nonce] = f
	}
	return f
}

// draw makes a family that no Redis has.
func (s *shelf) draw() *family { return s.get(rand.Text()[:8]) }

func (s *shelf) used(nonce string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.recent) == 8 {
		s.recent = s.recent[1:]
	}
	s.recent = append(s.recent, nonce)
}

func (s *shelf) candidates() []*family {
	s.mu.Lock()
	recent := append([]string(nil), s.recent...)
	s.mu.Unlock()
	list := make([]*family, 0, len(recent))
	for _, nonce := range recent {
		list = append(list, s.get(nonce))
	}
	return list
}

// call is one run of a script.
type call struct {
	link   *link
	shard  uint8
	script script
	keys   []string // after the shard's stamp
	args   []string
}

// errUnknown is what scripts answer for what is not there.
var errUnknown = throng.Errorf(throng.NotFound, "not known")

// run runs a script of the shard's generation and returns its answer. A script
// that is not loaded means that Redis is not what it was: only a stamp may load
// scripts, so run never does. Errors: Unavailable, or errUnknown.
func (st *Store) run(ctx context.Context, c call) ([]rueidis.RedisMessage, error) {
	client, err := c.link.get()
	if err != nil {
		return nil, err
	}
	if c.skewed(st) {
		return nil, st.clock.refusal()
	}
	f := st.loaded[c.shard].Load()
	for range 3 {
		if f == nil {
			if f, err = st.lookUp(ctx, client, c.shard); err != nil {
				return nil, err
			}
		}
		got, err := client.Do(ctx, st.evalsha(client, f, c)).ToArray()
		if isNoScript(err) {
			st.loaded[c.shard].CompareAndSwap(f, nil)
			if f, err = st.lookUpOther(ctx, client, c.shard, f); err != nil {
				return nil, err
			}
			continue
		}
		if err != nil {
			return nil, away(err)
		}
		if len(got) == 0 {
			return nil, throng.Errorf(throng.Internal, "redis script %d answered nothing", c.script)
		}
		switch short(got) {
		case "N":
			f = st.shelf.get(text(got[1]))
			st.loaded[c.shard].Store(f)
		case "W":
			return nil, session.Rebuilding(time.Duration(number(got[1])) * time.Millisecond)
		case "U":
			return nil, errUnknown
		default:
			return got, nil
		}
	}
	return nil, session.Rebuilding(session.TickTime)
}

// lookUpOther reads which generation a shard is in. Unavailable: none, or the one
// whose scripts are gone.
func (st *Store) lookUpOther(ctx context.Context, client rueidis.Client, shard uint8, gone *family) (*family, error) {
	f, err := st.lookUp(ctx, client, shard)
	if err == nil && f == gone {
		return nil, session.Rebuilding(session.TickTime)
	}
	return f, err
}

func (c call) skewed(st *Store) bool { return recipes[c.script].need == grants && st.clock.skewed() }

func (st *Store) evalsha(client rueidis.Client, f *family, c call) rueidis.Completed {
	keys := client.B().Evalsha().Sha1(f.names[c.script]).Numkeys(int64(len(c.keys) + 1)).
		Key(st.names.shard[c.shard]).Key(c.keys...)
	return keys.Arg(c.args...).Arg(st.tell()...).Build()
}

// tell is what tests tell scripts in addition: the time.
func (st *Store) tell() []string {
	if st.config.clock == nil {
		return nil
	}
	return []string{strconv.FormatInt(st.config.clock().UnixMilli(), 10)}
}

// lookUp reads which generation a shard is in. Unavailable: none.
func (st *Store) lookUp(ctx context.Context, client rueidis.Client, shard uint8) (*family, error) {
	s, err := st.readStamp(ctx, client, shard)
	if err != nil {
		return nil, err
	}
	if s.nonce == "" {
		return nil, session.Rebuilding(session.TickTime)
	}
	f := st.shelf.get(s.nonce)
	st.loaded[shard].Store(f)
	return f, nil
}

func (st *Store) readStamp(ctx context.Context, client rueidis.Client, shard uint8) (stamp, error) {
	v, err := client.Do(ctx, client.B().Get().Key(st.names.shard[shard]).Build()).ToString()
	if err != nil && !rueidis.IsRedisNil(err) {
		return stamp{}, away(err)
	}
	return parseStamp(v), nil
}

// number reads an integer of an answer.
func number(m rueidis.RedisMessage) int64 {
	n, _ := m.AsInt64()
	return n
}

// text reads a string of an answer.
func text(m rueidis.RedisMessage) string {
	s, _ := m.ToString()
	return s
}
