// Package host is a game server's process, which throng-gameserver is: its flags,
// the sockets that players come to, its life under an orchestrator or Agones, and a
// place's script as package gameserver runs it.
//
// command.go is the way in. When a server does not come up, look at its own log and
// at what started it: package process, or agones.go and the sidecar.
package host
