// Package dns answers for one name with the addresses of the region that is
// nearest to who asks, of those that are up: the first guess of a player who has
// measured nothing yet.
//
// Who asks is the client's network, if his resolver says it (EDNS client subnet,
// RFC 7871), else the resolver. What is near says a Table of measured latencies, by
// network. What is up say the regions' /readyz. An answer holds 30 s.
//
//	query ──▶ parse ──▶ limits ──▶ zone.decide ──▶ query.fit ──▶ answer, TC or nothing
//	          cookies              view: table,     room: never more bytes than
//	                               health           the query, until proven
//
// Nobody gains by another's address: until a sender has proven his, by TCP or a
// cookie (RFC 7873) that was sent there, no answer is larger than its query. What is
// larger is truncated, so that resolvers ask again by TCP (decision 36).
//
// Who owns what: four goroutines read the UDP socket, one each a connection; they
// read the view, an immutable pair of table and health that SetTable and the poller
// replace whole.
//
// Neighbours: none. cmd/throng reads the table's file (throng edge dns).
//
// When it misbehaves: throng_dns_queries_total says by verdict what came,
// throng_dns_region_up whom it believes to be up, throng_dns_answers_total where
// players are sent. Many "truncated" by UDP and none by TCP: something between
// closes TCP's port 53. "limited": one network asks too much.
package dns
