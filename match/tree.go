package match

import (
	"cmp"
	"math"
	"slices"

	"github.com/throng-gg/throng"
)

const (
	leafRows = 32   // sessions that are scored together
	treeRows = 2048 // sessions that one choice scores at most; then the best of them is taken

	// dictionary is how many categories of a signal have a column. Others are
	// looked up in the session.
	dictionary = 15
)

// tree finds the sessions that are most alike to a party by the place's own
// signals without scoring them all. Sessions that are alike stand in one leaf,
// and each node knows between which values its sessions lie and how full the
// fullest is, so that whole branches are left out that cannot have the best.
//
// It is built for the sessions of one moment. Later ones stand in extra, and
// changes only widen what the nodes know; when that is too much it is built anew.
type tree struct {
	columns []column
	nodes   []node // children after their parents; the first is the root
	bounds  []bound
	leaves  []leaf
	extra   []*entry // not in a leaf
	odd     bool     // some session has a category without a column
	built   int      // sessions at that time
	loose   int      // changes since
	scales  []float64
}

// column is one number of every session: a numerical signal, or the share of
// its players in one category.
type column struct {
	slot     int
	category uint64 // hash; of numbers 0
	kind     throng.SignalKind
}

// bound is what a node knows of one column.
type bound struct {
	lo, hi float32
	vague  bool // some session says nothing of it
}

type node struct {
	parent      int32   // of the root -1
	left, right int32   // of a leaf's 0
	leaf        int32   // -1: none
	fill        float64 // of the fullest session, see leaf.fullest
}

// leaf is up to leafRows sessions, column by column.
type leaf struct {
	node    int32
	count   int
	entries [leafRows]*entry // nil: gone
	free    [leafRows]int32
	fill    [leafRows]float64
	region  [leafRows]int32
	odd     [leafRows]bool
	values  []float32 // column*leafRows + row; NaN: it says nothing of it
}

// wide says that the tree is worth less than a new one.
func (t *tree) wide(sessions int) bool {
	return t.nodes == nil || len(t.extra) > max(2*leafRows, t.built/32) || t.loose > max(8*leafRows, t.built/4) || sessions < t.built/2
}

// grow builds the tree anew.
func (p *Pool) grow() {
	t := &p.tree
	all := make([]*entry, 0, len(p.entries))
	for _, e := range p.entries {
		all = append(all, e)
	}
	slices.SortFunc(all, byID)
	*t = tree{columns: columnsOf(all, len(p.slots)), built: len(all), scales: t.scales}
	for len(t.scales) < len(p.slots) {
		t.scales = append(t.scales, 0)
	}
	table := make([]float32, len(all)*len(t.columns))
	rows := make([]int32, len(all))
	for i, e := range all {
		rows[i] = int32(i)
		for c, col := range t.columns {
			table[i*len(t.columns)+c] = col.of(e)
		}
	}
	t.split(p, all, table, rows, -1)
}

// columnsOf finds out what the sessions speak of.
func columnsOf(all []*entry, slots int) []column {
	var list []column
	for slot := range slots {
		numbers := false
		counts := map[uint64]int{}
		for _, e := range all {
			if slot >= len(e.own) {
				continue
			}
			numbers = numbers || e.own[slot].kind == throng.SignalNumber
			for _, s := range e.own[slot].shares {
				counts[s.category]++
			}
		}
		if numbers {
			list = append(list, column{slot: slot, kind: throng.SignalNumber})
		}
		var found []column
		for category := range counts {
			found = append(found, column{slot: slot, category: category, kind: throng.SignalCategory})
		}
		slices.SortFunc(found, func(a, b column) int {
			return cmp.Or(cmp.Compare(counts[b.category], counts[a.category]), cmp.Compare(a.category, b.category))
		})
		list = append(list, found[:min(len(found), dictionary)]...)
	}
	return list
}

// of is the session's value; NaN: it says nothing of it.
func (col column) of(e *entry) float32 {
	if col.slot >= len(e.own) || e.own[col.slot].kind != col.kind {
		return float32(math.NaN())
	}
	c := &e.own[col.slot]
	if col.kind == throng.SignalNumber {
		return float32(c.number)
	}
	for _, s := range c.shares {
		if s.category == col.category {
			return float32(s.of)
		}
	}
	return 0
}

// split makes a node of these rows of the table and returns it.
func (t *tree) split(p *Pool, all []*entry, table []float32, rows []int32, parent int32) int32 {
	n := int32(len(t.nodes))
	t.nodes = append(t.nodes, node{parent: parent, leaf: -1})
	width := len(t.columns)
	widest, spread := -1, 0.0
	for c, col := range t.columns {
		b := bound{lo: float32(math.Inf(1)), hi: float32(math.Inf(-1))}
		for _, r := range rows {
			b.add(table[int(r)*width+c])
		}
		t.bounds = append(t.bounds, b)
		if s := float64(b.hi-b.lo) * t.scales[col.slot]; s > spread {
			widest, spread = c, s
		}
	}
	if len(rows) <= leafRows {
		t.nodes[n].leaf = int32(len(t.leaves))
		t.leaves = append(t.leaves, leaf{node: n, values: make([]float32, width*leafRows)})
		for _, r := range rows {
			t.seat(p, &t.leaves[len(t.leaves)-1], all[r])
		}
		t.nodes[n].fill = t.leaves[len(t.leaves)-1].fullest()
		return n
	}
	half := len(rows) / 2
	if widest >= 0 {
		halve(rows, half, func(a, b int32) bool {
			x, y := table[int(a)*width+widest], table[int(b)*width+widest]
			return x < y || x == y && a < b
		})
	}
	left := t.split(p, all, table, rows[:half], n)
	right := t.split(p, all, table, rows[half:], n)
	t.nodes[n].left, t.nodes[n].right = left, right
	t.nodes[n].fill = max(t.nodes[left].fill, t.nodes[right].fill)
	return n
}

// halve brings the half least rows to the front (Hoare's selection). NaN is less
// than nothing, so such rows end up anywhere.
func halve(rows []int32, half int, less func(a, b int32) bool) {
	from, to := 0, len(rows)-1
	for from < to {
		pivot := rows[from+(to-from)/2]
		i, j := from, to
		for i <= j {
			for less(rows[i], pivot) {
				i++
			}
			for less(pivot, rows[j]) {
				j--
			}
			if i <= j {
				rows[i], rows[j] = rows[j], rows[i]
				i++
				j--
			}
		}
		switch {
		case half <= j:
			to = j
		case half >= i:
			from = i
		default:
			return
		}
	}
}

func (b *bound) add(v float32) {
	if v != v { //nolint:gocritic // NaN
		b.vague = true
		return
	}
	b.lo, b.hi = min(b.lo, v), max(b.hi, v)
}

// seat puts a session into a leaf that has room.
func (t *tree) seat(p *Pool, l *leaf, e *entry) {
	row := l.count
	l.count++
	l.entries[row] = e
	l.region[row] = int32(p.region(e.session.ID.Region()))
	e.leaf, e.row = t.nodes[l.node].leaf, int32(row)
	t.write(l, e)
	l.weigh(e)
}

// write copies what the session says into its row.
func (t *tree) write(l *leaf, e *entry) {
	row := int(e.row)
	for c, col := range t.columns {
		l.values[c*leafRows+row] = col.of(e)
	}
	l.odd[row] = t.isOdd(e)
	t.odd = t.odd || l.odd[row]
}

// isOdd says that the session has a category without a column.
func (t *tree) isOdd(e *entry) bool {
	for slot := range e.own {
		for _, s := range e.own[slot].shares {
			if t.find(slot, s.category) < 0 {
				return true
			}
		}
	}
	return false
}

func (t *tree) find(slot int, category uint64) int {
	for c := range t.columns {
		if t.columns[c].slot == slot && t.columns[c].kind == throng.SignalCategory && t.columns[c].category == category {
			return c
		}
	}
	return -1
}

// weigh copies how full the session is into its row.
func (l *leaf) weigh(e *entry) {
	l.free[e.row], l.fill[e.row] = 0, math.Inf(-1)
	if e.group != nil {
		l.free[e.row], l.fill[e.row] = int32(e.group.free), e.group.fill
	}
}

// fullest is how full the fullest session counts. One with its last seats only
// is taken off a full session's worth where those are kept for friends, which
// is nearly always.
func (l *leaf) fullest() float64 {
	most := math.Inf(-1)
	for row, f := range l.fill[:l.count] {
		if l.free[row] <= keepFor {
			f--
		}
		most = max(most, f)
	}
	return most
}

// put takes in a session that is new, or says something else than before.
func (t *tree) put(e *entry) {
	if t.nodes == nil {
		return
	}
	if e.leaf < 0 {
		t.extra = append(t.extra, e)
		return
	}
	t.loose++
	l := &t.leaves[e.leaf]
	t.write(l, e)
	width := len(t.columns)
	for n := l.node; n >= 0; n = t.nodes[n].parent {
		for c := range t.columns {
			t.bounds[int(n)*width+c].add(l.values[c*leafRows+int(e.row)])
		}
	}
}

// fill takes in how full a session is now.
func (t *tree) fill(e *entry) {
	if t.nodes == nil || e.leaf < 0 {
		return
	}
	l := &t.leaves[e.leaf]
	l.weigh(e)
	t.rise(l)
}

func (t *tree) rise(l *leaf) {
	most := l.fullest()
	for n := l.node; n >= 0 && t.nodes[n].fill != most; n = t.nodes[n].parent {
		t.nodes[n].fill = most
		if up := t.nodes[n].parent; up >= 0 {
			most = max(t.nodes[t.nodes[up].left].fill, t.nodes[t.nodes[up].right].fill)
		}
	}
}

// remove forgets a session.
func (t *tree) remove(e *entry) {
	if t.nodes == nil {
		return
	}
	if e.leaf < 0 {
		t.extra = slices.DeleteFunc(t.extra, func(o *entry) bool { return o == e })
		return
	}
	l := &t.leaves[e.leaf]
	l.entries[e.row] = nil
	l.free[e.row], l.fill[e.row] = 0, math.Inf(-1)
	t.rise(l)
	e.leaf = -1
}
