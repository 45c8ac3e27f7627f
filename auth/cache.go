package auth

import (
	"container/list"
	"crypto/sha256"
	"sync"
	"time"

	"github.com/throng-gg/throng"
)

// verified is a token that was found good.
type verified struct {
	caller throng.Caller
	until  time.Time // when it is good no more, leeway included
	trust  *trust    // of the key that signed it
}

const (
	cacheShards = 16
	// entryBytes is about what an entry needs besides what its claims do.
	entryBytes = 512
)

// cache remembers verified tokens by their hash, so that not each call of a
// player costs a signature. Full: what was not used for longest is forgotten,
// and verified when it comes again.
type cache struct {
	shards [cacheShards]cacheShard
}

type cacheShard struct {
	most int // bytes

	mu    sync.Mutex
	byKey map[[32]byte]*list.Element // of *cacheEntry
	order *list.List                 // most recently used first
	bytes int
}

type cacheEntry struct {
	key [32]byte
	verified
	bytes int
}

func newCache(bytes int) *cache {
	c := &cache{}
	for i := range c.shards {
		c.shards[i] = cacheShard{most: bytes / cacheShards, byKey: make(map[[32]byte]*list.Element), order: list.New()}
	}
	return c
}

func tokenHash(token string) [32]byte { return sha256.Sum256([]byte(token)) }

func (c *cache) shard(key [32]byte) *cacheShard { return &c.shards[key[0]%cacheShards] }

// get returns who was verified, if the token and its key are still good.
func (c *cache) get(key [32]byte, now time.Time) (throng.Caller, bool) {
	s := c.shard(key)
	s.mu.Lock()
	defer s.mu.Unlock()
	at, ok := s.byKey[key]
	if !ok {
		return throng.Caller{}, false
	}
	e, _ := at.Value.(*cacheEntry)
	if !now.Before(e.until) || e.trust.gone.Load() {
		s.drop(at)
		return throng.Caller{}, false
	}
	s.order.MoveToFront(at)
	return e.caller, true
}

// put remembers a token of so many bytes.
func (c *cache) put(key [32]byte, size int, v verified) {
	s := c.shard(key)
	e := &cacheEntry{key: key, verified: v, bytes: entryBytes}
	if v.caller.Friends != nil {
		e.bytes += size + 48*len(*v.caller.Friends) // their text, and what each name costs beside it
	}
	if v.caller.Attributes != nil {
		e.bytes += size + 64*len(*v.caller.Attributes)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, known := s.byKey[key]; known || e.bytes > s.most {
		return
	}
	for s.bytes+e.bytes > s.most {
		s.drop(s.order.Back())
	}
	s.byKey[key] = s.order.PushFront(e)
	s.bytes += e.bytes
}

func (s *cacheShard) drop(at *list.Element) {
	e, _ := s.order.Remove(at).(*cacheEntry)
	delete(s.byKey, e.key)
	s.bytes -= e.bytes
}

func (c *cache) len() int {
	n := 0
	for i := range c.shards {
		s := &c.shards[i]
		s.mu.Lock()
		n += s.order.Len()
		s.mu.Unlock()
	}
	return n
}
