package bolt

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"go.etcd.io/bbolt"

	"github.com/throng-gg/throng"
)

const (
	maxBatch = 512  // writes of one transaction
	maxQueue = 8192 // writes that wait; more are Unavailable
)

// write is one change: it reads and decides, and returns what writes. An error of
// the first part refuses this one only; one of the second fails all that are
// written together.
type write func(*bbolt.Tx) (put func() error, err error)

// waiting is a write in the queue.
type waiting struct {
	write write
	err   error         // owned by whoever commits until done
	lead  chan struct{} // told to commit, for itself and those behind it
	done  chan struct{}
}

// queue is writes that wait for the disk. Whoever finds nobody committing does
// it, for all that are there, then passes that on to one of those that came
// meanwhile: nobody works for others for longer than one commit.
type queue struct {
	mu      sync.Mutex
	waits   []*waiting // guarded by mu
	busy    bool       // guarded by mu: somebody commits, or was told to
	closing bool       // guarded by mu
	broken  bool       // guarded by mu: the file is to be opened anew
}

func (q *queue) close() {
	q.mu.Lock()
	q.closing = true
	q.mu.Unlock()
}

// change makes one write durable. It is not given up once it waits: what ctx says
// afterwards does not change what is written.
func (s *Store) change(ctx context.Context, w write) error {
	if err := ctx.Err(); err != nil {
		return throng.Errorf(throng.Unavailable, "not written: %w", err)
	}
	own := &waiting{write: w, lead: make(chan struct{}, 1), done: make(chan struct{})}
	q := &s.queue
	q.mu.Lock()
	switch {
	case q.closing:
		q.mu.Unlock()
		return throng.Errorf(throng.Unavailable, "%s is being closed", s.cfg.Path)
	case len(q.waits) >= maxQueue:
		q.mu.Unlock()
		return throng.RetryLater(throng.Unavailable, time.Second, "%d writes wait for the disk already", maxQueue)
	}
	q.waits = append(q.waits, own)
	if !q.busy {
		q.busy = true
		own.lead <- struct{}{}
	}
	q.mu.Unlock()
	select {
	case <-own.done:
	case <-own.lead:
		s.commitWaiting()
		<-own.done
	}
	return own.err
}

// commitWaiting commits what waits, which the caller is the first of, and tells
// the next one.
func (s *Store) commitWaiting() {
	q := &s.queue
	q.mu.Lock()
	n := min(len(q.waits), maxBatch)
	batch := q.waits[:n:n]
	q.waits = q.waits[n:]
	q.mu.Unlock()

	s.commit(batch)

	q.mu.Lock()
	if len(q.waits) > 0 {
		q.waits[0].lead <- struct{}{}
	} else {
		q.busy = false
	}
	q.mu.Unlock()
	for _, w := range batch {
		close(w.done)
	}
}

// commit writes a batch in one transaction.
func (s *Store) commit(batch []*waiting) {
	err := s.reopened()
	if err == nil {
		err = s.transact(batch)
	}
	if err == nil {
		return
	}
	for _, w := range batch {
		if w.err == nil {
			w.err = err
		}
	}
}

// transact runs the transaction. When its commit fails nobody knows what is on
// the disk, so the file is opened anew before it is used again.
func (s *Store) transact(batch []*waiting) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return throng.Errorf(throng.Unavailable, "%s is closed", s.cfg.Path)
	}
	tx, err := s.db.Begin(true)
	if err != nil {
		return s.failed(fmt.Errorf("begin: %w", err))
	}
	wrote := false
	for _, w := range batch {
		var put func() error
		if put, w.err = w.write(tx); w.err != nil || put == nil {
			continue
		}
		wrote = true
		if err := put(); err != nil {
			return s.failed(errors.Join(err, tx.Rollback()))
		}
	}
	if !wrote {
		return tx.Rollback()
	}
	if err := s.fault("begin"); err != nil {
		return s.failed(errors.Join(err, tx.Rollback()))
	}
	if err := tx.Commit(); err != nil {
		return s.failed(err)
	}
	return s.fault("end")
}

func (s *Store) fault(at string) error {
	if s.cfg.Fault == nil {
		return nil
	}
	return s.cfg.Fault(at)
}

// failed marks the file to be opened anew.
func (s *Store) failed(err error) error {
	s.queue.mu.Lock()
	s.queue.broken = true
	s.queue.mu.Unlock()
	return throng.RetryLater(throng.Unavailable, time.Second, "write %s: not known whether it was: %w", s.cfg.Path, err)
}

// reopened opens the file anew if the last commit failed.
func (s *Store) reopened() error {
	s.queue.mu.Lock()
	broken := s.queue.broken
	s.queue.mu.Unlock()
	if !broken {
		return nil
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db != nil {
		err := s.db.Close()
		s.db = nil
		if err != nil {
			return throng.RetryLater(throng.Unavailable, time.Second, "close %s after a failure: %w", s.cfg.Path, err)
		}
	}
	if err := s.open(); err != nil {
		return throng.RetryLater(throng.Unavailable, time.Second, "after a failure: %w", err)
	}
	s.queue.mu.Lock()
	s.queue.broken = false
	s.queue.mu.Unlock()
	return nil
}
