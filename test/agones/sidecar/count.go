package sidecar

import (
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/throng-gg/throng/test/agones/object"
)

const maxCapacity = 1000 // of a list

// number is an int64 that travels as a string; a bare number is read too.
type number int64

// MarshalJSON implements json.Marshaler.
func (n number) MarshalJSON() ([]byte, error) {
	return strconv.AppendQuote(nil, strconv.FormatInt(int64(n), 10)), nil
}

// UnmarshalJSON implements json.Unmarshaler.
func (n *number) UnmarshalJSON(b []byte) error {
	i, err := strconv.ParseInt(strings.Trim(string(b), `"`), 10, 64)
	*n = number(i)
	return err
}

type counter struct {
	Name     string `json:"name"`
	Count    number `json:"count"`
	Capacity number `json:"capacity"`
}

type list struct {
	Name     string   `json:"name"`
	Capacity number   `json:"capacity"`
	Values   []string `json:"values"`
}

// pendingCounter is a counter with what is still to be written. Callers hold mu.
func (s *Server) pendingCounter(name string) (object.Counter, error) {
	if s.gs == nil {
		return object.Counter{}, unknown("counter not found: %s", name)
	}
	c, ok := s.gs.Status.Counters[name]
	if !ok {
		return c, unknown("counter not found: %s", name)
	}
	for _, change := range s.want.counters[name] {
		c = change(c)
	}
	return c, nil
}

func (s *Server) counter(r *http.Request, _ []byte) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	name := r.PathValue("name")
	c, err := s.pendingCounter(name)
	return counter{name, number(c.Count), number(c.Capacity)}, err
}

func (s *Server) changeCounter(r *http.Request, body []byte) (any, error) {
	name := r.PathValue("name")
	var in struct {
		Count     *number `json:"count"`
		CountDiff number  `json:"countDiff"`
		Capacity  *number `json:"capacity"`
	}
	if err := read(body, &in); err != nil {
		return nil, err
	}
	change := func(c object.Counter) object.Counter {
		if in.Capacity != nil {
			c.Capacity = int64(*in.Capacity)
		}
		if in.Count != nil {
			c.Count = int64(*in.Count)
		}
		c.Count += int64(in.CountDiff)
		return c
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	c, err := s.pendingCounter(name)
	if err != nil {
		return nil, err
	}
	c = change(c)
	if c.Capacity < 0 {
		return nil, unknown("out of range. Capacity must be greater than or equal to 0. Found Capacity: %d", c.Capacity)
	}
	if c.Count < 0 || c.Count > c.Capacity {
		return nil, unknown("out of range. Count must be within range [0,Capacity]. Found Count: %d, Capacity: %d", c.Count, c.Capacity)
	}
	if s.want.counters == nil {
		s.want.counters = map[string][]func(object.Counter) object.Counter{}
	}
	s.want.counters[name] = append(s.want.counters[name], change)
	s.nudge()
	return counter{name, number(c.Count), number(c.Capacity)}, nil
}

// pendingList is a list with what is still to be written. Callers hold mu.
func (s *Server) pendingList(name string) (object.List, error) {
	if s.gs == nil {
		return object.List{}, unknown("list not found: %s", name)
	}
	l, ok := s.gs.Status.Lists[name]
	if !ok {
		return l, unknown("list not found: %s", name)
	}
	for _, change := range s.want.lists[name] {
		l = change(l)
	}
	return l, nil
}

func (s *Server) list(r *http.Request, _ []byte) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.pendingList(r.PathValue("name"))
	return shown(r.PathValue("name"), l), err
}

func shown(name string, l object.List) list {
	return list{name, number(l.Capacity), append([]string{}, l.Values...)}
}

// alter changes a list if check lets it.
func (s *Server) alter(name string, check func(object.List) error, change func(object.List) object.List) (any, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, err := s.pendingList(name)
	if err == nil {
		err = check(l)
	}
	if err != nil {
		return nil, err
	}
	if s.want.lists == nil {
		s.want.lists = map[string][]func(object.List) object.List{}
	}
	s.want.lists[name] = append(s.want.lists[name], change)
	s.nudge()
	return shown(name, change(l)), nil
}

type oneValue struct {
	Value string `json:"value"`
}

func (s *Server) addValue(r *http.Request, body []byte) (any, error) {
	var in oneValue
	if err := read(body, &in); err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(r.PathValue("name"), ":")
	return s.alter(name, func(l object.List) error {
		if slices.Contains(l.Values, in.Value) {
			return unknown("already exists. Value: %s already in List: %s", in.Value, name)
		}
		if int64(len(l.Values)) >= l.Capacity { // not recorded: only that it is a 500 of code 2
			return unknown("out of range. No available capacity. Current Capacity: %d, List Size: %d", l.Capacity, len(l.Values))
		}
		return nil
	}, func(l object.List) object.List {
		if !slices.Contains(l.Values, in.Value) && int64(len(l.Values)) < l.Capacity {
			l.Values = append(slices.Clone(l.Values), in.Value)
		}
		return l
	})
}

func (s *Server) removeValue(r *http.Request, body []byte) (any, error) {
	var in oneValue
	if err := read(body, &in); err != nil {
		return nil, err
	}
	name, _, _ := strings.Cut(r.PathValue("name"), ":")
	return s.alter(name, func(l object.List) error {
		if !slices.Contains(l.Values, in.Value) {
			return unknown("not found: value %s not in list %s", in.Value, name)
		}
		return nil
	}, func(l object.List) object.List {
		l.Values = slices.DeleteFunc(slices.Clone(l.Values), func(v string) bool { return v == in.Value })
		return l
	})
}

// changeList does what Agones means to do: in the namespace default, the commit
// of the recordings answers 500 to all of these.
func (s *Server) changeList(r *http.Request, body []byte) (any, error) {
	var in struct {
		Capacity number   `json:"capacity"`
		Values   []string `json:"values"`
	}
	if err := read(body, &in); err != nil {
		return nil, err
	}
	mask := strings.Split(r.URL.Query().Get("update_mask"), ",")
	return s.alter(r.PathValue("name"), func(object.List) error {
		if slices.Contains(mask, "capacity") && (in.Capacity < 0 || in.Capacity > maxCapacity) {
			return unknown("out of range. Capacity must be within range [0,%d]. Found Capacity: %d", maxCapacity, in.Capacity)
		}
		return nil
	}, func(l object.List) object.List {
		if slices.Contains(mask, "capacity") {
			l.Capacity = int64(in.Capacity)
		}
		if slices.Contains(mask, "values") {
			l.Values = in.Values
		}
		l.Values = l.Values[:min(int64(len(l.Values)), l.Capacity)]
		return l
	})
}
