package bolt_test

import (
	"path/filepath"
	"testing"

	"github.com/throng-gg/throng/consumer"
	"github.com/throng-gg/throng/contract"
)

func TestShards(t *testing.T) {
	t.Parallel()
	contract.ConsumerStore(t, func(t *testing.T) consumer.Store {
		t.Helper()
		return open(t, filepath.Join(t.TempDir(), "consumers.db")).Shards()
	})
}

// TestShardsCrash closes and opens the file at crashes.
func TestShardsCrash(t *testing.T) {
	t.Parallel()
	clean, path := open(t, filepath.Join(t.TempDir(), "clean.db")), filepath.Join(t.TempDir(), "consumers.db")
	store := open(t, path)
	if err := contract.ConsumerCrash(t, contract.ConsumerPlay{
		Events: contract.ConsumerJoins(crashOperations(t)), New: contract.NewJoins, Clean: clean.Shards(), Store: store.Shards(), Seed: 1,
		Again: func(consumer.Store) consumer.Store {
			store = reopen(t, store, path)
			return store.Shards()
		},
	}); err != nil {
		t.Error(err)
	}
}
