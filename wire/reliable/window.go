package reliable

// Window is how many packets back both sides remember what was sent, and what
// came: older ones are neither taken nor acked.
const Window = 256

// window remembers which of the newest Window packets are marked. The zero value
// has none and expects number 0 next.
type window struct {
	next uint16 // after the newest
	bits [Window / 64]uint64
}

func bit(sequence uint16) (word int, mask uint64) {
	return int(sequence % Window / 64), 1 << (sequence % 64)
}

// behind says whether a number is too old to tell.
func (w *window) behind(sequence uint16) bool { return later(w.next-Window, sequence) }

// has says whether a number is marked.
func (w *window) has(sequence uint16) bool {
	if w.behind(sequence) || !later(w.next, sequence) {
		return false
	}
	word, mask := bit(sequence)
	return w.bits[word]&mask != 0
}

// reach makes a number the newest, if it is newer.
func (w *window) reach(sequence uint16) {
	ahead := sequence + 1 - w.next
	switch {
	case !later(sequence+1, w.next):
		return
	case ahead >= Window:
		w.bits = [Window / 64]uint64{}
	default:
		for n := w.next; n != sequence+1; n++ {
			word, mask := bit(n)
			w.bits[word] &^= mask
		}
	}
	w.next = sequence + 1
}

// mark marks a number that is not behind.
func (w *window) mark(sequence uint16) {
	w.reach(sequence)
	word, mask := bit(sequence)
	w.bits[word] |= mask
}

// clear unmarks a number.
func (w *window) clear(sequence uint16) {
	word, mask := bit(sequence)
	w.bits[word] &^= mask
}

// acks is what a header says of the window.
func (w *window) acks() (ack uint16, bits uint32) {
	ack = w.next - 1
	for i := range uint16(ackBits) {
		if w.has(ack - i) {
			bits |= 1 << i
		}
	}
	return ack, bits
}
