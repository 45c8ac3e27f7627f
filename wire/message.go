package wire

// Protocol is the number of the language that this package speaks. A client
// that finds another one in the welcome cannot go on.
const Protocol = 5

// Bounds of what is sent.
const (
	MaxPayload = 1150     // bytes of one message; browsers' datagrams carry no more everywhere
	History    = 32       // ticks that both sides keep for later snapshots to refer to
	MaxMessage = 16 << 10 // bytes of one message of the events channel
)

// Message is the first byte of a payload: of a state or a message of wire/channel,
// or of the last word. Receivers ignore those that they do not know.
type Message uint8

// The messages.
const (
	MessageNone      Message = 0 // no payload starts with it
	MessageWelcome   Message = 1
	MessageSnapshot  Message = 2
	MessageBye       Message = 3
	MessageInput     Message = 4
	MessageReconnect Message = 5
	MessageHandoff   Message = 6
	MessagePlace     Message = 7
)

// MessageOf says which message a payload is; an empty one is MessageNone.
func MessageOf(payload []byte) Message {
	if len(payload) == 0 {
		return MessageNone
	}
	return Message(payload[0])
}
