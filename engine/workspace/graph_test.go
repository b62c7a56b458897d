package workspace_test

import (
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/graph"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

func graphOf(t *testing.T, s *workspace.Snapshot) *graph.Graph {
	t.Helper()
	g, err := s.Graph()
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// TestGraphFollowsEdits edits files and buffers: the Graph is the one that a
// Workspace that begins then has, and the same one where nothing matters.
func TestGraphFollowsEdits(t *testing.T) {
	dir, state := tree(t), t.TempDir()
	settings := workspace.Settings{Dir: dir, StateDir: state, Env: map[string]string{}}
	w := workspace.New(settings)
	defer w.Close()
	g := graphOf(t, w.Apply(workspace.Update{}))
	if got := g.Affected([]string{dir + "/values.py"}).Roots(); len(got) != 5 {
		t.Fatalf("values.py reaches %v", got)
	}
	check := func(change file.Change, same bool) {
		t.Helper()
		next := graphOf(t, w.Apply(workspace.Update{Files: []file.Change{change}}))
		if (next == g) != same {
			t.Errorf("%s: the same graph: %v", change.Path, next == g)
		}
		g = next
		fresh := workspace.New(settings)
		defer fresh.Close()
		files := []file.Change{{Path: change.Path, Text: change.Text, Version: change.Version}}
		want := graphOf(t, fresh.Apply(workspace.Update{Files: files}))
		if diff := cmp.Diff(slices.Collect(want.Files()), slices.Collect(g.Files())); diff != "" {
			t.Error(diff)
		}
		for p := range want.Files() {
			if diff := cmp.Diff(want.Edges(p), g.Edges(p)); diff != "" {
				t.Errorf("%s: fresh (-):\n%s", p, diff)
			}
		}
	}
	write(t, dir, "values.py", "import more\nCASES = ['a', 'b']\n")
	check(file.Change{Path: dir + "/values.py"}, false)
	write(t, dir, "more.py", "X = 1\n")
	check(file.Change{Path: dir + "/more.py"}, false)
	write(t, dir, "more.py", "X = 2\n")
	check(file.Change{Path: dir + "/more.py"}, true)
	check(file.Change{Path: dir + "/more.py", Text: []byte("from values import CASES\n"), Version: 1}, false)
	check(file.Change{Path: dir + "/more.py"}, false)
}

// TestGraphReadsNothingTwice makes the Graph of a project that has been seen:
// its modules come from the index.
func TestGraphReadsNothingTwice(t *testing.T) {
	dir, state := tree(t), t.TempDir()
	write(t, dir, "pkg0/test_0.py", "import lib.a\ndef test_a(): pass\n")
	write(t, dir, "lib/a.py", "from . import b\n")
	write(t, dir, "lib/b.py", "")
	settle(t, dir)
	for i := range 2 {
		w := workspace.New(workspace.Settings{Dir: dir, StateDir: state, Env: map[string]string{}})
		defer w.Close()
		s := w.Apply(workspace.Update{})
		g := graphOf(t, s)
		if !g.Has(dir + "/lib/b.py") {
			t.Error("lib/b.py is missing")
		}
		if st := s.Stats(); i == 1 && (st.Read > 0 || st.GraphRead > 0) {
			t.Errorf("the second time: %+v", st)
		}
	}
}

// TestFilesWithoutTests has a test file that is empty for now: what it imports
// may give it tests, or an error. A Suite that was remembered knows it too.
func TestFilesWithoutTests(t *testing.T) {
	dir, state := tree(t), t.TempDir()
	write(t, dir, "pkg0/test_later.py", "import values\nif values.CASES is None:\n    def test_a(): pass\n")
	settle(t, dir)
	for range 2 {
		w := workspace.New(workspace.Settings{Dir: dir, StateDir: state, Env: map[string]string{}})
		defer w.Close()
		s := w.Apply(workspace.Update{})
		if got := graphOf(t, s).Affected([]string{dir + "/values.py"}).Roots(); !slices.Contains(got, dir+"/pkg0/test_later.py") {
			t.Errorf("%v, recalled %v", got, s.Stats().Recalled)
		}
	}
}

// TestClassWithoutBody has a class at the end of a file that is being typed.
func TestClassWithoutBody(t *testing.T) {
	for _, text := range []string{"class A:", "class A", "class A:\n", "class A(object): pass", "class A: ..."} {
		dir := t.TempDir()
		write(t, dir, "test_a.py", "def test_a(): pass\n"+text)
		if ids, _ := discover(t, dir, ""); len(ids) != 1 {
			t.Errorf("%q: %v", text, ids)
		}
	}
}
