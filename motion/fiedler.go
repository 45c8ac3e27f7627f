package motion

import "math/bits"

// The bit-packing that Glenn Fiedler published for his 901 cubes ("The networked
// physics data compression challenge", 2015, in the public domain), described as
// it works: each frame is told by the one six before.
//
//   - Which cubes changed: a bit for each, or, where that is shorter, how many, and
//     the first index and gaps in seven sizes.
//   - A cube: whether it interacts, whether its position changed, position,
//     orientation.
//   - A position differs from where it is expected: on by what the six frames before
//     it moved, less drag and gravity, not below the ground. Differences are folded
//     into unsigned ones; three of 4 bits, or each in 5, 6 or 7, or each in 11.
//   - An orientation differs from the one before if the largest part is the same:
//     three of 2 bits, or each in 4, 5 or 7; else it is whole, 29 bits.
//   - Zero bytes at the end are left out.
//
// Only sizes are made, as nothing reads it.
type fiedler struct {
	gravity, ground int
	drag            float64
}

// published is the constants of the source, which its author fitted to his scene.
func published() fiedler { return fiedler{gravity: 3, ground: 105, drag: 0.062} }

// size is the bytes of a frame, by those six and twelve before.
func (f fiedler) size(now, base, older *[Cubes]Cube) int {
	total, marks, changed := 1, 8, 0
	last := -1
	for i := range now {
		if now[i] == base[i] {
			continue
		}
		changed++
		if last < 0 {
			marks += 10
		} else {
			marks += gapBits(i - last)
		}
		last = i
		total += f.cube(&now[i], &base[i], &older[i])
	}
	if changed == 0 || changed > 256 || marks > Cubes {
		marks = Cubes
	}
	return (total + marks + 7) / 8
}

func gapBits(gap int) int {
	switch {
	case gap == 1:
		return 1
	case gap <= 6:
		return 2 + 3 // serialize_int of 2 to 6 takes 3 bits
	case gap <= 14:
		return 3 + 3
	case gap <= 30:
		return 4 + 4
	case gap <= 62:
		return 5 + 5
	case gap <= 126:
		return 6 + 6
	}
	return 6 + 10
}

func (f fiedler) cube(now, base, older *Cube) int {
	n := 2
	if now.X != base.X || now.Y != base.Y || now.Z != base.Z {
		dx, dy, dz := base.X-older.X, base.Y-older.Y, base.Z-older.Z
		n += positionBits(
			now.X-(base.X+dx-f.dragged(dx)),
			now.Y-(base.Y+dy-f.dragged(dy)),
			now.Z-max(base.Z+dz-f.gravity-f.dragged(dz), f.ground),
		)
	}
	return n + orientationBits(now, base)
}

// dragged is the ceiling, as the source has it.
func (f fiedler) dragged(d int) int {
	v := float64(d) * f.drag
	n := int(v)
	if float64(n) < v {
		n++
	}
	return n
}

func fold(v int) uint { return uint(v<<1 ^ v>>(bits.UintSize-1)) }

func positionBits(x, y, z int) int {
	a, b, c := fold(x), fold(y), fold(z)
	switch most := max(a, b, c); {
	case most <= 15:
		return 1 + 3*4
	case most < 32+64+128:
		return 2 + ranged(a, 5, 6) + ranged(b, 5, 6) + ranged(c, 5, 6)
	}
	return 2 + 3*11
}

func orientationBits(now, base *Cube) int {
	a, b, c := fold(now.A-base.A), fold(now.B-base.B), fold(now.C-base.C)
	switch most := max(a, b, c); {
	case now.Largest != base.Largest || most >= 16+32+128:
		return 1 + 2 + 3*9
	case most <= 3:
		return 2 + 3*2
	}
	return 2 + ranged(a, 4, 5) + ranged(b, 4, 5) + ranged(c, 4, 5)
}

// ranged is a value in the first of three sizes (the last is 7 bits) that has room for it.
func ranged(v uint, first, second int) int {
	const third = 7
	switch {
	case v < 1<<first:
		return 1 + first
	case v < 1<<first+1<<second:
		return 2 + second
	}
	return 2 + third
}
