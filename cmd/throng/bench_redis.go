package main

import (
	"context"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/redis/rueidis"
)

// redisUse is what Redis spent and keeps, over all its nodes.
func redisUse(ctx context.Context, c rueidis.Client) (cpu time.Duration, bytes int64, err error) {
	for _, node := range c.Nodes() {
		info, err := node.Do(ctx, node.B().Info().Section("cpu", "memory").Build()).ToString()
		if err != nil {
			return 0, 0, fmt.Errorf("ask Redis what it used: %w", err)
		}
		for line := range strings.Lines(info) {
			name, value, _ := strings.Cut(strings.TrimSpace(line), ":")
			switch name {
			case "used_cpu_sys", "used_cpu_user":
				seconds, err := strconv.ParseFloat(value, 64)
				if err == nil {
					cpu += time.Duration(seconds * float64(time.Second))
				}
			case "used_memory":
				n, err := strconv.ParseInt(value, 10, 64)
				if err == nil {
					bytes += n
				}
			}
		}
	}
	return cpu, bytes, nil
}

// emptyRedis loses everything.
func emptyRedis(ctx context.Context, c rueidis.Client) error {
	for _, node := range c.Nodes() {
		if err := node.Do(ctx, node.B().Flushall().Build()).Error(); err != nil && !strings.Contains(err.Error(), "READONLY") {
			return fmt.Errorf("empty Redis: %w", err)
		}
	}
	return nil
}
