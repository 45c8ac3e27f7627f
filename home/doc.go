// Package home lets profiles and ledger be written in one region of several, the
// home, whatever door is asked.
//
//	api ─▶ Owned ─┬─ the home is here ─▶ gate ─▶ profile, ledger
//	              ├─ it is elsewhere ─▶ its door ─▶ api ─▶ Here ─▶ gate ─▶ profile, ledger
//	              └─ it does not answer ─▶ reads: the copy in the own store; writes: Unavailable
//
// Who is home is a region and a term (throng.Home), of which the highest term counts. A
// region keeps it in its store, says it in its summaries and learns it from the others'
// (Homes.Run). A region that was the home and hears a higher term writes no more:
// fenced. One that was away asks the others before it writes anything.
//
// An operator promotes a region (promote.go): a home that is heard is told first, and its last
// writes are waited for; one that is lost is fenced when it comes back, and what
// it had not passed on is listed.
//
// Neighbours: needs.go. Who makes the copy is package copies.
//
// When it misbehaves: throng_home_term says which term counts in each region,
// throng_home_calls_total where calls went; throng home prints what each
// region takes for the home.
package home
