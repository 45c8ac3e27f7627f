package match

import (
	"context"
	"time"

	"github.com/throng-gg/throng"
)

// history is what is known of a ticket that comes in.
type history uint8

const (
	unasked  history = iota // nobody asked the registry yet
	fresh                   // it has no answer
	answered                // it is settled: there is nothing to stand in line for
)

func historyOf(c throng.Claim) history {
	if c.Grant != nil {
		return answered
	}
	return fresh
}

// settled asks the registry whether a ticket that would stand in line has its
// answer already. If the registry does not say, it stands in line.
func (m *Matchmaker) settled(ctx context.Context, k throng.TicketKey) history {
	asking, cancel := within(ctx, m.callTime)
	defer cancel()
	claim, err := m.registry.Lookup(asking, k)
	if err != nil {
		return fresh
	}
	return historyOf(claim)
}

// admit finds the work on a ticket, or makes one that is begun, or takes its
// place in line. Nil: it would have to wait, so the registry is asked first.
func (m *Matchmaker) admit(t throng.Ticket, h history) (*work, error) {
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil, throng.RetryLater(throng.Unavailable, askAgain, "matching is stopping")
	}
	if w := m.works[t.Key]; w != nil && !w.failed() && !w.stale(now) {
		if !same(w.ticket, t) {
			return nil, throng.AtField(throng.Conflict, "ticket",
				"%s is being placed with other content", t.Key.Ticket)
		}
		return w, nil
	}
	w := &work{ticket: t, since: now, asked: now, begun: now, done: make(chan struct{})}
	w.ticket.Line = ""
	switch {
	case h == answered:
		if !m.queue.pass(w) {
			m.metrics.turnedAway.Inc()
			return nil, throng.RetryLater(throng.Unavailable, askAgain, "too many answers are asked for again")
		}
		m.admitted <- w // has room for all that pass
	case m.queue.startNow(w, now):
		m.admitted <- w // has room for all that are begun
	case h == unasked:
		return nil, nil //nolint:nilnil // neither is an answer yet
	default:
		if since, ok := m.readLine(t, now); ok {
			w.since = since
		}
		if err := m.queue.push(w, now); err != nil {
			m.metrics.turnedAway.Inc()
			return nil, err
		}
	}
	m.works[t.Key] = w
	m.count()
	return w, nil
}

// await waits for a work's end, up to wait.
func (m *Matchmaker) await(ctx context.Context, w *work, wait time.Duration) (throng.Placement, error) {
	m.mu.Lock()
	w.callers++
	m.mu.Unlock()
	if wait > 0 {
		timer := time.NewTimer(min(wait, longest))
		defer timer.Stop()
		select {
		case <-w.done:
		case <-ctx.Done():
		case <-timer.C:
		}
	}
	now := time.Now()
	m.mu.Lock()
	defer m.mu.Unlock()
	w.callers--
	w.asked = now
	if w.over() {
		return w.answer()
	}
	if ctx.Err() != nil {
		return throng.Placement{}, fault(ctx, ctx.Err(), "wait for ticket "+string(w.ticket.Key.Ticket))
	}
	return m.queueing(w, now), nil
}

// queueing is what a ticket that waits is told.
func (m *Matchmaker) queueing(w *work, now time.Time) throng.Placement {
	at := m.queue.place(w, now)
	// Somebody who brings an earlier place along does not move others back.
	if w.told == 0 || at.position < w.told {
		w.told = at.position
	}
	if w.stated == 0 && at.wait > 0 {
		w.stated, w.statedAt = at.wait, now
	}
	return throng.Placement{Position: w.told, Wait: at.wait, RetryAfter: askAfter(at), Line: m.writeLine(w, now)}
}

// askAfter is when to ask again. It is a little before the time comes, because a
// seat is held for seconds only, and not after much longer than the line has been
// looked at; with waits that nobody knows yet, the farther back the later.
func askAfter(at standing) time.Duration {
	after := min(at.wait*17/20, 2*at.sure)
	if at.wait <= 0 {
		after = time.Duration(at.position) * 100 * time.Microsecond
	}
	return min(max(after, askAgain), askMost)
}

// hasSeats says that a work is as good as done: those behind it move on.
func (m *Matchmaker) hasSeats(w *work) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.queue.seat(w)
}

// finish ends a work. It stays for a while for those who ask from time to time:
// a failure, which nobody else remembers, and an assignment as long as it is
// sure that the registry did not lose it and give another one; after that the
// registry has to be asked.
func (m *Matchmaker) finish(w *work, a throng.Assignment, err error) {
	now := time.Now()
	m.metrics.placements.WithLabelValues(code(err)).Inc()
	m.mu.Lock()
	defer m.mu.Unlock()
	w.assignment, w.err = a, err
	if err == nil {
		m.metrics.seconds.Observe(now.Sub(w.since).Seconds())
		if w.stated > 0 {
			m.metrics.estimate.Observe(w.stated.Seconds() / max(now.Sub(w.statedAt).Seconds(), .001))
		}
		w.until = w.proven.Add(proofTime)
		m.answered = append(m.answered, w)
	} else {
		w.until = now.Add(forgetting)
		m.failed = append(m.failed, w)
	}
	m.queue.end(w, now)
	close(w.done)
	m.failed = m.expire(m.failed, now)
	m.answered = m.expire(m.answered, now)
	m.advance(now)
}

// expire forgets works that do not count any more, from the oldest on, and the
// oldest when there are too many.
func (m *Matchmaker) expire(works []*work, now time.Time) []*work {
	for len(works) > 0 && (len(works) > m.tickets+m.queue.lineMost || works[0].stale(now)) {
		if old := works[0]; m.works[old.ticket.Key] == old {
			delete(m.works, old.ticket.Key)
		}
		works[0] = nil
		works = works[1:]
	}
	return works
}

// advance begins with those in line for whom there is room now.
func (m *Matchmaker) advance(now time.Time) {
	for !m.closed {
		w := m.queue.next()
		if w == nil {
			break
		}
		if w.idle(now) {
			m.forget(w)
			continue
		}
		m.queue.start(w, now)
		m.metrics.lineSeconds.Observe(now.Sub(w.since).Seconds())
		m.admitted <- w
	}
	m.count()
}

// sweep takes those out of the line whom nobody has asked for.
func (m *Matchmaker) sweep(now time.Time) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, w := range m.queue.sweep(now) {
		m.forget(w)
	}
	m.count()
}

func (m *Matchmaker) forget(w *work) {
	m.metrics.lineLeft.Inc()
	m.drop(w, throng.RetryLater(throng.Unavailable, askAgain,
		"nobody asked for the ticket for %s, so it left the line", lineIdle))
}

// drop ends a work that stands in line.
func (m *Matchmaker) drop(w *work, err error) {
	m.queue.leave(w)
	delete(m.works, w.ticket.Key)
	w.err = err
	close(w.done)
}

func (m *Matchmaker) count() {
	m.metrics.waiting.Set(float64(m.queue.started))
	m.metrics.line.Set(float64(m.queue.waiting))
}

// close refuses what comes from now on and ends what nobody began.
func (m *Matchmaker) close() {
	stopping := throng.RetryLater(throng.Unavailable, askAgain, "matching is stopping")
	m.mu.Lock()
	m.closed = true
	for _, w := range m.works {
		if w.phase == inLine {
			m.drop(w, stopping)
		}
	}
	m.mu.Unlock()
	for {
		select {
		case w := <-m.admitted:
			m.finish(w, throng.Assignment{}, stopping)
		default:
			return
		}
	}
}
