package gateway

// flow is a client who is connected to a server. His address is proven: the
// server speaks to him. It fills a cache line, so that finding it misses one.
type flow struct {
	client, server address // no server: there is nobody here
	seen           uint32  // s, by the table's clock
	at             uint32  // ms, when left was counted
	left           uint32  // thousandths of datagrams that he may send
	_              [16]byte
}

func (f *flow) used() bool { return f.server != (address{}) }

// table is the flows of one worker, each at its hash or in the next free place
// behind; at most half is used. Full: new ones are refused.
type table struct {
	flows []flow
	hash  func(address) uint64
	count int
	most  int
	swept int           // where the next sweep begins
	due   float64       // places that the next sweep looks at
	gone  func(address) // is told who was removed; nil: nobody
}

func makeTable(most int, hash func(address) uint64) table {
	n := 16
	for n < 2*most {
		n *= 2
	}
	return table{flows: make([]flow, n), hash: hash, most: most}
}

func (t *table) next(i int) int { return (i + 1) & (len(t.flows) - 1) }
func (t *table) home(a address) int {
	return int(t.hash(a)) & (len(t.flows) - 1)
}

// place is where a client is, or would be.
func (t *table) place(client address) int {
	i := t.home(client)
	for t.flows[i].used() && t.flows[i].client != client {
		i = t.next(i)
	}
	return i
}

// of finds a client's flow; nil: he has none. It is valid until the next change.
func (t *table) of(client address) *flow {
	if f := &t.flows[t.place(client)]; f.used() {
		return f
	}
	return nil
}

// put makes or changes a client's flow. False: there is no room.
func (t *table) put(client, server address, ms uint32, burst int) bool {
	f := &t.flows[t.place(client)]
	if !f.used() {
		if t.count >= t.most {
			return false
		}
		t.count++
	}
	*f = flow{client: client, server: server, seen: ms / 1000, at: ms, left: uint32(burst) * 1000}
	return true
}

// remove frees a place, and moves up who stands behind for want of it.
func (t *table) remove(i int) {
	if !t.flows[i].used() {
		return
	}
	t.count--
	client := t.flows[i].client
	mask := len(t.flows) - 1
	for j := t.next(i); t.flows[j].used(); j = t.next(j) {
		if home := t.home(t.flows[j].client); (j-home)&mask >= (j-i)&mask {
			t.flows[i] = t.flows[j]
			i = j
		}
	}
	t.flows[i] = flow{}
	if t.gone != nil {
		t.gone(client)
	}
}

// len is how many flows there are.
func (t *table) len() int { return t.count }

// sweep removes what was silent for so many seconds, from a share of the table.
func (t *table) sweep(ms, idle uint32, share float64) {
	now := ms / 1000
	for t.due += share * float64(len(t.flows)); t.due >= 1; t.due-- {
		for f := &t.flows[t.swept]; f.used() && now-f.seen >= idle; { // who moves up here is next
			t.remove(t.swept)
		}
		t.swept = t.next(t.swept)
	}
}

// shed removes up to n flows.
func (t *table) shed(n int) {
	for range t.flows {
		for ; n > 0 && t.flows[t.swept].used(); n-- {
			t.remove(t.swept)
		}
		if n == 0 {
			return
		}
		t.swept = t.next(t.swept)
	}
}

// take says whether the client may send one more datagram.
func (f *flow) take(ms uint32, perS, burst int) bool {
	f.left, f.at = refill(f.left, ms-f.at, perS, burst), ms
	if f.left < 1000 {
		return false
	}
	f.left -= 1000
	return true
}

// refill adds what ms bring to thousandths of datagrams.
func refill(left, ms uint32, perS, burst int) uint32 {
	return uint32(min(uint64(left)+uint64(ms)*uint64(perS), uint64(burst)*1000))
}

// halfOpen is who has shown a token and has not proven his address: so many lines,
// whatever comes, and a client has one of four. A line that is younger than a second
// gives way to nobody, an older one to anybody.
type halfOpen struct {
	lines []line
	hash  func(address) uint64
	swept int           // where the next sweep begins
	due   float64       // lines that the next sweep looks at
	gone  func(address) // is told whose line another has; nil: nobody
}

type line struct {
	client, server address
	at             uint32 // ms
	sent           uint8  // datagrams that went to the server, besides requests
}

const (
	ways       = 4
	lineYoung  = 1000 // ms
	lineLife   = 5000 // ms
	linePassed = 100  // datagrams
)

func makeHalfOpen(size int, hash func(address) uint64) halfOpen {
	n := ways
	for n < size {
		n *= 2
	}
	return halfOpen{lines: make([]line, n), hash: hash}
}

func (h *halfOpen) set(client address) []line {
	i := int(h.hash(client)) & (len(h.lines) - 1) &^ (ways - 1)
	return h.lines[i : i+ways]
}

// of finds a client's line; nil: he has none.
func (h *halfOpen) of(client address, ms uint32) *line {
	set := h.set(client)
	for i := range set {
		if l := &set[i]; l.client == client && l.server != (address{}) && ms-l.at < lineLife {
			return l
		}
	}
	return nil
}

// show notes that a client has shown a token for a server. False: there is no room.
func (h *halfOpen) show(client, server address, ms uint32) bool {
	set := h.set(client)
	oldest := &set[0]
	for i := range set {
		l := &set[i]
		if l.client == client && l.server == server {
			if ms-l.at >= lineLife {
				l.sent = 0
			}
			l.at = ms
			return true
		}
		if l.client == client || l.server == (address{}) {
			oldest = l
			break
		}
		if ms-l.at > ms-oldest.at {
			oldest = l
		}
	}
	if oldest.server != (address{}) && oldest.client != client && ms-oldest.at < lineYoung {
		return false
	}
	was := *oldest
	*oldest = line{client: client, server: server, at: ms}
	if was.server != (address{}) && was.client != client {
		h.left(was.client)
	}
	return true
}

func (h *halfOpen) left(client address) {
	if h.gone != nil {
		h.gone(client)
	}
}

// sweep clears lines that are over, of a share.
func (h *halfOpen) sweep(ms uint32, share float64) {
	for h.due += share * float64(len(h.lines)); h.due >= 1; h.due-- {
		if l := &h.lines[h.swept]; l.server != (address{}) && ms-l.at >= lineLife {
			client := l.client
			*l = line{}
			h.left(client)
		}
		h.swept = (h.swept + 1) & (len(h.lines) - 1)
	}
}

// has says whether a client has a line, also one that is over.
func (h *halfOpen) has(client address) bool {
	for _, l := range h.set(client) {
		if l.client == client && l.server != (address{}) {
			return true
		}
	}
	return false
}

// limiter counts for keys, in so many lines whatever comes: keys that share a
// line share its rate.
type limiter struct {
	buckets     []bucket
	perS, burst int
}

type bucket struct {
	at, left uint32
	used     bool
}

func makeLimiter(size, perS, burst int) limiter {
	n := 1
	for n < size {
		n *= 2
	}
	return limiter{buckets: make([]bucket, n), perS: perS, burst: burst}
}

// take says whether a key, by its hash, may have one more.
func (l *limiter) take(hash uint64, ms uint32) bool {
	b := &l.buckets[int(hash)&(len(l.buckets)-1)]
	if !b.used {
		*b = bucket{at: ms, left: uint32(l.burst) * 1000, used: true}
	}
	b.left, b.at = refill(b.left, ms-b.at, l.perS, l.burst), ms
	if b.left < 1000 {
		return false
	}
	b.left -= 1000
	return true
}
