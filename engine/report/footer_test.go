package report

import (
	"testing"

	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/run"
)

// TestGain proposes several workers where they would help.
func TestGain(t *testing.T) {
	for _, c := range []struct {
		name      string
		modules   []float32
		workers   int
		divisible bool
		want      float64
	}{
		{"two even modules", []float32{2, 2}, 1, true, 2 / 1.1},
		{"one module holds nearly all", []float32{3.9, 0.1}, 1, true, 0},
		{"one is longer", []float32{3, 1}, 1, true, 4.0 / 3},
		{"little to do", []float32{0.5, 0.5}, 1, true, 0},
		{"several already", []float32{2, 2}, 2, true, 0},
		{"one process has to see all", []float32{2, 2}, 1, false, 0},
	} {
		f := &Footer{}
		f.Event(run.Event{Started: &run.Started{Workers: c.workers, Divisible: c.divisible, Mode: "fast"}})
		for i, s := range c.modules {
			f.Event(run.Event{Test: &pytest.Result{Path: string(rune('a' + i)), Duration: [3]float32{-1, s, -1}}})
		}
		if got := f.gain(2); got < c.want-0.01 || got > c.want+0.01 {
			t.Errorf("%s: %.2f, want %.2f", c.name, got, c.want)
		}
	}
}
