package bolt

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.etcd.io/bbolt"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/ledger"
	"github.com/throng-gg/throng/profile"
)

const writers = 50 // at once

func benchStore(b *testing.B) *Store {
	b.Helper()
	s, err := Open(Config{Path: filepath.Join(b.TempDir(), "throng.db")})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = s.Close() })
	b.SetParallelism(writers / 2)
	begun := processorTime(b)
	b.Cleanup(func() { b.ReportMetric(float64((processorTime(b)-begun).Microseconds())/float64(b.N), "cpu-µs/op") })
	return s
}

// processorTime is what this process has used, which neighbours change less than
// the time on the wall.
func processorTime(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bare writes what rows says through the same group commit, and nothing more.
func bare(b *testing.B, rows func(worker, n int64) map[string][]byte) {
	b.Helper()
	s := benchStore(b)
	var workers atomic.Int64
	b.RunParallel(func(pb *testing.PB) {
		worker := workers.Add(1)
		for n := int64(1); pb.Next(); n++ {
			all := rows(worker, n)
			err := s.change(context.Background(), func(tx *bbolt.Tx) (func() error, error) { //nolint:forbidigo // a benchmark's
				return func() error {
					for name, value := range all {
						where, key, _ := strings.Cut(name, "/")
						if err := bucket(tx, where).Put([]byte(key), value); err != nil {
							return err
						}
					}
					return nil
				}, nil
			})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
}

// BenchmarkSave is durable saves of 3 KB, bare and with fence and revision.
func BenchmarkSave(b *testing.B) {
	data := make([]byte, 3<<10)
	b.Run("bare", func(b *testing.B) {
		bare(b, func(worker, n int64) map[string][]byte {
			return map[string][]byte{
				fmt.Sprintf("saves/bazaar\x00p%d\x00%08d", worker, n%10): data, fmt.Sprintf("profiles/bazaar\x00p%d", worker): make([]byte, 80),
			}
		})
	})
	b.Run("bolt", func(b *testing.B) {
		p := benchStore(b).Profiles()
		var workers atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			k := profile.Key{Game: "bazaar", Player: throng.PlayerID(fmt.Sprintf("p%d", workers.Add(1)))}
			if _, err := p.Checkout(b.Context(), k, 7, "ses"); err != nil {
				b.Error(err)
				return
			}
			for r := throng.Revision(1); pb.Next(); r++ {
				if err := p.Save(b.Context(), k, profile.Save{Revision: r, Fence: 7, Holder: "ses", SavedAt: time.Now(), Size: 10_000, Data: data}, false); err != nil {
					b.Error(err)
					return
				}
			}
		})
	})
}

// BenchmarkPurchase is durable purchases: two accounts, a record and two entries
// at the places where the ledger has them, bare and through the ledger.
func BenchmarkPurchase(b *testing.B) {
	b.Run("bare", func(b *testing.B) {
		bare(b, func(worker, n int64) map[string][]byte {
			house := ledger.HouseOf(ledger.Key{Player: throng.PlayerID(fmt.Sprintf("p%d", worker)), ID: throng.TransferID(strconv.FormatInt(n, 10))})
			return map[string][]byte{
				fmt.Sprintf("accounts/bazaar\x00p%d", worker):                        make([]byte, 80),
				fmt.Sprintf("accounts/bazaar\x00%s", house):                          make([]byte, 80),
				fmt.Sprintf("records/bazaar\x00p%d\x00%d", worker, n):                make([]byte, 330),
				fmt.Sprintf("entries/bazaar\x00p%d\x00%08d\x00p%d", worker, n, n):    make([]byte, 110),
				fmt.Sprintf("entries/bazaar\x00%s\x00%08d\x00p%d", house, n, worker): make([]byte, 110),
			}
		})
	})
	b.Run("bolt", func(b *testing.B) {
		s := benchStore(b).Ledger()
		l, err := ledger.New(ledger.Config{Store: s, Catalogs: s, Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := l.SetCatalog(b.Context(), "bazaar", []byte("currencies: {gold: {}}\nitems: {apple: {}}\noffers: {apple: {price: {gold: 1}, gives: {apple: 1}}}")); err != nil {
			b.Fatal(err)
		}
		var workers atomic.Int64
		b.RunParallel(func(pb *testing.PB) {
			m := throng.Member{Player: throng.PlayerID(fmt.Sprintf("p%d", workers.Add(1))), Epoch: 7}
			err := l.Fence(b.Context(), "bazaar", m.Player, 7)
			t := throng.Transfer{ID: "start", Kind: throng.TransferReward, First: m, Gives: []throng.Amount{{Item: "gold", Count: 1 << 40}}}
			for n := 0; err == nil; n++ {
				_, err = l.Post(b.Context(), ledger.Order{Game: "bazaar", Session: "ses_local_00aaaaaaaaaaaaaaaa", Transfer: t})
				if !pb.Next() {
					break
				}
				t = throng.Transfer{ID: throng.TransferID(fmt.Sprint(n)), Kind: throng.TransferPurchase, First: m, Offer: "apple", Count: 1}
			}
			if err != nil {
				b.Error(err)
			}
		})
	})
}
