//go:build race

package redis_test

// raceDetector makes the search for an order that explains a history ten times as long.
const raceDetector = true
