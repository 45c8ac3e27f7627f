package place

import (
	"context"
	"io"

	"github.com/throng-gg/throng"
)

// Packages keeps packages by the hash of their content. They never change.
type Packages interface {
	// Put stores a package; it is durable when Put returned nil. Repeated it is
	// no error, and repairs a stored copy that went bad. Invalid: content has
	// another hash.
	Put(ctx context.Context, hash throng.PackageHash, content []byte) error
	// Open returns a package's content and its length in bytes. NotFound: there
	// is none. Content that is not what was put is never read to its end: the
	// last Read returns an error in place of the last bytes and io.EOF.
	Open(ctx context.Context, hash throng.PackageHash) (io.ReadCloser, int64, error)
}

// Record is all that is known of one place.
type Record struct {
	Place    throng.PlaceID
	Revision uint64           // compare-and-swap number, from 1; 0: not stored yet
	Live     throng.Version   // what new sessions run
	Canary   throng.Canary    // what some of them run instead; zero: none
	Pinned   bool             // publishing makes nothing live
	Before   []throng.Version // what was live before, the latest one last; not to be changed by readers
	Releases []throng.Release // all versions, the first one first; not to be changed by readers
	// Owners may publish it and read its log, up to throng.MaxOwners, in the order
	// in which they came; not to be changed by readers. Empty: nobody owns it.
	Owners []throng.PlayerID
}

// Records keeps the places' records.
type Records interface {
	// Get returns a place's record. NotFound: there is none.
	Get(ctx context.Context, id throng.PlaceID) (Record, error)
	// Swap stores the record under the next revision, if r.Revision is still the
	// stored one (0: there is none). It is durable when Swap returned nil.
	// Conflict: the stored one moved on. It keeps no reference to what r holds.
	Swap(ctx context.Context, r Record) error
	// List returns up to limit records, by place, after the given one.
	List(ctx context.Context, after throng.PlaceID, limit int) ([]Record, error)
}
