// Command echo is the game that test/lab's pods run: it does what datagrams ask
// for and answers what came of it.
package main

import (
	"context"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

func main() {
	conn, err := (&net.ListenConfig{}).ListenPacket(context.Background(), "udp", ":7777")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buffer := make([]byte, 1500)
	for {
		n, from, err := conn.ReadFrom(buffer)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		word, rest, _ := strings.Cut(string(buffer[:n]), " ")
		_, _ = conn.WriteTo([]byte(do(word, rest)), from) // who got nothing asks again
	}
}

func do(word, rest string) string {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	switch word {
	case "user":
		return fmt.Sprint(os.Getuid())
	case "write":
		return fmt.Sprint(os.WriteFile(rest, []byte("x"), 0o600))
	case "resolve":
		ips, err := net.DefaultResolver.LookupHost(ctx, rest)
		return fmt.Sprint(ips, " ", err)
	case "dial":
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", rest)
		if err != nil {
			return err.Error()
		}
		_ = conn.Close() // nothing was written
		return "connected"
	}
	return "what is " + word + "?"
}
