//go:build race

package match

// raceDetector: with big herds in bubbles the detector was seen to crash by itself,
// in ways that go.dev/issue/78156 describes, so they are left out.
const raceDetector = true
