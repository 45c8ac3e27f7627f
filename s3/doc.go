// Package s3 keeps places in buckets, one a region, that all of a region's control
// planes use at the same time. Any S3 does that knows conditional writes
// (If-Match, If-None-Match) and reads what was written: AWS, versitygw and others.
//
//	PREFIX/places/<place>                a place's record, replaced by compare-and-swap
//	PREFIX/packages/<first 2>/<hash>.tar packages, never changed
//	PREFIX/changes/<0 to f>              another text after each change of a record of that shard
//	PREFIX/keys/<key>.json               API keys, as hashes
//	PREFIX/drains/<kind>-<name>.json     what of the fleet is taken out of use
//	PREFIX/numbers/<table>/day=...       files of numbers, for readers of Parquet (or in a bucket of their own)
//
// A record that was read is good as long as its shard's text under changes/ is
// the same, and that is looked at when it is a second old at most: sixteen small
// requests a second and process, however many places there are. Who changes a
// record changes the text, and then waits for that second. So when Swap has
// returned, every read everywhere has what it wrote.
//
// With several regions the first one's bucket is home: there records are swapped.
// Who swaps copies the record to all buckets before Swap returns, and a package is
// in all buckets before a record names it, so a region needs none but its own
// bucket to run what is published. What is missing there all the same is read
// from the others, and kept (packages), or copied from home (records, Run).
//
// Neighbours: place, auth and the consumers state the interfaces; cmd/throng names the buckets.
//
// Joins go on while the bucket is away: with what was known last, which
// throng_s3_stale_reads_total counts and the log says. A publish answers that a
// region's bucket cannot be written: its record may be live in the others; the
// same publish again mends it. "there is no bucket": it is made by operators.
package s3
