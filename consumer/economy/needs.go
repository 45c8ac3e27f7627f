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
	// Put keeps a file under its name, whole or not at all. A second time: it is
	// replaced.
	Put(ctx context.Context, name string, data []byte) error
}
