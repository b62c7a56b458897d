package cli

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
)

func TestSelectAfter(t *testing.T) {
	dir := t.TempDir()
	p := func(name string) string { return filepath.Join(dir, filepath.FromSlash(name)) }
	for _, name := range []string{"app.py", "tests/test_a.py", "tests/test_b.py", "tests/test_new.py", "tests/conftest.py", "tests/helper.py", "tests/data.json", "other/test_c.py"} {
		if err := os.MkdirAll(filepath.Dir(p(name)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(p(name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	know := func(words ...string) *outcomes {
		o := outcomesOf(&config.Config{Root: dir, PythonFiles: []string{"test_*.py"}, Options: config.Options{Args: words}}, dir, words)
		o.bad = []string{"tests/test_b.py::test_2[x::y]", "tests/test_gone.py::test", "tests/test_b.py::test_1"}
		o.files[p("tests/test_a.py")], o.files[p("tests/test_b.py")], o.files[p("tests/test_gone.py")] = true, true, true
		return o
	}
	bad := []string{"tests/test_b.py::test_2[x::y]", "tests/test_b.py::test_1"}
	for _, c := range []struct {
		changed []string
		last    *outcomes
		want    []string
	}{
		{[]string{"tests/test_a.py"}, know("tests"), append(slices.Clone(bad), "tests/test_a.py")},
		{[]string{"tests/test_new.py"}, know("tests"), append(slices.Clone(bad), "tests/test_new.py")},
		{[]string{"tests/test_a.py", "tests/test_b.py"}, know("tests"), []string{"tests/test_b.py", "tests/test_a.py"}},
		{[]string{"tests/test_gone.py"}, know("tests"), bad},
		{[]string{"tests/test_never.py"}, know("tests"), bad},
		{[]string{"app.py"}, know("tests"), nil},
		{[]string{"tests/test_a.py", "app.py"}, know("tests"), nil},
		{[]string{"tests/conftest.py"}, know("tests"), nil},
		{[]string{"tests/helper.py"}, know("tests"), nil},
		{[]string{"tests/data.json"}, know("tests"), nil},
		{[]string{"other/test_c.py"}, know("tests"), nil}, // not watched as a test: who knows what imports it
		{[]string{"tests/test_a.py"}, know("tests/test_a.py::test"), nil},
		{[]string{"tests/test_a.py"}, know("test_pattern*"), nil},
	} {
		var changes []file.Change
		for _, name := range c.changed {
			changes = append(changes, file.Change{Path: p(name)})
		}
		if got := selectAfter(changes, c.last); !slices.Equal(got, c.want) || (got == nil) != (c.want == nil) {
			t.Errorf("%v changed: %q, want %q", c.changed, got, c.want)
		}
	}
	// in another folder than the rootdir ids are paths from there
	o := know("tests")
	o.dir = p("tests")
	if got := o.id(bad[0]); got != "test_b.py::test_2[x::y]" {
		t.Errorf("%s", got)
	}
}

func TestWrites(t *testing.T) {
	w := newWrites()
	run := func(paths map[string]bool) (owed []string) {
		for p, came := range paths {
			if !w.known(p, came) {
				w.during(p)
				owed = append(owed, p)
			}
		}
		w.ended(true)
		return slices.DeleteFunc(owed, w.isOwn)
	}
	if got := run(map[string]bool{"/p/out.txt": false}); len(got) != 1 {
		t.Errorf("a file that changed in one run may be an edit: %v", got)
	}
	if got := run(map[string]bool{"/p/out.txt": false, "/p/log/1": true}); !slices.Equal(got, []string{"/p/log/1"}) {
		t.Errorf("a file that changed in two runs is the tests': %v", got)
	}
	if got := run(map[string]bool{"/p/log/2": true}); len(got) > 0 {
		t.Errorf("files that come in two runs in the same folder are: %v", got)
	}
	if got := run(map[string]bool{"/p/log/3": true, "/p/out.txt": false}); !slices.Equal(got, []string{"/p/out.txt"}) {
		t.Errorf("a file that did not change in the last run is not the tests': %v", got)
	}
	if !w.during("/p/a.py") {
		t.Error("an edit of code does not cancel a run")
	}
	w.cancelled()
	w.during("/p/a.py")
	w.cancelled()
	if w.during("/p/a.py") {
		t.Error("the same file cancels runs for ever")
	}
	w.ended(true)
	if w.own["/p/a.py"] {
		t.Error("an edit in a run that was cancelled counts as the tests'")
	}
}

// TestPanic has a panic of a run reach the goroutine that puts the terminal
// back.
func TestPanic(t *testing.T) {
	w := &watching{now: &job{}}
	defer func() {
		if v := recover(); v != "what went wrong" || w.now != nil {
			t.Errorf("%v, %v", v, w.now)
		}
	}()
	w.ended(result{panics: "what went wrong"})
}
