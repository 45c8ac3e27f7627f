package wire

import "github.com/throng-gg/throng"

// A snapshot's body is one number of a range coder, whose decisions are:
//
//	body    = acks known* new* 0
//	acks    = for each tick before the snapshot's, down to Since: did it come
//	known   = for each entity that the client sees who has these, in the order of IDs:
//	          0, it is not told; or 1 and told
//	told    = 0 change, or 1 and: 1 gone, or 0 fresh
//	change  = for each field that the client may see, how it differs from what is
//	          expected (see Past): numbers and integers by their difference, few
//	          values and strings in full
//	new     = 1, ID (32 bits the first time, then how many are between), kind, fresh
//	fresh   = variant, owner, each field that the client may see in full
//
// Tokens of change and fresh are the same for all who have the same samples.

// AppendChange appends how values are told by their past. base must have values.
func (k *Kind) AppendChange(dst []Token, v Variant, is Values, p *Past) []Token {
	before := 0
	for i := range k.slots {
		s := &k.slots[i]
		if !s.seen(v) {
			continue
		}
		switch s.kind {
		case FieldString:
			text := is.Texts[s.index]
			changed := bit(text != p.At[0].Texts[s.index])
			if dst = append(dst, token(contextText, changed)); changed == 1 {
				dst = appendText(dst, text)
			}
		case FieldNumber:
			value := is.Numbers[s.index]
			g := p.guess(s.index, s.top, before)
			dst = appendDifference(dst, g.context, value, g.value, g.down)
			before = missed(value, g.value)
		case FieldInteger, FieldBool:
			dst = s.appendInteger(dst, is.Numbers[s.index], p)
		}
	}
	return dst
}

func (s *slot) appendInteger(dst []Token, is uint32, p *Past) []Token {
	was := p.At[0].Numbers[s.index]
	context := contextInteger + p.turned(s.index)*numberNodes
	if s.width > 4 {
		return appendDifference(dst, context, is, was, false)
	}
	dst = append(dst, token(context+nodeZero, bit(is != was)))
	if is != was && s.width > 1 {
		dst = appendRaw(dst, is, int(s.width))
	}
	return dst
}

// AppendFresh appends all that a client may see of an entity.
func (k *Kind) AppendFresh(dst []Token, v Variant, owner throng.PlayerID, is Values) []Token {
	dst = appendRaw(dst, uint32(v), variantBits)
	dst = append(dst, token(contextRaw, bit(owner != "")))
	if owner != "" {
		dst = appendText(dst, string(owner))
	}
	for i := range k.slots {
		switch s := &k.slots[i]; {
		case !s.seen(v):
		case s.kind == FieldString:
			dst = appendText(dst, is.Texts[s.index])
		default:
			dst = appendRaw(dst, is.Numbers[s.index], int(s.width))
		}
	}
	return dst
}

func appendText(dst []Token, s string) []Token {
	dst = appendRaw(dst, uint32(len(s)), 7)
	for i := range len(s) {
		dst = appendRaw(dst, uint32(s[i]), 8)
	}
	return dst
}

// Body writes a snapshot's body. Begin it, say of each known entity in the order
// of IDs what there is to say, Add the new ones likewise, End it.
type Body struct {
	Tally *Tally // nil: nothing is counted

	e     rangeEncoder
	acks  uint32
	last  uint32 // ID of the last that was added; 0: none was
	short []Token
}

// Begin begins a body in dst. acks is the ticks that came; since is how many
// ticks before this one they may be.
func (b *Body) Begin(dst []byte, acks uint32, since uint8) {
	b.e.begin(dst)
	b.acks, b.last = acks, 0
	trail := uint32(0)
	for i := range uint(since) {
		came := acks >> (i + 1) & 1
		b.token(token(contextAck+int(trail), came))
		trail = trail<<1&7 | came
	}
}

func (b *Body) token(t Token) {
	b.e.token(t)
	if b.Tally != nil {
		b.Tally[t>>1][t&1]++
	}
}

func (b *Body) tokens(list []Token) {
	b.e.tokens(list)
	if b.Tally != nil {
		for _, t := range list {
			b.Tally[t>>1][t&1]++
		}
	}
}

// Untold passes over a known entity.
func (b *Body) Untold(s *Samples) { b.token(token(contextMention+s.mention(b.acks), 0)) }

// Change tells a known entity's change.
func (b *Body) Change(s *Samples, change []Token) {
	b.token(token(contextMention+s.mention(b.acks), 1))
	b.token(token(contextSpecial, 0))
	b.tokens(change)
}

// Gone tells that a known entity is not seen any more.
func (b *Body) Gone(s *Samples) {
	b.token(token(contextMention+s.mention(b.acks), 1))
	b.token(token(contextSpecial, 1))
	b.token(token(contextGone, 1))
}

// Fresh tells a known entity anew.
func (b *Body) Fresh(s *Samples, fresh []Token) {
	b.token(token(contextMention+s.mention(b.acks), 1))
	b.token(token(contextSpecial, 1))
	b.token(token(contextGone, 0))
	b.tokens(fresh)
}

// Add tells a new entity; known ones are all told.
func (b *Body) Add(id uint32, kind int, fresh []Token) {
	b.token(token(contextMore, 1))
	if b.short = b.short[:0]; b.last == 0 {
		b.short = appendRaw(b.short, id, 32)
	} else {
		b.short = appendAmount(b.short, contextGap, id-b.last-1)
	}
	b.last = id
	b.tokens(appendRaw(b.short, uint32(kind), kindBits))
	b.tokens(fresh)
}

// End ends the body and returns dst with it.
func (b *Body) End() []byte {
	b.token(token(contextMore, 0))
	return b.e.finish()
}

const kindBits = 5
