package redis

import "time"

// Shelf shares generations between stores.
type Shelf = shelf

// NewShelf makes a Shelf for stores that are told the time.
func NewShelf(quarantine time.Duration) *Shelf {
	return newShelf(quarantine, "tonumber(table.remove(ARGV))")
}

// Told makes a config whose scripts are told the time.
func Told(c Config, clock func() time.Time, s *Shelf) Config {
	c.clock, c.shelf = clock, s
	return c
}

// ForgetTime lets the next operation that needs it ask Redis for the time.
func (st *Store) ForgetTime() {
	st.clock.mu.Lock()
	defer st.clock.mu.Unlock()
	st.clock.asked = time.Time{}
}
