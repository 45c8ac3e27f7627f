package disk_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/disk"
)

func TestDrains(t *testing.T) {
	contract.DrainStores(t, func(t *testing.T) (here, there contract.DrainStore, damage func()) {
		folder := t.TempDir()
		var stores [2]*disk.Drains
		for i := range stores {
			var err error
			if stores[i], err = disk.NewDrains(folder); err != nil {
				t.Fatal(err)
			}
		}
		return stores[0], stores[1], func() {
			if err := os.WriteFile(filepath.Join(folder, "drains", "cluster-x.json"), []byte("{"), 0o600); err != nil {
				t.Fatal(err)
			}
		}
	})
}
