package dynamo_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/dynamo"
	"github.com/throng-gg/throng/dynamo/dynamotest"
	"github.com/throng-gg/throng/ledger"
	"github.com/throng-gg/throng/profile"
)

// faults answers requests of one kind in DynamoDB's place.
type faults struct {
	mu        sync.Mutex
	operation string                                       // guarded by mu, like those below; empty: of any
	left      int                                          // so many more; -1: all
	reply     func(*http.Request) (*http.Response, error)  // in its place
	after     func(*http.Response) (*http.Response, error) // what becomes of its own answer; nil: reply is used
	hit       int                                          // how many were
}

// set makes the next n requests of an operation go wrong.
func (f *faults) set(operation string, n int, reply func(*http.Request) (*http.Response, error)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.operation, f.left, f.reply, f.after, f.hit = operation, n, reply, nil, 0
}

// lose sends the next request of an operation and loses its answer, and then all
// that follows.
func (f *faults) lose(operation string) {
	f.set(operation, 1, nil)
	f.mu.Lock()
	defer f.mu.Unlock()
	f.after = func(r *http.Response) (*http.Response, error) {
		r.Body.Close()
		f.set("", -1, lost)
		return nil, errors.New("the reply was lost")
	}
}

func (f *faults) hits() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.hit
}

// Do sends a request, or does what was set.
func (f *faults) Do(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	wrong := f.left != 0 && strings.HasSuffix(r.Header.Get("X-Amz-Target"), f.operation)
	reply, after := f.reply, f.after
	if wrong {
		f.hit++
		f.left = max(f.left-1, min(f.left, -1))
	}
	f.mu.Unlock()
	if wrong && after == nil {
		return reply(r)
	}
	resp, err := http.DefaultClient.Do(r)
	if wrong && err == nil {
		return after(resp)
	}
	return resp, err
}

func lost(*http.Request) (*http.Response, error) { return nil, errors.New("the network is away") }

// hang answers nothing until the caller gives up.
func hang(r *http.Request) (*http.Response, error) {
	<-r.Context().Done()
	return nil, r.Context().Err()
}

// says is an error of the service.
func says(status int, code, more string) func(*http.Request) (*http.Response, error) {
	return func(r *http.Request) (*http.Response, error) {
		body := fmt.Sprintf(`{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"said by a test"%s}`, code, more)
		return &http.Response{
			StatusCode: status, Status: http.StatusText(status), Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Request: r,
			Header: http.Header{"Content-Type": {"application/x-amz-json-1.0"}}, Body: io.NopCloser(bytes.NewReader([]byte(body))), ContentLength: int64(len(body)),
		}, nil
	}
}

// pressed is a ledger over tables that can be pressed.
type pressed struct {
	patient, hurried *ledger.Ledger // with a budget for a busy machine; with one that is soon used up
	profiles         dynamo.Profiles
	network          *faults
	game             throng.GameID
}

func press(t *testing.T) *pressed {
	t.Helper()
	p := &pressed{network: &faults{}, game: game()}
	url := dynamotest.Start(t) + "/test"
	open := func(budget time.Duration) (*dynamo.Store, *ledger.Ledger) {
		s, err := dynamo.New(t.Context(), dynamo.Config{URL: url, HTTP: p.network, Budget: budget})
		if err != nil {
			t.Fatal(err)
		}
		l, err := ledger.New(ledger.Config{Store: s.Ledger(), Catalogs: s.Ledger(), Now: time.Now, Logger: slog.New(slog.DiscardHandler)})
		if err != nil {
			t.Fatal(err)
		}
		return s, l
	}
	var s *dynamo.Store
	_, p.hurried = open(2 * time.Second)
	s, p.patient = open(time.Minute)
	p.profiles = s.Profiles()
	if _, err := s.Setup(t.Context(), dynamo.Capacity{}, dynamo.Capacity{}); err != nil {
		t.Fatal(err)
	}
	p.open(t)
	return p
}

// open makes the game, in which ada is checked out.
func (p *pressed) open(t *testing.T) {
	t.Helper()
	for _, l := range []*ledger.Ledger{p.patient, p.hurried} { // both remember it
		if _, err := l.SetCatalog(t.Context(), p.game, []byte("currencies: {gold: {}}")); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.patient.Fence(t.Context(), p.game, "ada", 7); err != nil {
		t.Fatal(err)
	}
}

func (p *pressed) order(id string) ledger.Order {
	return ledger.Order{Game: p.game, Session: "ses_local_00aaaaaaaaaaaaaaaa", Transfer: throng.Transfer{
		ID: throng.TransferID(id), Kind: throng.TransferReward, First: throng.Member{Player: "ada", Epoch: 7}, Gives: []throng.Amount{{Item: "gold", Count: 1}},
	}}
}

// want looks at ada's gold.
func (p *pressed) want(t *testing.T, what string, gold int64) {
	t.Helper()
	p.network.set("", 0, nil)
	h, err := p.patient.Inventory(t.Context(), p.game, "ada")
	if err != nil {
		t.Fatalf("%s: %v", what, err)
	}
	have := int64(0)
	for _, a := range h.Amounts {
		have += a.Count
	}
	if have != gold {
		t.Errorf("%s: ada has %d gold, want %d", what, have, gold)
	}
}

// pressures is what DynamoDB, and the way to it, say to too much.
var pressures = map[string]struct {
	operation string
	reply     func(*http.Request) (*http.Response, error)
	words     string // of the error when it stays so; empty: that is not tried
}{
	"provisioned":    {"TransactWriteItems", says(400, "ProvisionedThroughputExceededException", ""), "throttled"},
	"throttling":     {"TransactWriteItems", says(400, "ThrottlingException", ""), ""},
	"limit":          {"BatchGetItem", says(400, "RequestLimitExceeded", ""), ""},
	"in transaction": {"TransactWriteItems", says(400, "TransactionCanceledException", `,"CancellationReasons":[{"Code":"None"},{"Code":"ThrottlingError","Message":"x"}]`), "throttled"},
	"provisioned in transaction": {
		"TransactWriteItems", says(400, "TransactionCanceledException", `,"CancellationReasons":[{"Code":"ProvisionedThroughputExceeded"}]`), "",
	},
	"conflict":      {"TransactWriteItems", says(400, "TransactionCanceledException", `,"CancellationReasons":[{"Code":"TransactionConflict"}]`), ""},
	"server error":  {"TransactWriteItems", says(500, "InternalServerError", ""), ""},
	"no connection": {"TransactWriteItems", lost, "no answer"},
}

// TestPressed is DynamoDB when it has too much to do, and a network that loses
// answers.
func TestPressed(t *testing.T) {
	t.Parallel()
	p := press(t)
	t.Run("throttled", func(t *testing.T) { throttled(t, p) })
	t.Run("a repeat tells an unknown outcome", func(t *testing.T) { unknownOutcome(t, p) })
}

// throttled: what is throttled is tried again, and done once; when the budget is
// used up it is Unavailable, and nothing moved.
func throttled(t *testing.T, p *pressed) {
	t.Helper()
	gold := int64(0)
	for name, pressure := range pressures {
		t.Run(name, func(t *testing.T) {
			id := strings.ReplaceAll(name, " ", "-")
			p.network.set(pressure.operation, 3, pressure.reply)
			_, err := p.patient.Post(t.Context(), p.order(id))
			if hits := p.network.hits(); err != nil || hits != 3 {
				t.Errorf("three refusals: got %v after %d of them", err, hits)
			}
			gold++
			p.want(t, "after three refusals", gold)
			if pressure.words == "" {
				return
			}
			p.network.set(pressure.operation, -1, pressure.reply)
			_, err = p.hurried.Post(t.Context(), p.order(id+"-2"))
			if hits := p.network.hits(); err == nil || throng.KindOf(err) != throng.Unavailable || throng.RetryAfterOf(err) == 0 || hits > 100 {
				t.Errorf("refused all the time: got %v after %d times, want Unavailable, when to come back, and a bounded number", err, hits)
			} else if said := err.Error(); !strings.Contains(said, pressure.words) && !strings.Contains(said, "no answer") { // a busy machine's last try
				t.Errorf("got %v, which does not say %q", err, pressure.words)
			}
			p.want(t, "refused all the time", gold)
			if _, err := p.patient.Post(t.Context(), p.order(id+"-2")); err != nil {
				t.Error(err)
			}
			gold++
			p.want(t, "and then once more", gold)
		})
	}
}

// unknownOutcome: a transfer, or a save, whose answer was lost is not guessed:
// the caller hears Unavailable, and the same call again tells.
func unknownOutcome(t *testing.T, p *pressed) {
	t.Helper()
	p.game = game()
	p.open(t)
	p.network.set("TransactWriteItems", 1, hang)
	if _, err := p.patient.Post(t.Context(), p.order("hangs")); err != nil {
		t.Errorf("one that hangs: got %v", err)
	}
	p.want(t, "one that hangs", 1)

	p.network.lose("TransactWriteItems")
	_, err := p.hurried.Post(t.Context(), p.order("lost"))
	if err == nil || throng.KindOf(err) != throng.Unavailable || !strings.Contains(err.Error(), "not known") {
		t.Errorf("a lost answer: got %v, want Unavailable", err)
	}
	p.want(t, "a lost answer", 2) // it was done, and nobody knew
	first, err := p.patient.Post(t.Context(), p.order("lost"))
	if err != nil || len(first.Holdings) != 1 || first.Holdings[0].Amounts[0].Count != 2 {
		t.Errorf("the same again: got %+v, %v, want the first receipt", first, err)
	}
	p.want(t, "the same again", 2)

	k := profile.Key{Game: p.game, Player: "bo"}
	if _, err := p.profiles.Checkout(t.Context(), k, 7, "ses"); err != nil {
		t.Fatal(err)
	}
	save := profile.Save{Revision: 1, Fence: 7, Holder: "ses", SavedAt: time.UnixMilli(1), Size: 2, Data: []byte("{}")}
	lose := func(r *http.Request) (*http.Response, error) { // it is done, and not answered
		if resp, err := http.DefaultClient.Do(r); err == nil {
			resp.Body.Close()
		}
		return nil, errors.New("the reply was lost")
	}
	p.network.set("UpdateItem", 1, lose)
	for range 2 { // the second is a repeat
		if err := p.profiles.Save(t.Context(), k, save, false); err != nil {
			t.Errorf("a save whose answer was lost: %v", err)
		}
	}
	other := save
	other.Data = []byte(`{"a":1}`)
	if err := p.profiles.Save(t.Context(), k, other, false); throng.KindOf(err) != throng.Conflict || err == nil {
		t.Errorf("another save of that revision: got %v, want Conflict", err)
	}
	if hits := p.network.hits(); hits != 1 {
		t.Errorf("%d answers were lost, want 1", hits)
	}
}
