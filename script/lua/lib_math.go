package lua

import "math"

func (m *Machine) openMath() {
	lib := m.Library("math")
	lib.SetField("pi", Number(math.Pi))
	lib.SetField("huge", Number(math.Inf(1)))
	for name, fn := range map[string]func(float64) float64{
		"abs": math.Abs, "acos": math.Acos, "asin": math.Asin, "atan": math.Atan, "ceil": math.Ceil,
		"cos": math.Cos, "cosh": math.Cosh, "exp": math.Exp, "floor": math.Floor, "log10": math.Log10,
		"sin": math.Sin, "sinh": math.Sinh, "sqrt": math.Sqrt, "tan": math.Tan, "tanh": math.Tanh,
		"deg": func(x float64) float64 { return x * (180 / math.Pi) },
		"rad": func(x float64) float64 { return x * (math.Pi / 180) },
	} {
		m.Define(lib, name, func(c Call) []Value { return c.Return(Number(fn(c.Number(0)))) })
	}
	for name, fn := range map[string]func(x, y float64) float64{
		"atan2": math.Atan2, "pow": math.Pow,
		"ldexp": func(x, y float64) float64 { return math.Ldexp(x, int(max(-5000, min(y, 5000)))) },
	} {
		m.Define(lib, name, func(c Call) []Value { return c.Return(Number(fn(c.Number(0), c.Number(1)))) })
	}
	m.Define(lib, "fmod", func(c Call) []Value {
		return c.Return(Number(c.T.remainder(c.Number(0), c.Number(1))))
	})
	m.Define(lib, "frexp", func(c Call) []Value {
		f, e := math.Frexp(c.Number(0))
		return c.Return(Number(f), Number(float64(e)))
	})
	m.Define(lib, "modf", func(c Call) []Value {
		i, f := math.Modf(c.Number(0))
		return c.Return(Number(i), Number(f))
	})
	m.Define(lib, "log", mathLog)
	m.Define(lib, "max", mathMax)
	m.Define(lib, "min", mathMin)
	m.Define(lib, "clamp", mathClamp)
	m.Define(lib, "random", mathRandom)
	m.Define(lib, "randomseed", func(Call) []Value { return nil })
	lib.Lock()
}

func mathLog(c Call) []Value {
	x := math.Log(c.Number(0))
	if c.Arg(1).ref != nil {
		x /= math.Log(c.Number(1))
	}
	return c.Return(Number(x))
}

func mathMax(c Call) []Value {
	x := c.Number(0)
	c.T.m.charge(len(c.Args) / 4)
	for i := 1; i < len(c.Args); i++ {
		if y := c.Number(i); y > x {
			x = y
		}
	}
	return c.Return(Number(x))
}

func mathMin(c Call) []Value {
	x := c.Number(0)
	c.T.m.charge(len(c.Args) / 4)
	for i := 1; i < len(c.Args); i++ {
		if y := c.Number(i); y < x {
			x = y
		}
	}
	return c.Return(Number(x))
}

func mathClamp(c Call) []Value {
	x, low, high := c.Number(0), c.Number(1), c.Number(2)
	if low > high {
		c.Fail(2, "the maximum is below the minimum")
	}
	return c.Return(Number(math.Max(low, math.Min(x, high))))
}

// mathRandom draws from the machine's own generator: the same seed, the same
// numbers.
func mathRandom(c Call) []Value {
	r := c.T.m.random
	if len(c.Args) == 0 {
		return c.Return(Number(r.Float64()))
	}
	low, high := 1, c.Int(0)
	if len(c.Args) > 1 {
		low, high = high, c.Int(1)
	}
	if low > high {
		c.Fail(len(c.Args)-1, "interval is empty")
	}
	return c.Return(Number(float64(low + r.IntN(high-low+1))))
}
