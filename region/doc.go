// Package region chooses the region that a ticket goes to.
//
// Pure: Rank (rank.go) puts the regions in the order in which they are tried, by
// the same score by which package match chooses among a region's sessions: how
// full the best session is that has room, and how near. Acting: Peers (peers.go)
// asks every other region for its summary (throng.RegionSummary) about once a
// second; what is older than FreshFor is not looked at.
//
// Neighbours are in needs.go. cmd/throng (regions.go) runs Peers, which call the
// other regions' doors through package breaker. The door (api/elsewhere.go) asks
// for the order before it hands a ticket to its own matchmaker or to another
// region's door, and tells Peers of what it sent there.
//
// When it misbehaves: throng_region_heard is 0 for a region that nobody is sent
// to; throng_region_summaries_total says by code why, "conflict" that two have the
// same number.
package region
