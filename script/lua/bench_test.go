package lua

import (
	"testing"

	glua "github.com/yuin/gopher-lua"
)

// oneTick moves 1,000 entities that are plain tables; the first call makes them.
const oneTick = `
if not entities then
  entities = {}
  for i = 1, 1000 do entities[i] = { x = i, y = -i, vx = 0.5, vy = -0.25, hp = 100, name = "e", on = true, age = 0 } end
end
for i = 1, #entities do
  local e = entities[i]
  e.x, e.y = e.x + e.vx, e.y + e.vy
  if e.x > 512 or e.x < 0 then e.vx = -e.vx end
  if e.y > 512 or e.y < 0 then e.vy = -e.vy end
  e.age = e.age + 1
end`

// BenchmarkTick runs the same script here, with its limits, and in gopher-lua's
// machine, which has none.
func BenchmarkTick(b *testing.B) {
	b.Run("ours", func(b *testing.B) {
		m, fn := machine(b, oneTick, nil)
		b.ReportAllocs()
		for b.Loop() {
			m.Budget("tick", 5_000_000)
			if err := m.Call(fn); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("gopher-lua", func(b *testing.B) {
		l := glua.NewState()
		defer l.Close()
		fn, err := l.LoadString(oneTick)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportAllocs()
		for b.Loop() {
			l.Push(fn)
			if err := l.PCall(0, 0, nil); err != nil {
				b.Fatal(err)
			}
		}
	})
}
