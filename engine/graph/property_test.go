package graph_test

import (
	"errors"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/graph"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/resolve"
)

// memory is a Source of texts by their absolute paths.
type memory map[string]string

func (m memory) Module(p string) *pysrc.Module {
	text, ok := m[p]
	if !ok {
		return nil
	}
	return pysrc.Parse([]byte(text))
}

func (m memory) List(dir string) []file.Entry {
	kinds := map[string]file.Kind{}
	for p := range m {
		if rel, in := file.Rel(dir, p); in && rel != "." {
			name, _, deep := strings.Cut(rel, "/")
			kinds[name] = map[bool]file.Kind{true: file.Dir, false: file.Regular}[deep]
		}
	}
	var out []file.Entry
	for _, name := range slices.Sorted(maps.Keys(kinds)) {
		out = append(out, file.Entry{Name: name, Kind: kinds[name]})
	}
	return out
}

func (m memory) Text(p string) ([]byte, error) {
	if text, ok := m[p]; ok {
		return []byte(text), nil
	}
	return nil, errors.New("no such file")
}

func (m memory) Prefetch([]string) {}

// others reports whether a folder has Python files beside one.
func (m memory) others(dir, but string) bool {
	for p := range m {
		if _, in := file.Rel(dir, p); in && p != but && strings.HasSuffix(p, ".py") {
			return true
		}
	}
	return false
}

// The universe of the random projects: paths and statements that have a lot
// to do with each other.
var (
	universe = []string{
		"conftest.py", "a.py", "b.py", "pkg/__init__.py", "pkg/a.py", "pkg/b.py", "pkg/sub/__init__.py", "pkg/sub/a.py", "pkg/sub/c.py",
		"a/__init__.py", "a/b.py", "lib/b.py", "lib/pkg/c.py", "lib/a/c.py", "tests/__init__.py", "tests/conftest.py", "tests/a.py",
		"tests/test_x.py", "tests/test_y.py", "tests/in/test_z.py", "tests/in/conftest.py", "tests/in/__init__.py", "tests/in/b.py", "deep/lib/c.py",
		"data.json", "tests/data.json",
	}
	statements = []string{
		"import a", "import b", "import c", "import pkg", "import pkg.a", "import pkg.sub.c", "import a.b", "import a.c", "from pkg import a, b, sub, x",
		"from pkg.sub import *", "from . import a, b", "from .a import x", "from .. import a, b", "from ..sub import c", "from a import b",
		"from tests import a", "from tests.in import b", "import installed", "if TYPE_CHECKING:\n    import b", "def f():\n    import c\n    from pkg import b",
		"import_module('b')", "import_module(name)", "import_module(f'pkg.{x}')", "import_module('.' + x, __package__)", "pytest_plugins = ['b', 'pkg.b']",
		"def pytest_configure(): pass", "__all__ = ['a', 'sub']", "import test_x", "x = 1", "from b import *",
	}
)

const top = "/p"

func input(m memory, mode string) graph.Input {
	in := graph.Input{
		Config: &config.Config{
			Options: config.Options{ImportMode: mode, Plugins: []string{"b"}}, Version: pytest.Newest, Root: top, Dir: top, ConfCutDir: top,
			PythonPath: []string{top + "/lib", top},
		},
		Env:    &pyenv.Env{Path: []string{"/site-packages"}, Sites: []string{"/site-packages"}, Stdlib: "/std", Editable: map[string]string{}},
		Source: m,
		Observed: map[string][]string{
			top + "/tests/test_x.py": {top + "/data.json"}, top + "/pkg/a.py": {top + "/tests"},
		},
	}
	for _, p := range slices.Sorted(maps.Keys(m)) {
		if strings.HasPrefix(filepath.Base(p), "test_") {
			in.Roots = append(in.Roots, p)
		}
	}
	return in
}

func draw(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom(statements), 0, 3).Draw(t, "text"), "\n") + "\n"
}

func drawProject(t *rapid.T) memory {
	m := memory{"/site-packages/installed.py": ""}
	for _, p := range rapid.SliceOfNDistinct(rapid.SampledFrom(universe), 4, 20, rapid.ID[string]).Draw(t, "files") {
		m[top+"/"+p] = draw(t)
	}
	return m
}

// edit changes one file, and returns its path.
func edit(t *rapid.T, m memory) string {
	p := top + "/" + rapid.SampledFrom(universe).Draw(t, "path")
	if _, ok := m[p]; ok && rapid.IntRange(0, 2).Draw(t, "delete") == 0 {
		delete(m, p)
	} else {
		m[p] = draw(t)
	}
	return p
}

// describe is all that a Graph says.
func describe(g *graph.Graph) map[string][]string {
	out := map[string][]string{}
	for p := range g.Files() {
		list := []string{}
		for _, e := range g.Edges(p) {
			list = append(list, fmt.Sprint(e.Kind, " ", e.To, " ", e.Line))
		}
		out[p] = append(list, g.Depends(p)...)
	}
	for _, p := range universe {
		p = top + "/" + p
		out["affected by "+p] = g.Affected([]string{p}).Roots()
	}
	return out
}

var modes = rapid.SampledFrom([]string{"prepend", "append", "importlib"})

// TestUpdateEqualsBuild makes random edits; what an Update gives is what a
// Build gives, and an older Graph is not touched.
func TestUpdateEqualsBuild(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, mode := drawProject(t), modes.Draw(t, "mode")
		g := graph.Build(input(m, mode))
		for range rapid.IntRange(1, 6).Draw(t, "steps") {
			var changes []file.Change
			for range rapid.IntRange(1, 3).Draw(t, "edits") {
				changes = append(changes, file.Change{Path: edit(t, m)})
			}
			before := describe(g)
			next := g.Update(input(m, mode), changes)
			if diff := cmp.Diff(describe(graph.Build(input(m, mode))), describe(next)); diff != "" {
				t.Fatalf("after %v: scratch (-), update (+):\n%s", changes, diff)
			}
			if diff := cmp.Diff(before, describe(g)); diff != "" {
				t.Fatalf("the old graph changed:\n%s", diff)
			}
			if same := g.Update(input(m, mode), nil); next != g && same == next {
				t.Fatal("an update without changes")
			}
			if next.Update(input(m, mode), changes) != next {
				t.Fatal("an update with nothing new is another graph")
			}
			g = next
		}
	})
}

// closure follows edges one by one.
func closure(g *graph.Graph, m memory, from string) []string {
	seen := map[string]bool{from: true}
	var visit func(p string)
	visit = func(p string) {
		for _, e := range g.Edges(p) {
			to := []string{e.To}
			switch e.Kind {
			case graph.TypeChecking:
				continue
			case graph.Opaque:
				to = nil
				for q := range m {
					if _, in := file.Rel(e.To, q); in && strings.HasSuffix(q, ".py") && (e.Tests || !g.IsRoot(q)) {
						to = append(to, q)
					}
				}
			}
			for _, q := range to {
				if !seen[q] {
					seen[q] = true
					visit(q)
				}
			}
		}
	}
	visit(from)
	return slices.Sorted(maps.Keys(seen))
}

// TestClosure compares with the naive closure, and walks each explained path.
func TestClosure(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := drawProject(t)
		in := input(m, modes.Draw(t, "mode"))
		g := graph.Build(in)
		reached := map[string][]string{} // file -> roots
		for _, r := range in.Roots {
			want := closure(g, m, r)
			if diff := cmp.Diff(want, g.Depends(r)); diff != "" {
				t.Fatalf("%s: naive (-):\n%s", r, diff)
			}
			for _, p := range want {
				reached[p] = append(reached[p], r)
			}
		}
		for p := range g.Files() {
			var want []string
			by := slices.Clone(reached[p])
			for dir := filepath.Dir(p); ; dir = filepath.Dir(dir) { // or by who lists its folder,
				by = append(by, reached[dir]...)
				if dir == top || m.others(dir, p) {
					break // or the one above, with which it may have come
				}
			}
			for _, r := range in.Roots {
				if slices.Contains(by, r) {
					want = append(want, r)
				}
			}
			got := g.Affected([]string{p}).Roots()
			if g.LooksFor(p) { // it may be new, and its folder with it
				got = slices.DeleteFunc(got, func(r string) bool { return !slices.Contains(want, r) })
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Fatalf("%s reaches, naive (-):\n%s", p, diff)
			}
		}
		for _, p := range universe {
			p = top + "/" + p
			reach := g.Affected([]string{p})
			for _, r := range reach.Roots() {
				path, ok := reach.Path(r)
				if !ok {
					t.Fatalf("no path from %s to %s", r, p)
				}
				walk(t, g, path, r, p)
			}
		}
	})
}

// walk follows a path edge by edge.
func walk(t *rapid.T, g *graph.Graph, path []graph.Edge, from, to string) {
	at := from
	for _, e := range path {
		if e.From != at {
			t.Fatalf("a path stands at %s and goes on from %s", at, e.From)
		}
		at = e.To
		there := slices.ContainsFunc(g.Edges(e.From), func(x graph.Edge) bool {
			_, in := file.Rel(x.To, e.To)
			return x.To == e.To && x.Kind != graph.TypeChecking || x.Kind == graph.Opaque && in || x.Kind == graph.Data && x.To == filepath.Dir(e.To)
		})
		if !there && !(e.To == to && (g.LooksFor(to) || e.Kind == graph.Unread || e.Kind == graph.Data)) {
			t.Fatalf("%v is no edge", e)
		}
	}
	if at != to {
		t.Fatalf("a path to %s ends at %s", to, at)
	}
}

// TestNothingIsMissed edits a file: each test whose files are others then is
// reached by the edit, as seen before it or after it. Edits that change which
// folders pytest puts on sys.path are left out, see Affected.
func TestNothingIsMissed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m, mode := drawProject(t), modes.Draw(t, "mode")
		old, was := graph.Build(input(m, mode)), maps.Clone(m)
		p := edit(t, m)
		in := input(m, mode)
		g := graph.Build(in)
		if !slices.Equal(bases(old, was), bases(g, m)) {
			t.Skip("another sys.path")
		}
		reached := append(old.Affected([]string{p}).Roots(), g.Affected([]string{p}).Roots()...)
		for _, r := range in.Roots {
			if before := old.Depends(r); !slices.Contains(reached, r) && before != nil && !slices.Equal(before, g.Depends(r)) {
				t.Fatalf("%s changed what %s depends on, and does not reach it:\n%s", p, r, cmp.Diff(before, g.Depends(r)))
			}
		}
	})
}

// bases returns the folders that tests and conftests are imported from.
func bases(g *graph.Graph, m memory) []string {
	set := map[string]bool{}
	for _, r := range g.Roots() {
		set[resolve.Base(m, r)] = true
		for _, d := range file.Parents(r) {
			if _, ok := m[d+"/conftest.py"]; ok {
				set[resolve.Base(m, d+"/conftest.py")] = true
			}
		}
	}
	return slices.Sorted(maps.Keys(set))
}
