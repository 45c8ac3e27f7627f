package channel

import "github.com/throng-gg/throng"

// inbox puts slices in order and messages together.
type inbox struct {
	next    uint16 // number of the slice that is waited for
	ahead   [Ahead]early
	bytes   int    // of ahead
	message []byte // what is here of the next message
	most    int    // bytes of ahead
	longest int    // bytes of a message
}

// early is a slice that came before its turn.
type early struct {
	here bool
	more bool
	data []byte
}

// take takes a slice, and gives deliver each message that is complete with it.
// False: there is no room for it now. Invalid: it is none that the other side may
// send.
func (in *inbox) take(s Slice, deliver func(message []byte)) (taken bool, err error) {
	ahead := s.Number - in.next
	switch {
	case ahead >= 1<<15:
		return true, nil // taken before
	case ahead >= Ahead:
		return false, throng.Errorf(throng.Invalid, "slice %d came while %d is waited for", s.Number, in.next)
	case ahead > 0:
		return in.keep(s), nil
	}
	if err := in.add(s, deliver); err != nil {
		return false, err
	}
	for {
		e := &in.ahead[in.next%Ahead]
		if !e.here {
			return true, nil
		}
		e.here = false
		in.bytes -= len(e.data)
		if err := in.add(Slice{Number: in.next, More: e.more, Data: e.data}, deliver); err != nil {
			return false, err
		}
		e.data = nil
	}
}

// keep keeps a slice until its turn.
func (in *inbox) keep(s Slice) bool {
	e := &in.ahead[s.Number%Ahead]
	if e.here {
		return true
	}
	if in.bytes+len(s.Data) > in.most {
		return false
	}
	in.bytes += len(s.Data)
	*e = early{here: true, more: s.More, data: append([]byte(nil), s.Data...)}
	return true
}

// add takes the slice that was waited for.
func (in *inbox) add(s Slice, deliver func(message []byte)) error {
	in.next++
	if len(in.message)+len(s.Data) > in.longest {
		return throng.Errorf(throng.Invalid, "a message of more than %d bytes", in.longest)
	}
	if !s.More && len(in.message) == 0 {
		deliver(s.Data)
		return nil
	}
	in.message = append(in.message, s.Data...)
	if !s.More {
		deliver(in.message)
		in.message = in.message[:0]
	}
	return nil
}
