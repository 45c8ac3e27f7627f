// Package process runs game servers as processes of this machine, or of several.
//
//	fleet ──▶ Backend ──start, signal, wait──▶ game server processes
//	fleet ──▶ Nodes ◀──WebSocket── Node ──▶ Backend ──▶ ...   (one Node a machine)
//
// Backend starts, watches and ends child processes: each with a log of bounded
// size and, where the kernel lets us, memory and CPU limits of its own. Tied ones
// end with us, also when we are killed: their standard input ends. Others outlive
// a killed Backend; the next one with the same StateDir finds them again. When
// Run is told to end, it ends them all, tied or not.
//
// Nodes is a Backend for fleet whose game servers run on other machines: each
// runs `throng serve node`, which dials the control plane and holds the
// connection open. Who loses the connection loses nothing: game servers go on, and
// what ended meanwhile is told after the reconnect. Silence is no proof of an
// end: see Nodes. A control plane may be several replicas: a node is connected to
// each, does what any of them asks, and tells all of them what began and ended.
//
// Neighbours: fleet states the interface (contract.Backend tests it), api
// authenticates a node and calls Nodes.ServeNode.
//
// Files: backend.go, child.go (one process), fleet/endings (what ended, told once),
// sites.go (where they run), logs.go, adopt_linux.go (servers that outlived us), limits_linux.go
// and cgroup_linux.go; message.go (what node and control plane say), node.go,
// uplink.go (one connection of a node), link.go, nodes.go, roster.go (what Nodes believes).
//
// No server starts: the log says why, throng_process_starts_total counts. A
// server ended: LogDir/<server>.log has its last words, the exit's reason says
// if it hit its memory limit. No limits: one line at the start says why.
package process
