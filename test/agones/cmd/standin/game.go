package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	gamePort = ":7777"
	beat     = 2 * time.Second
)

// exitError ends the process with a code.
type exitError int

func (e exitError) Error() string { return "exit code " + strconv.Itoa(int(e)) }

// playGame is a game server for tests in Pods: it says that it is ready and
// healthy, and does what datagrams tell it: "exit CODE", "mute", "shutdown".
func playGame(ctx context.Context) error {
	port := env("AGONES_SDK_HTTP_PORT")
	if port == "" {
		return errors.New("AGONES_SDK_HTTP_PORT is not set")
	}
	sdk := "http://localhost:" + port
	conn, err := net.ListenPacket("udp", gamePort) //nolint:noctx // nothing to wait for
	if err != nil {
		return err
	}
	defer func() { _ = conn.Close() }()
	for call(ctx, sdk+"/ready") != nil { // the sidecar's port opens a little later
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(beat / 10):
		}
	}
	orders := make(chan string)
	go listen(ctx, conn, orders)
	ticks := time.NewTicker(beat)
	defer ticks.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticks.C:
			_ = call(ctx, sdk+"/health") // the sidecar may be away for a moment
		case order := <-orders:
			word, arg, _ := strings.Cut(order, " ")
			switch word {
			case "exit":
				code, err := strconv.Atoi(arg)
				if err != nil {
					return err
				}
				return exitError(code)
			case "mute":
				ticks.Stop()
			case "shutdown":
				if err := call(ctx, sdk+"/shutdown"); err != nil {
					return err
				}
			}
		}
	}
}

// listen passes datagrams on, and answers each with itself.
func listen(ctx context.Context, conn net.PacketConn, orders chan<- string) {
	b := make([]byte, 512)
	for {
		n, from, err := conn.ReadFrom(b)
		if err != nil {
			return
		}
		_, _ = conn.WriteTo(b[:n], from) // who asks asks again
		select {
		case orders <- string(b[:n]):
		case <-ctx.Done():
			return
		}
	}
}

func call(ctx context.Context, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, url, strings.NewReader("{}"))
	if err != nil {
		return err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %s", url, res.Status)
	}
	return nil
}
