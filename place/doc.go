// Package place is what creators publish: it checks an upload, makes it one
// immutable package named by the hash of its content, and says which version of
// a place is live.
//
//	upload (tar.gz) ──ReadUpload──▶ files ──Check──▶ Manifest
//	                                  └──Pack──▶ canonical bytes, hash ──▶ Packages
//	                                                    one conditional write ──▶ Records
//
// Nothing is stored before everything was checked, and nothing is live before
// its package is stored: a publish that fails half way leaves at most a package
// that no version names.
//
// Who publishes a place first owns it (owner.go); the check is part of the
// conditional write.
//
// Neighbours: api calls Catalog for creators and game servers, match for what is
// live; disk keeps both stores on one machine; script compiles what Check hands
// it; a game server opens what it fetched with Unpack.
//
// A publish is refused: the error names file and line. A publish answers
// Contention: many publish the same place at once. A package can't be read: its
// stored bytes are not what its name says; publishing the same content again
// repairs it. throng_place_publishes_total tells results by code.
package place
