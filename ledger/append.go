package ledger

import (
	"encoding/json"
	"strconv"
)

// object appends a JSON object as encoding/json would, without reflection: every
// transfer pays for one record and two entries while the others wait.
type object struct {
	out   []byte
	first bool // the next field is the first
}

func (o *object) open() {
	o.out, o.first = append(o.out, '{'), true
}

func (o *object) close() {
	o.out, o.first = append(o.out, '}'), false
}

// key begins a field.
func (o *object) key(name string) {
	if !o.first {
		o.out = append(o.out, ',')
	}
	o.first = false
	o.out = append(append(append(o.out, '"'), name...), '"', ':')
}

// text is a field that has one. The text of most is plain.
func (o *object) text(name, value string) {
	o.key(name)
	for i := range len(value) {
		if c := value[i]; c < ' ' || c > '~' || c == '"' || c == '\\' || c == '<' || c == '>' || c == '&' {
			o.out = append(o.out, encode(value)...)
			return
		}
	}
	o.out = append(append(append(o.out, '"'), value...), '"')
}

// some is a text that may be left out.
func (o *object) some(name, value string) {
	if value != "" {
		o.text(name, value)
	}
}

func (o *object) number(name string, value int64) {
	o.key(name)
	o.out = strconv.AppendInt(o.out, value, 10)
}

// count is a number that may be left out.
func (o *object) count(name string, value int64) {
	if value != 0 {
		o.number(name, value)
	}
}

// list is a field of n objects.
func (o *object) list(name string, n int, each func(i int)) {
	o.key(name)
	o.out = append(o.out, '[')
	for i := range n {
		if i > 0 {
			o.out = append(o.out, ',')
		}
		o.open()
		each(i)
		o.close()
	}
	o.out, o.first = append(o.out, ']'), false
}

func encode(v any) []byte {
	data, err := json.Marshal(v)
	if err != nil {
		panic(err) // strings and numbers can always be written
	}
	return data
}
