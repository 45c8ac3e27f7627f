package economy

import (
	"context"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
)

// Catalogs says what games sell and how much one can have. It answers
// from memory but for the first question and once in a while, which may take a second;
// false: it is not known.
type Catalogs interface {
	Catalog(game throng.GameID) (ledger.Catalog, bool)
}

// Files keeps what was found.
type Files interface {
	// Update replaces a file, whole or not at all, by what change makes of it; nobody
	// else does so meanwhile. old is nil when there is none; nil is returned for no
	// change. change may be called several times.
	Update(ctx context.Context, name string, change func(old []byte) []byte) error
}
