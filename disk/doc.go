// Package disk keeps places in a folder of one machine, and what else outlives a
// control plane.
//
//	DIR/LOCK                           held by the one process that has the folder open, or by those that share it
//	DIR/WRITE                          held by who replaces a record
//	DIR/places/<place>.json            a place's record, replaced as a whole
//	DIR/packages/<first 2>/<hash>.tar  packages, never changed
//	DIR/secrets/<name>                 32 random bytes each, readable by the owner only:
//	                                   region, region.2, ... are the region's ring
//	DIR/keys/<key>.json                API keys, as hashes; shared by all who use the folder
//	DIR/drains/<kind>-<name>.json      what of the fleet is taken out of use; shared like keys
//
// A file is written beside its place, synced, renamed, and its folder synced: a
// crash leaves the old one or the new one. What stays of a crash ends in .tmp
// and is swept at Open.
//
// Several processes may share a folder (OpenShared), as the replicas of a control
// plane do: records are replaced under the lock of WRITE and looked at anew by
// each read, packages never change.
//
// A Cache is a folder of its own: packages that game servers of a machine share.
//
// Neighbours: place and auth state the interfaces; cmd/throng opens the folder.
//
// "is in use by another process": the pid is in the text and in LOCK; the lock
// ends with that process, the file may stay. "is damaged": a record that is no
// record, which only something outside of Throng can have done, stops Open; a
// package whose bytes are not what its name says fails its readers at the end,
// and is repaired by publishing the same content again.
package disk
