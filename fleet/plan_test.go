package fleet

import (
	"testing"
	"time"

	"github.com/throng-gg/throng"
)

func TestPlan(t *testing.T) {
	now := time.Unix(1000, 0)
	for name, c := range map[string]struct {
		view View
		want Decision
	}{
		"stock":                    {View{Stock: 2, Max: 10}, Decision{Allocate: 2, Short: now}},
		"on their way":             {View{Stock: 2, Max: 10, Asked: 1, Started: 1}, Decision{}},
		"openings on top":          {View{Stock: 2, Max: 10, Idle: 2, Waiting: 3}, Decision{Allocate: 3, Short: now}},
		"eight at once":            {View{Max: 100, Waiting: 50, Asked: 3}, Decision{Allocate: 5, Short: now}},
		"or as many as are liked":  {View{Max: 100, AtOnce: 64, Waiting: 70, Asked: 3}, Decision{Allocate: 61, Short: now}},
		"sessions come up":         {View{Stock: 9, Max: 99, Idle: 2, Handed: 3, Occupied: 3}, Decision{Allocate: 7, Short: now}},
		"and need the machine":     {View{Stock: 9, Max: 99, Idle: 2, Handed: 3, Occupied: 3, Shared: true}, Decision{Short: now}},
		"but not for ever":         {View{Stock: 9, Max: 99, Idle: 2, Handed: 3, Occupied: 3, Shared: true, Short: now.Add(-500 * time.Millisecond)}, Decision{Allocate: 1, Short: now.Add(-500 * time.Millisecond)}},
		"one starts already":       {View{Stock: 9, Max: 99, Idle: 2, Started: 1, Handed: 3, Occupied: 4, Shared: true}, Decision{Short: now}},
		"openings do not wait":     {View{Stock: 2, Max: 99, Handed: 3, Occupied: 3, Waiting: 5, Shared: true}, Decision{Allocate: 7, Short: now}},
		"they are up":              {View{Stock: 9, Max: 99, Idle: 2, Occupied: 3, Shared: true}, Decision{Allocate: 7, Short: now}},
		"no more than max":         {View{Stock: 2, Max: 10, Occupied: 9}, Decision{Allocate: 1, Short: now}},
		"full":                     {View{Stock: 2, Max: 10, Occupied: 10}, Decision{Short: now}},
		"over the limit":           {View{Stock: 2, Max: 10, Occupied: 12}, Decision{Short: now}},
		"after a failure":          {View{Stock: 2, Max: 10, NotBefore: now.Add(1)}, Decision{Short: now}},
		"surplus noticed":          {View{Stock: 1, Max: 10, Idle: 3}, Decision{Surplus: now}},
		"surplus watched":          {View{Stock: 1, Max: 10, Idle: 3, Surplus: now.Add(-30 * time.Second)}, Decision{Surplus: now.Add(-30 * time.Second)}},
		"surplus released":         {View{Stock: 1, Max: 10, Idle: 3, Surplus: now.Add(-60 * time.Second)}, Decision{Release: 1, Surplus: now.Add(-50 * time.Second)}},
		"a tenth of the surplus":   {View{Stock: 1, Max: 99, Idle: 32, Surplus: now.Add(-60 * time.Second)}, Decision{Release: 3, Surplus: now.Add(-50 * time.Second)}},
		"none left for peers":      {View{Stock: 1, Max: 10, Idle: 9, Occupied: 1, Peers: true}, Decision{Surplus: now}},
		"room is made for peers":   {View{Stock: 1, Max: 10, Idle: 9, Occupied: 1, Peers: true, Surplus: now.Add(-2 * time.Second)}, Decision{Release: 2, Surplus: now}},
		"one makes room for none":  {View{Stock: 1, Max: 10, Idle: 9, Occupied: 1, Surplus: now.Add(-2 * time.Second)}, Decision{Surplus: now.Add(-2 * time.Second)}},
		"surplus over":             {View{Stock: 1, Max: 10, Idle: 1, Surplus: now.Add(-60 * time.Second)}, Decision{}},
		"surplus not idle yet":     {View{Stock: 1, Max: 10, Started: 3}, Decision{}},
		"surplus wanted after all": {View{Stock: 1, Max: 10, Idle: 3, Waiting: 2, Surplus: now.Add(-60 * time.Second)}, Decision{}},
	} {
		c.view.Now = now
		if got := Plan(c.view); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestRoomOf(t *testing.T) {
	for name, c := range map[string]struct {
		view View
		want throng.ServerRoom
	}{
		"empty":                     {View{Max: 10}, throng.ServerRoom{Spare: 10}},
		"stock":                     {View{Max: 10, Idle: 2, Occupied: 3}, throng.ServerRoom{Warm: 2, Spare: 5}},
		"openings take it":          {View{Max: 10, Idle: 2, Occupied: 3, Waiting: 4}, throng.ServerRoom{Spare: 3}},
		"no more are started":       {View{Max: 10, Idle: 2, Occupied: 3, Full: true}, throng.ServerRoom{Warm: 2}},
		"but those that start come": {View{Max: 10, Idle: 2, Asked: 1, Started: 1, Full: true}, throng.ServerRoom{Warm: 2, Spare: 2}},
		"but not of one that hangs": {View{Max: 10, Idle: 2, Asked: 3, Waiting: 1, Stuck: true}, throng.ServerRoom{Warm: 1}},
		"nothing of one that hangs": {View{Max: 10, Asked: 3, Waiting: 1, Stuck: true}, throng.ServerRoom{}},
		"full":                      {View{Max: 10, Occupied: 10}, throng.ServerRoom{}},
		"hopeless":                  {View{Max: 10, Occupied: 3, Waiting: 2, Full: true}, throng.ServerRoom{}},
		"over the limit":            {View{Max: 10, Idle: 2, Occupied: 12}, throng.ServerRoom{}},
	} {
		if got := RoomOf(c.view); got != c.want {
			t.Errorf("%s: got %+v, want %+v", name, got, c.want)
		}
	}
}

func TestJudge(t *testing.T) {
	hello := throng.Hello{Server: "a", Incarnation: "1"}
	for name, c := range map[string]struct {
		session throng.Session
		err     error
		want    verdict
	}{
		"hosts":        {throng.Session{State: throng.SessionOpen, Server: "a", Incarnation: "1"}, nil, verdictHosts},
		"another life": {throng.Session{State: throng.SessionOpen, Server: "a", Incarnation: "2"}, nil, verdictOver},
		"another one":  {throng.Session{State: throng.SessionDraining, Server: "b", Incarnation: "1"}, nil, verdictOver},
		"starting":     {throng.Session{}, nil, verdictNotYet},
		"ended":        {throng.Session{State: throng.SessionEnded, Server: "a", Incarnation: "1"}, nil, verdictOver},
		"unknown":      {throng.Session{}, throng.Errorf(throng.NotFound, "none"), verdictUnheard},
		"rebuilding":   {throng.Session{}, throng.Errorf(throng.Unavailable, "rebuilding"), verdictUnknown},
	} {
		if got := judge(hello, c.session, c.err); got != c.want {
			t.Errorf("%s: got %d, want %d", name, got, c.want)
		}
	}
}

func TestBackoff(t *testing.T) {
	if got := backoff(1); got != 200*time.Millisecond {
		t.Errorf("got %s, want 200ms", got)
	}
	if got := backoff(1000); got != 10*time.Second {
		t.Errorf("got %s, want 10s", got)
	}
}
