// Package control is the stand-in's controller: it moves GameServers through
// their states, keeps GameServerSets and Fleets at their size and asks
// autoscalers. Order and timing are held to the recordings in
// test/agones/testdata (fleet, rolling, death, watch, fleetautoscaler).
//
// What a GameServer runs is one of four things: nothing (it gets Ready by
// itself), a function of the test (Config.Play), a Pod that nothing runs
// (PaperPods, so that service account tokens can be bound to it), or a real Pod.
package control
