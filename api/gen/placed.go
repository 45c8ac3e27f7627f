package gen

import "encoding/json"

// Placed is how far a ticket has come: one of the two.
type Placed struct {
	Assignment *Assignment
	Waiting    *Waiting
}

// Line is what keeps the ticket's place in line; may be empty.
func (p Placed) Line() string {
	if p.Waiting == nil {
		return ""
	}
	return p.Waiting.Line
}

// UnmarshalJSON tells the two apart by the session.
func (p *Placed) UnmarshalJSON(b []byte) error {
	var of struct {
		Session string `json:"session"`
	}
	if err := json.Unmarshal(b, &of); err != nil {
		return err
	}
	*p = Placed{}
	if of.Session == "" {
		p.Waiting = &Waiting{}
		return json.Unmarshal(b, p.Waiting)
	}
	p.Assignment = &Assignment{}
	return json.Unmarshal(b, p.Assignment)
}
