package gameserver

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"math"
	"net/netip"
	"time"

	"github.com/throng-gg/throng"
)

// sampleEvery is the span of a player's samples.
const sampleEvery = time.Second

// sample is what a player did since the last one was told.
type sample struct {
	begun      time.Duration // boot clock; 0: none yet
	entity     uint32        // the player's first one; 0: none
	x, y       float64
	known      bool // x and y are of the tick before
	distance   float64
	stepMost   float64
	inputs     int
	presses    int
	buttons    uint32        // that are down
	pressed    time.Duration // by the player's steps: when one was pressed last; 0: not yet
	pressLeast time.Duration // 0: there were not two
}

// input counts an input that was applied, made at so long by the player's own steps.
func (p *sample) input(in Input, at time.Duration) {
	p.inputs++
	if in.Buttons&^p.buttons != 0 {
		p.presses++
		// A player who came back counts from the start.
		if gap := at - p.pressed; p.pressed > 0 && gap > 0 && (p.pressLeast == 0 || gap < p.pressLeast) {
			p.pressLeast = gap
		}
		p.pressed = at
	}
	p.buttons = in.Buttons
}

// moved counts a tick in which the entity has a place.
func (p *sample) moved(x, y float64) {
	if p.known {
		way := math.Hypot(x-p.x, y-p.y)
		p.distance += way
		p.stepMost = max(p.stepMost, way)
	}
	p.x, p.y, p.known = x, y, true
}

// sampleMotion looks at where players are, and tells of each once a second.
func (l *loop) sampleMotion(boot time.Duration) {
	if l.cfg.Events == nil {
		return
	}
	for _, s := range l.joined {
		p := &s.sample
		over := boot-p.begun >= sampleEvery
		x, y, there := l.world.placeOf(s.player, p.entity)
		if !there {
			p.entity, p.known = 0, false
			if over {
				x, y, p.entity = l.world.firstOf(s.player)
			}
		}
		if p.entity != 0 {
			p.moved(x, y)
		}
		if over {
			l.tellMotion(s, boot)
		}
	}
}

func (l *loop) tellMotion(s *seat, boot time.Duration) {
	p := &s.sample
	if p.entity != 0 && p.begun != 0 {
		l.happened(throng.Event{
			ID:   throng.EventID(fmt.Sprintf("%s/motion/%s/%d/%d", l.hand.Session, s.player, s.epoch, l.tick)),
			Type: throng.EventMotionSampled, Stream: throng.StreamMotion, Key: string(s.player), Player: s.player,
		}, throng.MotionSampled{
			Epoch: s.epoch, SpanMS: max((boot - p.begun).Milliseconds(), 1), X: p.x, Y: p.y, Distance: p.distance, StepMost: p.stepMost,
			TickMS: 1000 / float64(l.rate), Inputs: p.inputs, Presses: p.presses, PressLeast: p.pressLeast.Milliseconds(), Source: s.source,
		})
	}
	p.begun, p.distance, p.stepMost, p.inputs, p.presses, p.pressLeast = boot, 0, 0, 0, 0, 0
}

// sourceOf is the same for players of one address in this session, and says nothing
// else to who does not have its key.
func (l *loop) sourceOf(a netip.Addr) string {
	if l.cfg.Events == nil {
		return ""
	}
	sum := hmac.New(sha256.New, l.hand.Key[:])
	sum.Write([]byte("address of a player"))
	sum.Write(a.AsSlice())
	return base64.RawURLEncoding.EncodeToString(sum.Sum(nil)[:12])
}
