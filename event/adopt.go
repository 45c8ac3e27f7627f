package event

import (
	"context"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"github.com/throng-gg/throng"
)

const (
	adoptEvery = 30 * time.Second
	lockName   = "lock"
)

// lockFolder takes a folder for this process. Unavailable: another one has it.
func lockFolder(folder string) (*os.File, error) {
	lock, err := os.OpenFile(filepath.Join(folder, lockName), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := unix.Flock(int(lock.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		_ = lock.Close()
		return nil, throng.Errorf(throng.Unavailable, "%s is in use: %w", folder, err)
	}
	return lock, nil
}

// adopt publishes what processes that are gone have left, now and then.
func (p *Publisher) adopt(ctx context.Context) {
	tick := time.NewTicker(adoptEvery)
	defer tick.Stop()
	for {
		p.adoptAll(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

func (p *Publisher) adoptAll(ctx context.Context) {
	list, err := os.ReadDir(p.cfg.Dir)
	if err != nil {
		return
	}
	for _, entry := range list {
		folder := filepath.Join(p.cfg.Dir, entry.Name())
		if !entry.IsDir() || folder == p.folder || ctx.Err() != nil {
			continue
		}
		if _, err := os.Stat(filepath.Join(folder, lockName)); err != nil {
			continue // its process has not locked it yet
		}
		lock, err := lockFolder(folder)
		if err != nil {
			continue // its process lives
		}
		count, err := p.adoptFolder(ctx, folder)
		switch {
		case err == nil:
			_ = os.RemoveAll(folder)
			if count > 0 {
				p.cfg.Logger.InfoContext(ctx, "events of a process that is gone were published", "count", count)
			}
		case ctx.Err() == nil:
			p.cfg.Logger.DebugContext(ctx, "events of a process that is gone are not published yet", "err", err)
		}
		_ = lock.Close()
	}
}

func (p *Publisher) adoptFolder(ctx context.Context, folder string) (count int, err error) {
	for _, name := range laneNames {
		s, err := openSpool(filepath.Join(folder, name))
		if err != nil {
			return count, err
		}
		for {
			batch, _ := s.read(batchMost)
			if len(batch) == 0 {
				break
			}
			once, cancel := context.WithTimeout(ctx, p.cfg.CallTime)
			err := p.cfg.Log.Publish(once, batch)
			cancel()
			if err != nil && throng.KindOf(err) != throng.Invalid {
				return count, err
			}
			count += len(batch)
			s.done()
		}
	}
	return count, nil
}
