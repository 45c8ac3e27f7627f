package breaker

import "time"

// What repeated calls may cost.
const (
	budgetShare = 0.1  // of a call, that each call earns
	budgetMost  = 10.0 // calls that can be saved up
	budgetRate  = 1.0  // earned a second, so that who seldom calls can repeat too
)

// Budget keeps the calls that are made again, or twice, to a tenth of the others
// and one a second. It is not safe for use by several goroutines at once.
type Budget struct {
	left float64
	at   time.Time
}

// NewBudget makes one that is saved up.
func NewBudget(now time.Time) *Budget { return &Budget{left: budgetMost, at: now} }

// Earn counts a call that is made for the first time.
func (b *Budget) Earn() { b.left = min(budgetMost, b.left+budgetShare) }

// Spend pays for a call that is made again. False: it must not be made.
func (b *Budget) Spend(now time.Time) bool {
	if d := now.Sub(b.at); d > 0 {
		b.left = min(budgetMost, b.left+budgetRate*d.Seconds())
		b.at = now
	}
	if b.left < 1 {
		return false
	}
	b.left--
	return true
}
