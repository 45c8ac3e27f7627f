package netcode

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"testing"
	"time"
)

func TestHandshake(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	g := w.guest(clientAddr(7), makeToken(t, tokenOf(7)))
	w.run(300 * time.Millisecond)
	wantState(t, g, StateConnected, ReasonNone)
	wantEvents(t, h, "connected player 7 from 10.1.0.7:5000")
	if slot, slots := g.Slot(); slot != 0 || slots != 8 {
		t.Errorf("slot: got %d of %d, want 0 of 8", slot, slots)
	}
	if err := g.Send(w.now, []byte("up")); err != nil {
		t.Fatalf("client Send: %v", err)
	}
	if err := h.Send(w.now, h.last, []byte("down")); err != nil {
		t.Fatalf("server Send: %v", err)
	}
	w.run(20 * time.Millisecond)
	if got, want := fmt.Sprint(h.payload[h.last], g.got), "[up] [down]"; got != want {
		t.Errorf("payloads: got %s, want %s", got, want)
	}
}

// userData keeps what a client's token brought.
type userData struct {
	got *[UserDataSize]byte
	out func([]byte)
}

func (u userData) Datagram(_ netip.AddrPort, b []byte) { u.out(b) }
func (u userData) Connected(_ ConnID, _ netip.AddrPort, data *[UserDataSize]byte) bool {
	*u.got = *data
	return true
}
func (userData) Moved(ConnID, netip.AddrPort) {}
func (userData) Payload(ConnID, []byte)       {}
func (userData) Disconnected(ConnID, Reason)  {}

// What the token's maker wrote arrives, every byte of it.
func TestUserDataArrivesWhole(t *testing.T) {
	var got [UserDataSize]byte
	s, err := NewServer(ServerConfig{Key: testKey, Entropy: testEntropy, Capacity: 1}, userData{got: &got})
	if err != nil {
		t.Fatal(err)
	}
	c := tokenOf(1)
	copy(c.UserData[:], count(1, UserDataSize))
	back := &pair{}
	client, err := NewClient(makeToken(t, c), start, pairClient{back})
	if err != nil {
		t.Fatal(err)
	}
	client.Tick(start)
	toClient := func(b []byte) { client.Receive(start, serverAddr, b) }
	s.sink = userData{&got, toClient}
	s.Receive(start, clientAddr(1), back.toS)
	client.Tick(start)
	if drop := s.Receive(start, clientAddr(1), back.toS); drop != DropNone || got != c.UserData {
		t.Errorf("got %s and %x, want %x", drop, got, c.UserData)
	}
}

func TestRequestRefused(t *testing.T) {
	cases := []struct {
		name   string
		want   Drop
		token  func(*TokenConfig)
		server func(*ServerConfig)
		mangle func([]byte) []byte
		offset time.Duration
	}{
		{name: "wrong key", want: DropForged, token: func(c *TokenConfig) { c.Key = keyOf(9) }},
		{name: "expired", want: DropExpired, token: func(c *TokenConfig) { c.Expire = c.Create }},
		{name: "expired by the registry's clock", want: DropExpired, offset: 8 * time.Second},
		{name: "other protocol", want: DropProtocol, token: func(c *TokenConfig) { c.ProtocolID = 5 }},
		{name: "other server", want: DropAddress, token: func(c *TokenConfig) {
			c.Servers = []netip.AddrPort{netip.MustParseAddrPort("10.0.0.2:40000")}
		}},
		{name: "older netcode", want: DropProtocol, mangle: func(b []byte) []byte { b[12] = '1'; return b }},
		{name: "later expiry", want: DropForged, mangle: func(b []byte) []byte { b[22]++; return b }},
		{name: "other nonce", want: DropForged, mangle: func(b []byte) []byte { b[30]++; return b }},
		{name: "changed token", want: DropForged, mangle: func(b []byte) []byte { b[600]++; return b }},
		{name: "one byte less", want: DropMalformed, mangle: func(b []byte) []byte { return b[:len(b)-1] }},
		{name: "one byte more", want: DropMalformed, mangle: func(b []byte) []byte { return append(b, 0) }},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld(t)
			h := w.host(c.server)
			h.SetOffset(c.offset)
			config := tokenOf(1)
			if c.token != nil {
				c.token(&config)
			}
			request := requestOf(t, makeToken(t, config))
			if c.mangle != nil {
				request = c.mangle(request)
			}
			if got := h.Receive(w.now, clientAddr(1), request); got != c.want {
				t.Errorf("Receive: got %s, want %s", got, c.want)
			}
			wantNoTrace(t, h)
		})
	}
}

// wantNoTrace checks that a server said nothing and remembers nothing.
func wantNoTrace(t *testing.T, h *host) {
	t.Helper()
	if len(h.w.sent) != 0 {
		t.Errorf("answers: got %d, want none", len(h.w.sent))
	}
	if len(h.pending) != 0 || len(h.history.uses) != 0 || h.Clients() != 0 || len(h.events) != 0 {
		t.Errorf("state: got %d pending, %d tokens, %d clients, %d events, want none",
			len(h.pending), len(h.history.uses), h.Clients(), len(h.events))
	}
}

func TestGarbageLeavesNoTrace(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	rng := rand.New(rand.NewPCG(3, 4))
	request := requestOf(t, makeToken(t, tokenOf(1)))
	for i := range 20_000 {
		var d []byte
		switch i % 4 {
		case 0: // noise of any size
			d = make([]byte, rng.IntN(1500))
		case 1: // noise as large as a request
			d = make([]byte, RequestSize)
		case 2: // a request whose sealed part is noise
			d = bytes.Clone(request)
		case 3: // a sealed packet that nobody sealed
			d = make([]byte, 18+rng.IntN(1200))
		}
		from := 0
		if i%4 == 2 {
			from = 54
		}
		for j := from; j < len(d); j++ {
			d[j] = byte(rng.Uint32())
		}
		if i%4 == 3 {
			d[0] = byte(1+rng.IntN(8))<<4 | byte(1+rng.IntN(6))
		}
		if h.Receive(w.now, clientAddr(i), d) == DropNone {
			t.Fatalf("datagram %d was taken", i)
		}
	}
	h.Tick(w.now)
	wantNoTrace(t, h)
}

func TestAnswerIsSmallerThanRequest(t *testing.T) {
	for _, full := range []string{"room", "full"} {
		t.Run(full, func(t *testing.T) {
			w := newWorld(t)
			h := w.host(func(c *ServerConfig) { c.Capacity = 1 })
			if full == "full" {
				w.guest(clientAddr(9), makeToken(t, tokenOf(9)))
				w.run(100 * time.Millisecond)
			}
			w.sent = nil
			request := requestOf(t, makeToken(t, tokenOf(1)))
			h.Receive(w.now, clientAddr(1), bytes.Clone(request))
			if len(w.sent) != 1 || len(w.sent[0].data) >= len(request) {
				t.Fatalf("answers: got %d, want one of less than %d bytes", len(w.sent), len(request))
			}
			want := map[string]int{"room": 333, "full": 25}[full]
			if got := len(w.sent[0].data); got != want {
				t.Errorf("answer: got %d bytes, want %d", got, want)
			}
		})
	}
}

func TestTokenFromManyAddresses(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	request := requestOf(t, makeToken(t, tokenOf(1)))
	for from := range tokenAddresses {
		if got := h.Receive(w.now, clientAddr(from), bytes.Clone(request)); got != DropNone {
			t.Errorf("from address %d: got %s, want it taken", from, got)
		}
	}
	for _, step := range []struct {
		from int
		want Drop
	}{{tokenAddresses, DropUsed}, {1, DropNone}, {tokenAddresses + 1, DropUsed}} {
		if got := h.Receive(w.now, clientAddr(step.from), bytes.Clone(request)); got != step.want {
			t.Errorf("from address %d: got %s, want %s", step.from, got, step.want)
		}
	}
	if got := len(h.pending); got != tokenAddresses {
		t.Errorf("half-open connections: got %d, want %d", got, tokenAddresses)
	}
}

// Whoever shows a token from two addresses gets one connection, also when the
// first one has ended before the second answers its challenge.
func TestTokenFromTwoAddressesConnectsOnce(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	token := makeToken(t, tokenOf(1))
	slow, quick := w.guest(clientAddr(1), token), w.guest(clientAddr(2), token)
	w.lose = func(d datagram) bool { return d.from == slow.addr && d.data[0] != byte(TypeRequest) }
	w.run(200 * time.Millisecond)
	wantState(t, slow, StateResponding, ReasonNone)
	wantState(t, quick, StateConnected, ReasonNone)
	quick.Close(w.now)
	w.lose = nil
	w.run(time.Second)
	wantState(t, slow, StateResponding, ReasonNone)
	if h.Clients() != 0 || len(h.pending) != 0 || len(h.events) != 2 {
		t.Errorf("got %d clients, %d pending, events %q; want none, none and one coming and going", h.Clients(), len(h.pending), h.events)
	}
}

// A client whose network changes before it is connected comes from the new one.
func TestTokenShownAgainFromAnotherAddress(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	g := w.guest(clientAddr(1), makeToken(t, tokenOf(1)))
	w.lose = func(d datagram) bool { return d.to == g.addr } // the challenge is lost
	w.run(300 * time.Millisecond)
	wantState(t, g, StateRequesting, ReasonNone)
	if g.Used() {
		t.Error("a client that was never challenged: its token is used")
	}
	again := w.guest(clientAddr(2), makeToken(t, tokenOf(1)))
	w.run(300 * time.Millisecond)
	wantState(t, again, StateConnected, ReasonNone)
	wantEvents(t, h, "connected player 1 from 10.1.0.2:5000")
	if !again.Used() || again.Heard().Before(w.now.Add(-200*time.Millisecond)) {
		t.Errorf("connected: used %v, heard %s before now", again.Used(), w.now.Sub(again.Heard()))
	}
}

func TestTokenIsSpent(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	g := w.guest(clientAddr(1), makeToken(t, tokenOf(1)))
	w.run(200 * time.Millisecond)
	g.Close(w.now)
	w.run(50 * time.Millisecond)
	wantEvents(t, h, "connected player 1 from 10.1.0.1:5000", "disconnected player 1: ended by the other side")
	// All that the first connection said is said again, by whoever recorded it.
	for _, d := range w.sent {
		if d.to == serverAddr {
			h.Receive(w.now, d.from, bytes.Clone(d.data))
		}
	}
	if got := len(h.events); got != 2 || len(h.pending) != 0 {
		t.Errorf("after the replay: got %d events and %d pending, want 2 and none", got, len(h.pending))
	}
}

func TestHistoryOutlivesToken(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	h.Receive(w.now, clientAddr(1), requestOf(t, makeToken(t, tokenOf(1))))
	w.run(30 * time.Second)
	if got := len(h.history.uses); got != 1 {
		t.Errorf("22 s after the token's end: got %d tokens, want 1", got)
	}
	w.run(40 * time.Second)
	if got := len(h.history.uses); got != 0 {
		t.Errorf("62 s after the token's end: got %d tokens, want 0", got)
	}
}

func TestStateIsBounded(t *testing.T) {
	w := newWorld(t)
	h := w.host(func(c *ServerConfig) { c.Capacity = 1 })
	var last Drop
	for i := range 2000 {
		last = h.Receive(w.now, clientAddr(i), requestOf(t, makeToken(t, tokenOf(i))))
	}
	if last != DropBusy || len(h.pending) != 64 || len(h.history.uses) != 1024 {
		t.Errorf("got %s with %d pending and %d tokens, want busy with 64 and 1024",
			last, len(h.pending), len(h.history.uses))
	}
	w.run(6 * time.Second)
	if got := len(h.pending); got != 0 {
		t.Errorf("half-open connections after 6 s: got %d, want 0", got)
	}
}

// A challenge for one client must not make another one of its bearer.
func TestChallengeOfAnother(t *testing.T) {
	w := newWorld(t)
	h := w.host(nil)
	tokens := [2]*Token{}
	var stolen []byte
	for i := range tokens {
		b := makeToken(t, tokenOf(i))
		tokens[i], _ = ParseToken(b)
		h.Receive(w.now, clientAddr(i), requestOf(t, b))
	}
	codec := makeCodec(ProtocolID)
	open := newAEAD(t, tokens[0].serverToClient)
	challenge := w.sent[0].data
	head, _ := parseHeader(challenge)
	stolen, drop := codec.open(open, nil, head, challenge)
	if drop != DropNone {
		t.Fatalf("open challenge: %s", drop)
	}
	seal := newAEAD(t, tokens[1].clientToServer)
	response := codec.seal(nil, seal, header{kind: TypeResponse}, stolen)
	if got := h.Receive(w.now, clientAddr(1), response); got != DropForged || h.Clients() != 0 {
		t.Errorf("got %s with %d clients, want forged and none", got, h.Clients())
	}
}
