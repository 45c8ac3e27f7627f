// Package agones stands in for Agones in tests: its custom resources, its
// allocation API, its allocator service, its controller and its sidecar, on a
// real Kubernetes API server. It is written from the recordings in testdata and
// held to them by this package's tests; it is never part of a release.
//
//	s, err := agones.Start(ctx, restConfig, agones.Options{BatchWait: 20 * time.Millisecond})
//	defer s.Close()
//
// installs everything and runs in this process. Then create a Fleet with any
// client; its servers become Ready by themselves unless Options says otherwise:
//
//   - nothing set: fake servers, Ready after Options.Ready, 2,000 are cheap
//     (Straight makes them cheaper);
//   - Play: a function of the test is the game server process, with a sidecar
//     of its own at Player.SDK;
//   - Pods: control.PaperPods makes Pods that nothing runs, so that tokens can
//     be bound to them; control.RealPods needs a node and an SDKImage.
//
// Faults: Inject (lost replies, delays, refusals, conflicts, twins), Exit (a
// dead server stays Ready for ExitLag), StopController, StopExtensions,
// StopAllocator and their Start.
//
// The parts: object (the kinds), allocation (the allocator), control (the
// controller), sidecar (the SDK server), cmd/standin (all of it as a command).
package agones
