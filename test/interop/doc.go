// Package interop holds tests of our netcode against other people's: the C
// reference implementation and renetcode, each as a process of its own at a real
// socket. scripts/interop.sh fetches and builds them, outside of the repository,
// and runs the tests; without THRONG_INTEROP, the folder of what was built, they
// are skipped.
//
// What was recorded in them is in wire/netcode/testdata/exchanges, and replayed
// there in every run of the tests.
package interop
