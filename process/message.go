package process

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"github.com/throng-gg/throng"
	"github.com/throng-gg/throng/fleet/endings"
)

// What a node and the control plane say to each other: JSON objects, one a
// WebSocket text message. Kinds and fields that are not known are passed over,
// so that either side may be newer.
//
//	node ──▶ hello     first: what is alive, what ended and was not told yet
//	     ──▶ exited    a game server is over; repeated on each connection until told
//	     ──▶ began     a game server was started for another replica
//	     ──▶ answer    to a call
//	     ◀── allocate  a call: start a game server
//	     ◀── release   a call: end it
//	     ◀── told      an exit was taken
const (
	kindHello    = "hello"
	kindExited   = "exited"
	kindBegan    = "began"
	kindAnswer   = "answer"
	kindAllocate = "allocate"
	kindRelease  = "release"
	kindTold     = "told"
)

// Bounds of a message.
const (
	maxMessage = 1 << 20 // bytes
	maxServers = 4096    // on a node
	maxEnv     = 32      // variables
	maxText    = 8 << 10 // bytes of a variable, a reason or a detail
)

// message is all kinds in one; each uses what its line below says.
type message struct {
	Kind string `json:"kind"`

	Node    throng.NodeID     `json:"node,omitempty"`    // hello
	Max     int               `json:"max,omitempty"`     // hello: how many may be alive
	Servers []throng.ServerID `json:"servers,omitempty"` // hello: alive
	Exits   []exitMessage     `json:"exits,omitempty"`   // hello

	Server throng.ServerID `json:"server,omitempty"` // exited, began, told, allocate, release
	Reason string          `json:"reason,omitempty"` // exited

	Call uint64   `json:"call,omitempty"` // allocate, release, answer: counted from 1 on a connection
	Env  []string `json:"env,omitempty"`  // allocate: "THRONG_...=value"

	Code       string `json:"code,omitempty"`           // answer: a throng.Kind, empty when all is well
	Detail     string `json:"detail,omitempty"`         // answer
	RetryAfter int64  `json:"retry_after_ms,omitempty"` // answer
}

type exitMessage struct {
	Server throng.ServerID `json:"server"`
	Reason string          `json:"reason"`
}

func (m message) encode() ([]byte, error) { return json.Marshal(m) }

// parseMessage reads one message and checks every field.
func parseMessage(data []byte) (message, error) {
	var m message
	if len(data) > maxMessage {
		return message{}, throng.Errorf(throng.Invalid, "a message has %d bytes", len(data))
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return message{}, throng.Errorf(throng.Invalid, "a message is not understood: %w", err)
	}
	if err := m.check(); err != nil {
		return message{}, throng.Errorf(throng.Invalid, "message %.20q: %w", m.Kind, err)
	}
	return m, nil
}

func (m message) check() error {
	switch m.Kind {
	case kindHello:
		return m.checkHello()
	case kindExited, kindBegan, kindTold:
		return errors.Join(checkServer(m.Server), checkText("reason", m.Reason))
	case kindAllocate, kindRelease:
		if m.Call == 0 {
			return throng.AtField(throng.Invalid, "call", "is missing")
		}
		return errors.Join(checkServer(m.Server), checkEnv(m.Env))
	case kindAnswer:
		if m.Call == 0 || m.RetryAfter < 0 || m.RetryAfter > int64(time.Hour/time.Millisecond) {
			return throng.AtField(throng.Invalid, "call", "has no number, or a bad time")
		}
		return errors.Join(checkText("code", m.Code), checkText("detail", m.Detail))
	}
	return nil
}

func (m message) checkHello() error {
	if _, err := throng.ParseNodeID("node", string(m.Node)); err != nil {
		return err
	}
	if len(m.Servers) > maxServers || len(m.Exits) > endings.Most || m.Max < 0 || m.Max > maxServers {
		return throng.AtField(throng.Invalid, "servers", "are too many")
	}
	for _, id := range m.Servers {
		if err := checkServer(id); err != nil {
			return err
		}
	}
	for _, e := range m.Exits {
		if err := errors.Join(checkServer(e.Server), checkText("reason", e.Reason)); err != nil {
			return err
		}
	}
	return nil
}

func checkServer(id throng.ServerID) error {
	_, err := throng.ParseServerID("server", string(id))
	return err
}

func checkText(field, s string) error {
	if len(s) > maxText {
		return throng.AtField(throng.Invalid, field, "has %d bytes, at most %d are allowed", len(s), maxText)
	}
	return nil
}

// checkEnv lets through only what is ours: a node starts no program with
// LD_PRELOAD because somebody far away said so.
func checkEnv(env []string) error {
	if len(env) > maxEnv {
		return throng.AtField(throng.Invalid, "env", "has %d variables, at most %d are allowed", len(env), maxEnv)
	}
	for _, v := range env {
		name, _, ok := strings.Cut(v, "=")
		if !ok || !strings.HasPrefix(name, "THRONG_") || strings.ContainsRune(v, 0) {
			return throng.AtField(throng.Invalid, "env", "%.40q is no THRONG_ variable", name)
		}
		if err := checkText("env", v); err != nil {
			return err
		}
	}
	return nil
}

// answerTo makes the answer to a call.
func answerTo(call message, err error) message {
	m := message{Kind: kindAnswer, Call: call.Call}
	if err != nil {
		m.Code = throng.KindOf(err).String()
		m.Detail = err.Error()
		m.Detail = m.Detail[:min(len(m.Detail), maxText)]
		m.RetryAfter = throng.RetryAfterOf(err).Milliseconds()
	}
	return m
}

// err is what an answer says of its call.
func (m message) err() error {
	if m.Code == "" {
		return nil
	}
	return throng.RetryLater(throng.ParseKind(m.Code), time.Duration(m.RetryAfter)*time.Millisecond, "%s", m.Detail)
}
