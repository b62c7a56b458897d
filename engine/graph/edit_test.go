package graph_test

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/graph"
)

// reached are the files with tests that an edit reaches, by names.
func (p *project) reached(g *graph.Graph, e graph.Edit) (out []string) {
	for _, list := range [][]string{e.Paths, e.Tests, e.Edited} {
		for i, name := range list {
			list[i] = p.path(name)
		}
	}
	for _, r := range g.Reach(e).Roots() {
		out = append(out, p.rel(r))
	}
	return out
}

// TestFilesThatHadTests has files that seem to be code since their tests are
// gone: a computed import does not mean them.
func TestFilesThatHadTests(t *testing.T) {
	p := newProject(t, `
-- test_a.py --
import load
-- load.py --
def f(name):
    return import_module(name)
-- test_broken.py --
import gone
`)
	p.in.Code = map[string]bool{p.path("test_broken.py"): true}
	g := graph.Build(p.in)
	for _, c := range []struct {
		edit graph.Edit
		want []string
	}{
		{graph.Edit{Paths: []string{"test_broken.py"}}, []string{"test_a.py", "test_broken.py"}},
		{graph.Edit{Paths: []string{"test_broken.py"}, Tests: []string{"test_broken.py"}}, []string{"test_broken.py"}},
		{graph.Edit{Paths: []string{"test_deleted.py"}}, []string{"test_a.py"}},
		{graph.Edit{Paths: []string{"test_deleted.py"}, Tests: []string{"test_deleted.py"}}, nil},
	} {
		if diff := cmp.Diff(c.want, p.reached(g, c.edit)); diff != "" {
			t.Errorf("%+v:\n%s", c.edit, diff)
		}
	}
}

// TestWhoListsAFolder sees Python files that come and go in it, and each change
// of others, which libraries may read.
func TestWhoListsAFolder(t *testing.T) {
	p := newProject(t, `
-- test_a.py --
import lists
-- test_b.py --
-- lists.py --
-- data/x.py --
-- data/x.txt --
`)
	p.in.Observed = map[string][]string{p.path("lists.py"): {p.path("data")}}
	g := graph.Build(p.in)
	for _, c := range []struct {
		edit graph.Edit
		want []string
	}{
		{graph.Edit{Paths: []string{"data/x.py"}, Edited: []string{"data/x.py"}}, nil},
		{graph.Edit{Paths: []string{"data/x.py"}}, []string{"test_a.py"}},
		{graph.Edit{Paths: []string{"data/x.txt"}, Edited: []string{"data/x.txt"}}, []string{"test_a.py"}},
	} {
		if diff := cmp.Diff(c.want, p.reached(g, c.edit)); diff != "" {
			t.Errorf("%+v:\n%s", c.edit, diff)
		}
	}
}

// TestInTheStandardLibrarysPlace has a folder that Python takes for a package
// only where no module of its name is found behind it.
func TestInTheStandardLibrarysPlace(t *testing.T) {
	for _, c := range []struct {
		tree, changed string
		want          []string
	}{
		{"-- typing/a.py --\n", "typing/a.py", nil},
		{"-- typing/__init__.py --\n-- typing/a.py --\n", "typing/a.py", []string{"test_a.py"}},
		{"", "typing/__init__.py", []string{"test_a.py"}},
		{"", "typing.py", []string{"test_a.py"}},
	} {
		p := newProject(t, "-- test_a.py --\n"+c.tree)
		lib := t.TempDir()
		if err := os.WriteFile(filepath.Join(lib, "typing.py"), nil, 0o644); err != nil {
			t.Fatal(err)
		}
		p.in.Env.Stdlib, p.in.Env.Path = lib, append([]string{lib}, p.in.Env.Path...)
		g := graph.Build(p.in)
		if diff := cmp.Diff(c.want, p.affected(g, c.changed)); diff != "" {
			t.Errorf("%s of %q:\n%s", c.changed, c.tree, diff)
		}
	}
}

// TestNamesakes has files that pytest cannot import beside each other.
func TestNamesakes(t *testing.T) {
	tree := "-- test_a.py --\n-- sub/test_a.py --\n-- pkg/__init__.py --\n-- pkg/test_a.py --\n-- pkg/test_b.py --\n-- sub/test_c.py --\n"
	for changed, want := range map[string][]string{
		"test_a/__init__.py":     {"sub/test_a.py", "test_a.py"},
		"pkg/test_b/__init__.py": {"pkg/test_b.py"},
		"sub/test_c/__init__.py": {"sub/test_c.py"},
		"sub/test_a.py":          {"sub/test_a.py", "test_a.py"},
		"sub/test_b.py":          nil,
		"other/test_c.py":        nil, // it is no file with tests, and nobody's sys.path
	} {
		p := newProject(t, tree)
		g := graph.Build(p.in)
		got := p.affected(g, changed)
		slices.Sort(got)
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s:\n%s", changed, diff)
		}
		p.in.Config.ImportMode = "importlib"
		if got := p.affected(graph.Build(p.in), changed); len(got) > 1 {
			t.Errorf("%s by importlib: %v", changed, got)
		}
	}
}
