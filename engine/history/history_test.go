package history

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dx-py/dx-py-ls/engine/pytest"
)

func result(id string, o pytest.Outcome, seconds float32) pytest.Result {
	return pytest.Result{ID: id, Outcome: o, Duration: [3]float32{-1, seconds, -1}}
}

// TestRemembers keeps the outcome of the last run and smooths the time, and a
// damaged file is an empty one.
func TestRemembers(t *testing.T) {
	dir, now := t.TempDir(), time.Unix(1_700_000_000, 5)
	for _, seconds := range []float32{1, 3} {
		h := Open(dir)
		if err := h.Record([]pytest.Result{result("a.py::x", pytest.Failed, seconds), result("a.py::y", pytest.Passed, 2)}, now); err != nil {
			t.Fatal(err)
		}
		h.Close()
	}
	h := Open(dir)
	if l, ok := h.Last("a.py::x"); !ok || l.Outcome != pytest.Failed || l.Seconds != 2 || !l.When.Equal(now) {
		t.Errorf("x is %+v, %v", l, ok)
	}
	if s := h.Seconds("a.py::z"); s != -1 {
		t.Errorf("what never ran took %v", s)
	}
	h.Close()
	for _, name := range []string{"history", "history.log"} {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err == nil {
			b[len(b)/2] ^= 0x40
			if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil {
				t.Fatal(err)
			}
		}
	}
	h = Open(dir)
	defer h.Close()
	if l, ok := h.Last("a.py::x"); ok && l.Outcome != pytest.Failed && l.Outcome != pytest.Passed {
		t.Errorf("a damaged file says %+v", l)
	}
}

// TestDurations keeps what is known beside what ran.
func TestDurations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "durations.json")
	d, err := LoadDurations(path)
	if err != nil || d.Seconds("a") != -1 {
		t.Fatalf("a file that is not there: %v, %v", d, err)
	}
	if err := d.Save(path, []pytest.Result{result("a", pytest.Passed, 0.5)}); err != nil {
		t.Fatal(err)
	}
	if d, err = LoadDurations(path); err != nil {
		t.Fatal(err)
	}
	if err := d.Save(path, []pytest.Result{result("b", pytest.Passed, 1)}); err != nil {
		t.Fatal(err)
	}
	if d, err = LoadDurations(path); err != nil || d.Seconds("a") != 0.5 || d.Seconds("b") != 1 {
		t.Errorf("%v, %v", d, err)
	}
	if err := os.WriteFile(path, []byte("[1]"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadDurations(path); err == nil {
		t.Error("a list is taken for durations")
	}
}
