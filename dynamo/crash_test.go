package dynamo_test

import (
	"errors"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/contract"
	"github.com/throng-gg/throng/dynamo"
)

// flaky loses requests before they are sent, and replies after.
type flaky struct {
	mu    sync.Mutex
	rng   *rand.Rand // guarded by mu
	share int        // one in so many is lost; 0: none
}

// Do sends a request, perhaps.
func (f *flaky) Do(r *http.Request) (*http.Response, error) {
	f.mu.Lock()
	n := -1
	if f.share > 0 {
		n = f.rng.IntN(2 * f.share)
	}
	f.mu.Unlock()
	if n == 0 {
		return nil, errors.New("the request was lost")
	}
	resp, err := http.DefaultClient.Do(r)
	if n == 1 && err == nil {
		resp.Body.Close()
		return nil, errors.New("the reply was lost")
	}
	return resp, err
}

// TestCrashEverywhere stops the process before and after every call of the stores,
// and between the requests that a call is made of.
func TestCrashEverywhere(t *testing.T) {
	t.Parallel()
	operations := 150
	if times, _ := strconv.Atoi(os.Getenv("THRONG_SOAK")); times > 0 { //nolint:forbidigo // a test's own
		operations = 20_000 * times
	}
	network := &flaky{rng: rand.New(rand.NewPCG(1, 1))} //nolint:gosec // a seed
	s := local(t, func(c *dynamo.Config) { c.HTTP = network })
	network.mu.Lock()
	network.share = 20
	network.mu.Unlock()
	err := contract.OwnCrash(t, contract.OwnStores{Profiles: s.Profiles(), Ledger: s.Ledger()}, game(), 1, operations)
	if err != nil {
		t.Error(err)
	}
}

// TestUnavailableIsNoGuess: while DynamoDB is away the answer is Unavailable within
// the budget.
func TestUnavailableIsNoGuess(t *testing.T) {
	t.Parallel()
	network := &flaky{rng: rand.New(rand.NewPCG(1, 1)), share: 1} //nolint:gosec // a seed
	s, err := dynamo.New(t.Context(), dynamo.Config{URL: "http://127.0.0.1:9/test", HTTP: network, Budget: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Now()
	err = s.Ledger().Fence(t.Context(), "bazaar", "ada", 7)
	if throng.KindOf(err) != throng.Unavailable || throng.RetryAfterOf(err) == 0 {
		t.Errorf("got %v, want Unavailable and when to come back", err)
	}
	if took := time.Since(begun); took > 30*time.Second {
		t.Errorf("the answer took %s with a budget of 300 ms", took)
	}
}
