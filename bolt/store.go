package bolt

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	berrors "go.etcd.io/bbolt/errors"

	"github.com/throng-gg/throng"
)

// The file's buckets.
const (
	profileHeads = "profiles"
	profileSaves = "saves"
	accounts     = "accounts"
	uniques      = "uniques"
	records      = "records"
	entries      = "entries"
	catalogs     = "catalogs"
	outbox       = "outbox"
	shardMarks   = "marks"
	shardPages   = "pages"
	shardRows    = "rows"
	bans         = "bans"
	homes        = "home"
)

// bucket returns one of them; Open made them all.
func bucket(tx *bbolt.Tx, name string) *bbolt.Bucket { return tx.Bucket([]byte(name)) }

// Config is what a Store is made of.
type Config struct {
	Path     string
	ReadOnly bool
	// Outbox says that transfers are put into the outbox, for somebody who drains it.
	Outbox bool
	// Fault is called before and after a transaction's commit with "begin" and
	// "end"; its error takes the place of the commit, or of its answer. Nil: none.
	// It is for tests of crashes.
	Fault func(at string) error
}

// Store is the file. It serves profile.Store, ledger.Store, ledger.Catalogs,
// ledger.Books, ledger.Outbox, consumer.Store and what keeps bans and the home.
type Store struct {
	cfg Config

	// Held for reading by who uses db, for writing by who replaces it.
	mu sync.RWMutex
	db *bbolt.DB // guarded by mu; nil: it has to be opened anew, or was closed

	queue queue
}

// Open opens the file, made when missing, for this process alone. Unavailable:
// another one has it. Internal: it is damaged.
func Open(cfg Config) (*Store, error) {
	s := &Store{cfg: cfg}
	if err := s.open(); err != nil {
		return nil, err
	}
	return s, nil
}

// open opens the file; mu is held, or nobody else knows s.
func (s *Store) open() error {
	db, err := bbolt.Open(s.cfg.Path, 0o600, &bbolt.Options{
		Timeout: 100 * time.Millisecond, FreelistType: bbolt.FreelistMapType, InitialMmapSize: 64 << 20, ReadOnly: s.cfg.ReadOnly,
	})
	switch {
	case errors.Is(err, berrors.ErrTimeout):
		return throng.RetryLater(throng.Unavailable, time.Second, "%s is in use by another process", s.cfg.Path)
	case errors.Is(err, fs.ErrNotExist):
		return throng.Errorf(throng.NotFound, "open %s: %w", s.cfg.Path, err)
	case err != nil:
		return fmt.Errorf("open %s: %w", s.cfg.Path, err)
	}
	if !s.cfg.ReadOnly {
		err = makeBuckets(db)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("open %s: %w", s.cfg.Path, err), db.Close())
	}
	s.db = db
	return nil
}

// makeBuckets makes those that are missing. If none is, nothing is written: with a
// full disk the file opens, and what is in it can be read.
func makeBuckets(db *bbolt.DB) error {
	all := []string{profileHeads, profileSaves, accounts, uniques, records, entries, catalogs, outbox, shardMarks, shardPages, shardRows, bans, homes}
	complete := true
	err := db.View(func(tx *bbolt.Tx) error {
		for _, name := range all {
			complete = complete && bucket(tx, name) != nil
		}
		return nil
	})
	if err != nil || complete {
		return err
	}
	return db.Update(func(tx *bbolt.Tx) error {
		for _, name := range all {
			if _, err := tx.CreateBucketIfNotExists([]byte(name)); err != nil {
				return err
			}
		}
		return nil
	})
}

// Close gives the file back once nobody reads or writes it.
func (s *Store) Close() error {
	s.queue.close()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.db == nil {
		return nil
	}
	err := s.db.Close()
	s.db = nil
	if err != nil {
		return fmt.Errorf("close %s: %w", s.cfg.Path, err)
	}
	return nil
}

// view reads at one moment.
func (s *Store) view(read func(*bbolt.Tx) error) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.db == nil {
		return throng.RetryLater(throng.Unavailable, time.Second, "%s is not open", s.cfg.Path)
	}
	var inner error
	err := s.db.View(func(tx *bbolt.Tx) error {
		inner = read(tx)
		return nil
	})
	return errors.Join(inner, err)
}

// key joins parts that have no zero byte.
func key(parts ...string) []byte {
	n := len(parts) - 1
	for _, p := range parts {
		n += len(p)
	}
	b := make([]byte, 0, n+24)
	for i, p := range parts {
		if i > 0 {
			b = append(b, 0)
		}
		b = append(b, p...)
	}
	return b
}

// under begins the keys below others.
func under(parts ...string) []byte { return append(key(parts...), 0) }

func decode(data []byte, v any) error {
	if err := json.Unmarshal(data, v); err != nil {
		return throng.Errorf(throng.Internal, "a stored record cannot be read: %w", err)
	}
	return nil
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings, numbers and maps of them can always be written
	}
	return data
}
