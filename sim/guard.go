package sim

// Guard is one of the things that keep the promises. Config.Off takes one out,
// by standing between production parts and doing what they would do without it.
type Guard string

// The guards.
const (
	// GuardQuarantine: nothing is granted until old tokens are dead, and then
	// only where sessions reported.
	GuardQuarantine Guard = "quarantine"
	// GuardStamp: a store whose stamp is old begins a generation.
	GuardStamp Guard = "stamp"
	// GuardFailover: a failover takes longer than a stamp is good for.
	GuardFailover Guard = "failover"
	// GuardEpoch: epochs are times, not counters.
	GuardEpoch Guard = "epoch"
	// GuardFence: confirming is refused to an older epoch.
	GuardFence Guard = "fence"
	// GuardEvict: confirming evicts the older seat.
	GuardEvict Guard = "evict"
	// GuardWhole: a hold is for all of a party or for none.
	GuardWhole Guard = "whole"
	// GuardFull: a hold is refused when there is no room.
	GuardFull Guard = "full"
	// GuardFirst: the first answer to a ticket wins.
	GuardFirst Guard = "first"
	// GuardRelease: what lost is released.
	GuardRelease Guard = "release"
	// GuardFloor: a game server lets no epoch in that was evicted or has left.
	GuardFloor Guard = "floor"
	// GuardPulse: a server that was stopped serves nobody until it was heard.
	GuardPulse Guard = "pulse"
	// GuardTogether: sessions that fall silent together are not ended.
	GuardTogether Guard = "together"
	// GuardBind: a session is bound to one incarnation of one server.
	GuardBind Guard = "bind"
	// GuardOrders: orders stay in heartbeat answers until they are done.
	GuardOrders Guard = "orders"
)

// Guards is all of them.
func Guards() []Guard {
	return []Guard{
		GuardQuarantine, GuardStamp, GuardFailover, GuardEpoch, GuardFence, GuardEvict, GuardWhole, GuardFull,
		GuardFirst, GuardRelease, GuardFloor, GuardPulse, GuardTogether, GuardBind, GuardOrders,
	}
}

// off says whether the guard is taken out.
func (w *world) off(g Guard) bool { return w.config.Off == g }
