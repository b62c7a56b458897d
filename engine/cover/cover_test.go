package cover

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/run"
)

func report(files map[string][][2]int, outside map[string][]int, by map[string]map[string][]int) *Report {
	r := New()
	for id, lines := range by {
		r.Event(run.Event{Covered: &run.Covered{ID: id, Lines: lines}})
	}
	r.Event(run.Event{Covered: &run.Covered{Lines: outside, Files: files}})
	return r
}

func TestSplit(t *testing.T) {
	r := report(map[string][][2]int{"a.py": {{1, 1}, {2, 4}, {6, 6}, {7, 7}, {9, 9}}}, map[string][]int{"a.py": {1}},
		map[string]map[string][]int{"t::x": {"a.py": {2, 6}}, "t::y": {"a.py": {2}}})
	for _, c := range []struct {
		tests           []string
		covered, missed []Span
	}{
		{nil, []Span{{1, 4}, {6, 6}}, []Span{{7, 7}, {9, 9}}},
		{[]string{"t::y"}, []Span{{2, 4}}, []Span{{1, 1}, {6, 7}, {9, 9}}},
		{[]string{"t::none"}, nil, []Span{{1, 4}, {6, 7}, {9, 9}}},
	} {
		covered, missed := r.File("a.py").Split(c.tests...)
		if diff := cmp.Diff([][]Span{c.covered, c.missed}, [][]Span{covered, missed}); diff != "" {
			t.Errorf("by %q:\n%s", c.tests, diff)
		}
	}
}

// TestKept takes over what a run says of its tests, and leaves the others as
// they are while their file is.
func TestKept(t *testing.T) {
	dir := t.TempDir()
	statements := map[string][][2]int{"a.py": {{1, 1}, {2, 4}}, "b.py": {{1, 1}}}
	save := func(r *Report, digest string) {
		t.Helper()
		if err := r.Save(dir, func(string) string { return digest }); err != nil {
			t.Fatal(err)
		}
	}
	want := func(path, digest string, line int, tests ...string) {
		t.Helper()
		got, known, edited := Covering(dir, path, digest, line)
		if diff := cmp.Diff(tests, got); diff != "" || !known || edited {
			t.Errorf("%s:%d known %v, edited %v:\n%s", path, line, known, edited, diff)
		}
	}
	if _, known, edited := Covering(dir, "a.py", "1", 1); known || edited {
		t.Error("something is known of nothing")
	}
	save(report(statements, nil, map[string]map[string][]int{"x": {"a.py": {2}, "b.py": {1}}, "y": {"a.py": {1, 2}}}), "1")
	want("a.py", "1", 3, "x", "y")
	want("a.py", "1", 1, "y")
	want("b.py", "1", 1, "x")
	if _, known, _ := Covering(dir, "a.py", "1", 5); known {
		t.Error("a line of no statement is known")
	}
	if _, known, edited := Covering(dir, "a.py", "2", 1); known || !edited {
		t.Errorf("a file that was edited: known %v, edited %v", known, edited)
	}
	// x runs again, and enters b no more
	save(report(map[string][][2]int{"a.py": statements["a.py"]}, nil, map[string]map[string][]int{"x": {"a.py": {1}}}), "1")
	want("a.py", "1", 3, "y")
	want("a.py", "1", 1, "x", "y")
	want("b.py", "1", 1)
	// a changes: what y did in it is not known
	save(report(map[string][][2]int{"a.py": statements["a.py"]}, nil, map[string]map[string][]int{"x": {"a.py": {2}}}), "2")
	want("a.py", "2", 2, "x")
}
