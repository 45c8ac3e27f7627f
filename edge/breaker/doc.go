// Package breaker keeps calls to other regions from hurting who makes them, and
// whom they are made to. What is known is kept for each caller, region and
// operation apart, because a region that answers one may not answer another.
//
// Pure: Circuit (circuit.go) refuses calls to what fails or is slow and finds out
// when it is back, Limit (limit.go) is how many calls are under way at once and
// follows their latency, Budget (budget.go) keeps repeated calls to a tenth of
// the others. Acting: Breakers (breakers.go) keeps them under one lock, Do makes a
// call under them, Read one that may be repeated and is hedged.
//
// Neighbours: none. cmd/throng (regions.go) makes package region's calls to other
// regions' doors through it: so far those for summaries, which are Reads.
//
// When it misbehaves: throng_breaker_state is 1 for what is refused; with many
// throng_breaker_transitions_total something flaps, see Rules.Calm. Calls with the
// outcome "busy" are over throng_breaker_limit: the other side became slower.
package breaker
