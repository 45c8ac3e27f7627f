// Package command is what the command lines of throng and of throng-gameserver have
// in common: flags that both take, and what is made of them. A flag that only one
// of them has is beside what it configures.
package command
