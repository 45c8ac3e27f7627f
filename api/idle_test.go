package api

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"runtime/pprof"
	"testing"
	"time"
)

// connect opens a control connection that costs this process next to nothing on
// the server's side. The hello comes in one piece with the request.
func (d *door) connect(token string) {
	d.t.Helper()
	conn, err := net.Dial("tcp", d.http.Listener.Addr().String()) //nolint:noctx // to this process
	if err != nil {
		d.t.Fatal(err)
	}
	d.t.Cleanup(func() { _ = conn.Close() })
	said := fmt.Sprintf("%-200s", rawHello)
	frame := "\x81\xfe\x00\xc8\x00\x00\x00\x00" + said // text of 200 bytes, its mask is zero
	if _, err := fmt.Fprintf(conn, "GET /v1/servers/%s/control HTTP/1.1\r\nHost: door\r\nAuthorization: Bearer %s\r\n"+
		"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n%s",
		serverA, token, frame); err != nil {
		d.t.Fatal(err)
	}
	answer := bufio.NewReaderSize(conn, 16)
	resp, err := http.ReadResponse(answer, nil)
	if err != nil {
		d.t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusSwitchingProtocols {
		d.t.Fatalf("got %s", resp.Status)
	}
	if _, err := io.ReadFull(answer, make([]byte, 2)); err != nil { // the beginning of the welcome
		d.t.Fatal(err)
	}
	<-d.world.links
}

// TestIdleControlConnections: an idle server's connection is two goroutines and
// little memory, and its caller's call is over.
func TestIdleControlConnections(t *testing.T) {
	d := openDoor(t, func(c *Config) { c.Limits.Machine = Rate{PerSecond: 1e6, Burst: 1e6} })
	d.pingEvery = time.Hour
	token := d.serverToken(serverA, "")
	held := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc + m.StackInuse)
	}
	settled := func(most int) {
		for begun := time.Now(); ; <-time.After(time.Millisecond) {
			var stacks bytes.Buffer
			if err := pprof.Lookup("goroutine").WriteTo(&stacks, 2); err != nil {
				t.Fatal(err)
			}
			calls := bytes.Count(stacks.Bytes(), []byte("net/http.(*conn).serve("))
			if n := runtime.NumGoroutine(); n <= most && calls == 0 {
				return
			} else if time.Since(begun) > 30*time.Second {
				t.Fatalf("%d goroutines and %d calls go on, want at most %d and none", n, calls, most)
			}
		}
	}
	for range 16 { // what is made once
		d.connect(token)
	}
	bare, before := runtime.NumGoroutine(), held()
	const idle = 400
	for range idle {
		d.connect(token)
	}
	settled(bare + 2*idle)
	each := (held() - before) / idle / 1024
	t.Logf("%d KiB each", each)
	// About 21, and half as much again with the race detector.
	if each > 64 {
		t.Errorf("an idle connection takes %d KiB, want at most 64", each)
	}
}
