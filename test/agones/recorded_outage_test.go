package agones_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/throng-gg/throng/test/agones"
	"github.com/throng-gg/throng/test/agones/object"
)

// TestRecordedOutages stops Agones' processes one after the other.
func TestRecordedOutages(t *testing.T) {
	games := newGames()
	f := start(t, agones.Options{Play: games.play, BatchWait: 20 * time.Millisecond, SDKDelay: 50 * time.Millisecond})
	f.replayFleet("outage/12-extensions-down-create-fleet.json", "od", 3)
	c := newComparison()

	f.StopController()
	f.replay(c, "outage/01-controller-down-gsa.json")
	f.replay(c, "outage/02-controller-down-create-gs.json")
	f.replay(c, "outage/03-controller-down-gs.json")
	if err := f.StartController(); err != nil {
		t.Fatal(err)
	}
	f.await("orphan-1", object.Ready)

	addr, err := f.Allocator()
	if err != nil {
		t.Fatal(err)
	}
	client := trusting(t, addr)
	if err := f.StopExtensions(t.Context()); err != nil {
		t.Fatal(err)
	}
	f.replay(c, "outage/10-extensions-down-gsa.json")
	f.replay(c, "outage/11-extensions-down-create-gs.json")
	f.replay(c, "outage/12-extensions-down-create-fleet.json")
	f.replayAt(c, client, addr.URL, "outage/13-extensions-down-allocator-rest.json")
	f.replay(c, "outage/14-extensions-starting-gsa.json") // not ready yet looks like down
	if err := f.StartExtensions(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := f.allocate(`{"selectors":[{"matchLabels":{"agones.dev/fleet":"od"}}]}`); st.GameServerName == "" {
		t.Errorf("after the extensions came back: %+v", st)
	}

	f.replayAt(c, client, addr.URL, "outage/20-allocator-terminating.json")
	f.StopAllocator()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, addr.URL+"/gameserverallocation", strings.NewReader("{}"))
	if err != nil {
		t.Fatal(err)
	}
	if res, err := client.Do(req); err == nil {
		res.Body.Close()
		t.Errorf("without an allocator: answered %s, want none as in 21-allocator-down.json", res.Status)
	}
	if err := f.StartAllocator(); err != nil {
		t.Fatal(err)
	}
	f.replayAt(c, client, addr.URL, "outage/20-allocator-terminating.json")
}
