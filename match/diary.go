package match

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/throng-gg/throng"
)

// diary is what is written down of the work on one ticket, by the goroutine that
// does it. It travels in the context, as a trace does; a nil one takes nothing.
type diary struct {
	record throng.JoinRecord
	since  time.Time
}

type diaryKey struct{}

func withDiary(ctx context.Context, d *diary) context.Context {
	if d == nil {
		return ctx
	}
	return context.WithValue(ctx, diaryKey{}, d)
}

func diaryOf(ctx context.Context) *diary {
	d, _ := ctx.Value(diaryKey{}).(*diary)
	return d
}

func (m *Matchmaker) newDiary(w *work) *diary {
	if m.joins == nil {
		return nil
	}
	t := w.ticket
	d := &diary{since: w.since, record: throng.JoinRecord{
		Ticket: t.Key.Ticket, Caller: t.Key.Caller, Region: m.region.ID, Process: m.process,
		Place: t.Place, Version: t.Version, Mode: t.Mode, Party: t.Party, Players: len(t.Party),
		At: w.since, Regions: t.Regions, Steps: make([]throng.JoinStep, 0, 12),
	}}
	m.mu.Lock()
	begun, waiting, place := w.begun.Sub(w.since), m.queue.waiting, w.told
	d.record.Under = m.queue.started
	m.mu.Unlock()
	d.record.Steps = append(d.record.Steps, throng.JoinStep{Step: throng.StepAdmitted})
	if place > 0 || waiting > 0 {
		words := fmt.Sprintf("%d wait in line", waiting)
		if place > 0 {
			words = fmt.Sprintf("was told number %d in line; %s", place, words)
		}
		d.record.Steps = append(d.record.Steps, throng.JoinStep{AfterMs: float64(begun.Microseconds()) / 1000, Step: throng.StepBegun, Detail: words})
	}
	return d
}

func (d *diary) after() float64 { return float64(time.Since(d.since).Microseconds()) / 1000 }

// step writes one down; the last of too many takes the place of the one before.
func (d *diary) step(s throng.JoinStep) {
	s.AfterMs = d.after()
	if n := len(d.record.Steps); n >= throng.MaxJoinSteps {
		d.record.Steps[n-1] = s
		return
	}
	d.record.Steps = append(d.record.Steps, s)
}

// note writes a step down, and why it did not succeed.
func note(ctx context.Context, step string, session throng.SessionID, err error) {
	d := diaryOf(ctx)
	if d == nil {
		return
	}
	s := throng.JoinStep{Step: step, Session: session}
	if err != nil {
		s.Code, s.Detail = code(err), clip(err.Error())
	}
	d.step(s)
}

func detail(ctx context.Context, step, format string, args ...any) {
	if d := diaryOf(ctx); d != nil {
		d.step(throng.JoinStep{Step: step, Detail: fmt.Sprintf(format, args...)})
	}
}

func resolved(ctx context.Context, r throng.Release, err error) {
	if err != nil {
		note(ctx, throng.StepResolved, "", err)
		return
	}
	detail(ctx, throng.StepResolved, "version %d", r.Version)
}

// waited writes down that the seats came with a session that was opened.
func waited(ctx context.Context, a *ask) {
	if d := diaryOf(ctx); d != nil {
		detail(ctx, throng.StepHeld, "as number %d in line, after %d openings", a.ahead+1, a.openings)
	}
}

// decided writes down how the desk chose.
func decided(ctx context.Context, a *ask) {
	d := diaryOf(ctx)
	if d == nil || a.decision == nil || len(d.record.Decisions) >= throng.MaxJoinDecisions {
		return
	}
	made := *a.decision
	made.AfterMs, made.Line, made.Openings = d.after(), a.ahead+1, a.openings
	d.record.Decisions = append(d.record.Decisions, made)
}

// end hands the record over.
func (d *diary) end(to Joins, a throng.Assignment, err error) {
	if d == nil {
		return
	}
	r := &d.record
	r.Code = code(err)
	if err != nil {
		r.Detail = clip(err.Error())
	} else {
		r.Session, r.Version = a.Session.ID, a.Grant.Version
	}
	d.step(throng.JoinStep{Step: throng.StepAnswered})
	r.TookMs = r.Steps[len(r.Steps)-1].AfterMs
	to.Record(*r)
}

// clip bounds the words of an error.
func clip(s string) string {
	const most = 300
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
