package netcode

// replayWindow remembers which of the newest packet numbers came in. Numbers of
// 256 and more below the newest count as seen. The zero value has seen none.
type replayWindow struct {
	some   bool
	newest uint64
	bits   [replaySize / 64]uint64 // of number n at n modulo replaySize
}

const replaySize = 256

// has says whether number was seen or is too old to know. Differences are taken
// downwards only, so that the top of the number space works like the rest.
func (w *replayWindow) has(number uint64) bool {
	if !w.some || number > w.newest {
		return false
	}
	return w.newest-number >= replaySize || w.bits[number%replaySize/64]>>(number%64)&1 != 0
}

// add marks a number for which has said false.
func (w *replayWindow) add(number uint64) {
	switch {
	case !w.some || number > w.newest && number-w.newest >= replaySize:
		*w = replayWindow{some: true, newest: number}
	case number > w.newest:
		for i := uint64(1); i <= number-w.newest; i++ {
			n := w.newest + i
			w.bits[n%replaySize/64] &^= 1 << (n % 64)
		}
		w.newest = number
	}
	w.bits[number%replaySize/64] |= 1 << (number % 64)
}
