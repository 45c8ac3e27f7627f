package shed

import (
	"math"
	runtimemetrics "runtime/metrics"
	"time"
)

// lateAfter is how long a goroutine may wait for its turn to run: a call has several
// turns, and takes some hundred microseconds of them. It is far more than garbage
// collection or another process takes, which are no overload.
const lateAfter = 100 * time.Millisecond

// Goroutines counts how often a goroutine of this process waited to run, and how often
// for longer than 100 ms; the runtime looks at every eighth.
func Goroutines() (waits, late uint64) {
	sample := []runtimemetrics.Sample{{Name: "/sched/latencies:seconds"}}
	runtimemetrics.Read(sample)
	if sample[0].Value.Kind() != runtimemetrics.KindFloat64Histogram {
		return 0, 0
	}
	h := sample[0].Value.Float64Histogram()
	for i, n := range h.Counts {
		waits += n
		if from := h.Buckets[i]; !math.IsInf(from, 0) && from >= lateAfter.Seconds() {
			late += n
		}
	}
	return waits, late
}
