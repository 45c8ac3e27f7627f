package sdk

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/throng-gg/throng"
)

const (
	// streamTime is how long one connection of the watch lives: a sidecar that
	// hangs is noticed, and what it lost is seen.
	streamTime = 5 * time.Minute
	// A watch that was lost comes back after so long, longer each time.
	retryFirst = 100 * time.Millisecond
	retryMost  = 5 * time.Second
)

// Watch calls seen with the server's own GameServer as it is now, and after each
// change, until ctx ends, which is its only error; seen may be called with the
// same one again. A sidecar that is away is waited for.
func (c *Client) Watch(ctx context.Context, seen func(GameServer)) error {
	retry, said := retryFirst, false
	for {
		heard := false
		err := c.stream(ctx, func(g GameServer) {
			heard = true
			seen(g)
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if heard {
			retry, said = retryFirst, false
		}
		if err != nil && !said {
			c.logger.WarnContext(ctx, "sidecar is away: watch lost", "err", err)
			said = true
		}
		if pause(ctx, retry) != nil {
			return ctx.Err()
		}
		retry = min(2*retry, retryMost)
	}
}

// stream follows one connection; nil: it has lived long enough.
func (c *Client) stream(ctx context.Context, seen func(GameServer)) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// Headers come at once, or never.
	opening := time.AfterFunc(callTime, cancel)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.addr+"/watch/gameserver", nil)
	if err != nil {
		return err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(io.LimitReader(resp.Body, maxBody)) // what came is for people
		return throng.Errorf(kindOf(resp.StatusCode, text), "%s", wordsOf(resp.Status, text))
	}
	if !opening.Stop() {
		return throng.Errorf(throng.Unavailable, "no answer within %s", callTime)
	}
	defer time.AfterFunc(streamTime, cancel).Stop()
	began := time.Now()
	lines := bufio.NewScanner(resp.Body)
	lines.Buffer(nil, maxBody)
	for lines.Scan() {
		line := bytes.TrimSpace(lines.Bytes())
		if len(line) == 0 {
			continue
		}
		g, err := parseEvent(line)
		if err != nil {
			return err
		}
		seen(g)
	}
	if time.Since(began) >= streamTime {
		return nil
	}
	if err := lines.Err(); err != nil {
		return err
	}
	return io.ErrUnexpectedEOF
}

// event is one line of the watch.
type event struct {
	Result *GameServer `json:"result"`
	Error  *refusal    `json:"error"`
}

func parseEvent(line []byte) (GameServer, error) {
	var e event
	if err := json.Unmarshal(line, &e); err != nil {
		return GameServer{}, fmt.Errorf("a line of the watch: %w", err)
	}
	switch {
	case e.Error != nil:
		return GameServer{}, throng.Errorf(throng.Unavailable, "the watch ends: %s", e.Error.Message)
	case e.Result == nil:
		return GameServer{}, throng.Errorf(throng.Internal, "a line of the watch has no result")
	}
	return *e.Result, nil
}

// pause waits for d. Its error is that ctx ended.
func pause(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
