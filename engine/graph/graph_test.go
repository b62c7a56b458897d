package graph_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/graph"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// disk is a Source that reads files as they are when asked.
type disk struct{ read map[string]int }

func (d disk) Module(p string) *pysrc.Module {
	b, err := os.ReadFile(p)
	if err != nil {
		return nil
	}
	d.read[p]++
	return pysrc.Parse(b)
}

func (d disk) List(dir string) []file.Entry {
	es, _ := file.List(dir, ".py")
	return es
}

func (d disk) Text(p string) ([]byte, error) { return os.ReadFile(p) }
func (d disk) Prefetch([]string)             {}

// project is a tree of files in a temporary folder.
type project struct {
	t    testing.TB
	root string
	in   graph.Input
	disk disk
}

// newProject writes files given as "-- NAME --" sections, an empty file where
// nothing follows. Files named test_*.py are roots.
func newProject(t testing.TB, tree string) *project {
	p := &project{t: t, root: t.TempDir(), disk: disk{map[string]int{}}}
	site := filepath.Join(t.TempDir(), "site-packages")
	for _, part := range strings.Split("\n"+tree, "\n-- ")[1:] {
		name, text, _ := strings.Cut(part, " --\n")
		p.write(strings.TrimSuffix(name, " --"), text)
	}
	os.MkdirAll(filepath.Join(site, "installed"), 0o755)
	os.WriteFile(filepath.Join(site, "installed", "__init__.py"), nil, 0o644)
	p.in = graph.Input{
		Config: &config.Config{
			Options: config.Options{ImportMode: "prepend"}, Version: pytest.Newest, Root: p.root, Dir: p.root, ConfCutDir: p.root,
			PythonFiles: []string{"test_*.py"},
		},
		Env:    &pyenv.Env{Path: []string{site}, Sites: []string{site}, Editable: map[string]string{}, Stdlib: "/nowhere"},
		Source: p.disk,
	}
	p.roots()
	return p
}

func (p *project) roots() {
	p.in.Roots = nil
	filepath.WalkDir(p.root, func(q string, d os.DirEntry, err error) error {
		if ok, _ := filepath.Match("test_*.py", filepath.Base(q)); ok && err == nil && !d.IsDir() {
			p.in.Roots = append(p.in.Roots, q)
		}
		return nil
	})
}

func (p *project) path(name string) string { return filepath.Join(p.root, filepath.FromSlash(name)) }

func (p *project) write(name, text string) {
	p.t.Helper()
	q := p.path(name)
	if err := os.MkdirAll(filepath.Dir(q), 0o755); err != nil {
		p.t.Fatal(err)
	}
	if err := os.WriteFile(q, []byte(text), 0o644); err != nil {
		p.t.Fatal(err)
	}
}

func (p *project) rel(q string) string {
	if r, ok := file.Rel(p.root, q); ok {
		return r
	}
	return q
}

// edges lists the edges of a file: "kind to" or "kind to:line".
func (p *project) edges(g *graph.Graph, name string) []string {
	var out []string
	for _, e := range g.Edges(p.path(name)) {
		s := e.Kind.String() + " " + p.rel(e.To)
		if e.Line > 0 {
			s += fmt.Sprintf(":%d", e.Line)
		}
		out = append(out, s)
	}
	slices.Sort(out)
	return out
}

func (p *project) affected(g *graph.Graph, names ...string) []string {
	var paths []string
	for _, n := range names {
		paths = append(paths, p.path(n))
	}
	var out []string
	for _, r := range g.Affected(paths).Roots() {
		out = append(out, p.rel(r))
	}
	return out
}

// TestEdges has one small project for each way in which a file depends on
// another: the edges of one of its files.
func TestEdges(t *testing.T) {
	for _, c := range []struct {
		name, tree, of string
		set            func(*project)
		want           []string
	}{
		{name: "import", of: "test_a.py", tree: `
-- test_a.py --
import installed, b
import pkg.sub.deep as d
-- b.py --
-- pkg/__init__.py --
-- pkg/sub/__init__.py --
-- pkg/sub/deep.py --
`, want: []string{"import b.py:1", "import pkg/__init__.py:2", "import pkg/sub/__init__.py:2", "import pkg/sub/deep.py:2"}},
		{name: "from, names that are modules and names that are not", of: "test_a.py", tree: `
-- test_a.py --
from pkg import sub, value
from b import pkg
-- b.py --
-- pkg/__init__.py --
-- pkg/sub.py --
`, want: []string{"import b.py:2", "import pkg/__init__.py:1", "import pkg/sub.py:1"}},
		{name: "relative", of: "pkg/inner/m.py", tree: `
-- test_a.py --
import pkg.inner.m
-- pkg/__init__.py --
-- pkg/other.py --
-- pkg/inner/__init__.py --
-- pkg/inner/m.py --
from . import n
from .n import x
from .. import other, nothing
from ..other import y
-- pkg/inner/n.py --
`, want: []string{"import pkg/__init__.py:3", "import pkg/inner/__init__.py:1", "import pkg/inner/n.py:1", "import pkg/other.py:3"}},
		{name: "a star takes what __all__ names", of: "pkg/__init__.py", tree: `
-- test_a.py --
from pkg import *
-- pkg/__init__.py --
__all__ = ["one", "value"]
-- pkg/one.py --
-- pkg/two.py --
`, want: []string{"import pkg/one.py:1"}},
		{name: "re-export", of: "pkg/__init__.py", tree: `
-- test_a.py --
from pkg import Thing
-- pkg/__init__.py --
from ._impl import Thing
-- pkg/_impl.py --
`, want: []string{"import pkg/_impl.py:1"}},
		{name: "lazy, in try, for type checkers", of: "test_a.py", tree: `
-- test_a.py --
from typing import TYPE_CHECKING
import typing as t
if TYPE_CHECKING:
    import a
elif t.TYPE_CHECKING and b:
    import b
if not TYPE_CHECKING:
    import c
def f():
    import d
    if TYPE_CHECKING:
        import e
    try:
        import g
    except ImportError:
        g = None
class C:
    def m(self):
        from d import x
        if not TYPE_CHECKING:
            import h
        if TYPE_CHECKING or x:
            import i
        if t.TYPE_CHECKING and x: import j
-- h.py --
-- i.py --
-- j.py --
-- a.py --
-- b.py --
-- c.py --
-- d.py --
-- e.py --
-- g.py --
`, want: []string{"import c.py:8", "lazy d.py:10", "lazy g.py:14", "lazy h.py:21", "lazy i.py:23", "type-checking a.py:4", "type-checking b.py:6", "type-checking e.py:12", "type-checking j.py:24"}},
		{name: "dynamic, by literal", of: "test_a.py", tree: `
-- test_a.py --
import importlib
importlib.import_module("pkg.a")
importlib.import_module(".b", package="pkg")
pytest.importorskip("c")
__import__("pkg", globals(), locals(), ["d"])
-- pkg/__init__.py --
-- pkg/a.py --
-- pkg/b.py --
-- pkg/d.py --
-- c.py --
`, want: []string{"dynamic c.py:4", "dynamic pkg/__init__.py:2", "dynamic pkg/a.py:2", "dynamic pkg/b.py:3", "dynamic pkg/d.py:5"}},
		{name: "named by a string for mock and monkeypatch", of: "test_a.py", tree: `
-- test_a.py --
from unittest import mock
from unittest.mock import patch

@patch("pkg.a.Class.method")
def test_one(m, monkeypatch):
    monkeypatch.setattr("pkg.b.name", 1)
    with mock.patch("pkg.c"), mock.patch.object(m, "pkg.d.x"):
        setattr(m, "pkg", 1)

@mock.patch(
    'e.f')
class TestTwo:
    def test_two(self, mocker):
        mocker.patch("no such.name")
        mocker.patch(f"pkg.g")
-- pkg/__init__.py --
-- pkg/a.py --
-- pkg/b.py --
-- pkg/c.py --
-- pkg/d.py --
-- pkg/g.py --
-- e.py --
`, want: []string{"dynamic e.py:10", "dynamic pkg/__init__.py:4", "dynamic pkg/a.py:4", "dynamic pkg/b.py:6", "dynamic pkg/c.py:7"}},
		{name: "dynamic, below a package", of: "pkg/__init__.py", tree: `
-- test_a.py --
import pkg
-- pkg/__init__.py --
def load(name):
    return import_module("." + name, __name__)
def other(name):
    return import_module(f"{__name__}.{name}")
def third(name):
    return import_module(f"plugins.{name}.main")
-- plugins/one/main.py --
`, want: []string{"opaque pkg:2", "opaque plugins:6"}},
		{name: "dynamic, anything", of: "test_a.py", tree: `
-- test_a.py --
def load(name):
    return import_module(name)
-- pkg/a.py --
`, want: []string{"opaque .:2"}},
		{name: "packages of tests, conftest above", of: "tests/unit/test_a.py", tree: `
-- conftest.py --
-- tests/__init__.py --
-- tests/conftest.py --
-- tests/unit/__init__.py --
-- tests/unit/test_a.py --
-- tests/other/conftest.py --
`, want: []string{"conftest conftest.py", "conftest tests/conftest.py", "init tests/__init__.py", "init tests/unit/__init__.py"}},
		{name: "a conftest elsewhere with a hook for all", of: "test_a.py", tree: `
-- test_a.py --
-- sub/test_b.py --
-- sub/conftest.py --
def pytest_collection_modifyitems(items): pass
-- other/test_c.py --
-- other/conftest.py --
def pytest_runtest_setup(item): pass
-- star/test_d.py --
-- star/conftest.py --
from hooks import *
-- star/hooks/__init__.py --
from .more import *
-- star/hooks/more.py --
def pytest_configure(config): pass
`, want: []string{"conftest star/conftest.py", "conftest sub/conftest.py"}},
		{name: "pytest_plugins", of: "conftest.py", tree: `
-- test_a.py --
-- conftest.py --
pytest_plugins = ["plug.one", "two"]
-- plug/one.py --
-- two.py --
`, want: []string{"plugin plug/one.py:1", "plugin two.py:1"}},
		{name: "-p, entry points and configuration", of: "test_a.py", tree: `
-- test_a.py --
-- mine.py --
-- entry.py --
-- pyproject.toml --
`, set: func(p *project) {
			p.in.Config.Plugins = []string{"mine", "no:cacheprovider", "installed"}
			p.in.Config.PythonPath = []string{p.root}
			p.in.Config.Files = []string{p.path("pyproject.toml")}
			p.in.Env.Plugins = []pyenv.Plugin{{Name: "e", Module: "entry", Dist: "d"}}
		}, want: []string{"config pyproject.toml", "plugin entry.py", "plugin mine.py"}},
		{name: "src layout by pythonpath", of: "tests/test_a.py", tree: `
-- tests/test_a.py --
import app.core
-- src/app/__init__.py --
-- src/app/core.py --
`, set: func(p *project) { p.in.Config.PythonPath = []string{p.path("src")} },
			want: []string{"import src/app/__init__.py:1", "import src/app/core.py:1"}},
		{name: "editable by a path and by a finder", of: "tests/test_a.py", tree: `
-- tests/test_a.py --
import app, other
-- src/app/__init__.py --
-- lib/other/__init__.py --
`, set: func(p *project) {
			p.in.Env.Path = append(p.in.Env.Path, p.path("src"))
			p.in.Env.Editable["other"] = p.path("lib/other")
		}, want: []string{"import lib/other/__init__.py:1", "import src/app/__init__.py:1"}},
		{name: "namespace packages", of: "tests/test_a.py", tree: `
-- tests/test_a.py --
import ns.one, ns.two.m
from ns import three
-- a/ns/one.py --
-- b/ns/two/m.py --
-- b/ns/three.py --
`, set: func(p *project) { p.in.Config.PythonPath = []string{p.path("a"), p.path("b")} },
			want: []string{"import a/ns/one.py:1", "import b/ns/three.py:2", "import b/ns/two/m.py:1"}},
		{name: "the same name beside each test file: the first import wins, whichever that is", of: "a/test_a.py", tree: `
-- a/test_a.py --
import helper
-- a/helper.py --
-- b/test_b.py --
import helper
-- b/helper.py --
`, want: []string{"import a/helper.py:1", "import b/helper.py:1"}},
		{name: "importlib mode inserts nothing", of: "a/test_a.py", tree: `
-- a/test_a.py --
import helper
-- a/helper.py --
-- helper.py --
`, set: func(p *project) {
			p.in.Config.ImportMode = "importlib"
			p.in.Paths = []string{p.root}
		}, want: []string{"import helper.py:1"}},
		{name: "not found: where a conftest may put it", of: "tests/test_a.py", tree: `
-- tests/test_a.py --
import helper.util
import gone
-- tools/lib/helper/util.py --
-- tools/lib/other/util.py --
`, want: []string{"absent tools/lib/helper/util.py:1"}},
		{name: "doctests of a text", of: "docs/use.rst", tree: `
-- docs/use.rst --
Text.

    >>> import a
    >>> def f():
    ...     import b
    >>> a.x
    import c
-- a.py --
-- b.py --
-- c.py --
`, set: func(p *project) {
			p.in.Roots = []string{p.path("docs/use.rst")}
			p.in.Paths = []string{p.root}
		}, want: []string{"import a.py:3", "lazy b.py:5"}},
		{name: "doctests of a module", of: "a.py", tree: `
-- a.py --
def f():
    """Example:

    >>> from b import x
    """
-- b.py --
`, set: func(p *project) {
			p.in.Config.DoctestModules = true
			p.in.Roots = []string{p.path("a.py")}
		}, want: []string{"import b.py:4"}},
		{name: "observed", of: "tests/test_a.py", tree: `
-- tests/test_a.py --
-- tests/data.json --
`, set: func(p *project) {
			p.in.Observed = map[string][]string{p.path("tests/test_a.py"): {p.path("tests/data.json"), p.path("tests/gone.json")}}
		}, want: []string{"data tests/data.json"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newProject(t, c.tree)
			if c.set != nil {
				c.set(p)
			}
			if diff := cmp.Diff(c.want, p.edges(graph.Build(p.in), c.of)); diff != "" {
				t.Error(diff)
			}
		})
	}
}

// TestAffected has the files with tests that changes reach, of files that are
// there and of files that are not (any more, or not yet).
func TestAffected(t *testing.T) {
	const tree = `
-- conftest.py --
-- app/__init__.py --
-- app/core.py --
from . import util
-- app/util.py --
from typing import TYPE_CHECKING
if TYPE_CHECKING:
    from . import types
-- app/types.py --
-- app/lazy.py --
def f():
    from . import core
-- app/unused.py --
-- tests/conftest.py --
import app.lazy
-- tests/test_core.py --
from app import core
import installed
-- tests/sub/test_sub.py --
try:
    import optional
except ImportError:
    pass
-- other/test_other.py --
import app.util
from app import missing
-- other/data.json --
-- pyproject.toml --
`
	p := newProject(t, tree)
	p.in.Config.Files = []string{p.path("pyproject.toml")}
	p.in.Observed = map[string][]string{p.path("other/test_other.py"): {p.path("other/data.json"), p.path("listed"), p.path("uv.lock")}}
	p.in.Env.Path = append([]string{p.root}, p.in.Env.Path...)
	g := graph.Build(p.in)
	all := []string{"other/test_other.py", "tests/sub/test_sub.py", "tests/test_core.py"}
	tests := all[1:]
	for _, c := range []struct {
		changed string
		want    []string
	}{
		{"app/util.py", all},
		{"app/core.py", tests},
		{"app/lazy.py", tests},
		{"app/types.py", nil},
		{"app/unused.py", nil},
		{"app/__init__.py", all},
		{"conftest.py", all},
		{"tests/test_core.py", []string{"tests/test_core.py"}},
		{"pyproject.toml", all},
		{"other/data.json", []string{"other/test_other.py"}},
		{"listed/new.txt", []string{"other/test_other.py"}},
		{"README.md", all},
		{"uv.lock", all},
		{"requirements-dev.txt", all},
		{"app/__pycache__/core.cpython-313.pyc", nil},
		{".pytest_cache/v/cache/nodeids", nil},
		// files that are not there
		{"app/missing.py", []string{"other/test_other.py"}},
		{"app/missing/__init__.py", []string{"other/test_other.py"}},
		{"tests/sub/conftest.py", []string{"tests/sub/test_sub.py"}},
		{"tests/__init__.py", tests},
		{"optional.py", []string{"tests/sub/test_sub.py"}},
		{"vendor/optional/__init__.py", []string{"tests/sub/test_sub.py"}},
		{"tests/installed.py", []string{"tests/test_core.py"}},
		{"installed/__init__.py", []string{"tests/test_core.py"}},
		{"app/installed.py", nil},
		{"tests/app/__init__.py", all}, // pytest puts tests on sys.path, in front
		{"nobody/asks.py", nil},
	} {
		if diff := cmp.Diff(c.want, p.affected(g, c.changed)); diff != "" {
			t.Errorf("%s:\n%s", c.changed, diff)
		}
	}
}

// TestWhatAComputedImportMayMean leaves the files with tests out, but for
// modules of the program with doctests, where no package is named.
func TestWhatAComputedImportMayMean(t *testing.T) {
	p := newProject(t, `
-- test_a.py --
import load
-- test_b.py --
-- load.py --
def f(name):
    return import_module(name)
-- code.py --
-- documented.py --
`)
	p.in.Roots = append(p.in.Roots, p.path("documented.py"))
	p.in.Code = map[string]bool{p.path("documented.py"): true}
	g := graph.Build(p.in)
	for changed, want := range map[string][]string{
		"test_b.py": {"test_b.py"}, "code.py": {"test_a.py"}, "documented.py": {"test_a.py", "documented.py"},
	} {
		if diff := cmp.Diff(want, p.affected(g, changed)); diff != "" {
			t.Errorf("%s:\n%s", changed, diff)
		}
	}
}

// TestThroughInstalled has an installed package that requires the project.
func TestThroughInstalled(t *testing.T) {
	p := newProject(t, `
-- test_a.py --
import plug
-- test_b.py --
import installed, other
-- src/mine/__init__.py --
`)
	site := p.in.Env.Sites[0]
	p.in.Env.Path = append(p.in.Env.Path, p.path("src"))
	for name, text := range map[string]string{
		"plug/__init__.py":                     "from . import deep\ndef f(name):\n    return __import__(name)\n",
		"plug/deep.py":                         "import mine, installed\n",
		"other.py":                             "import mine\n", // says nothing of it in its metadata
		"mine-1.0.dist-info/METADATA":          "Name: mine\nRequires-Dist: installed\n",
		"mine-1.0.dist-info/RECORD":            "mine.pth,,\nmine-1.0.dist-info/METADATA,,\n",
		"mine-1.0.dist-info/direct_url.json":   `{"dir_info": {"editable": true}, "url": "file:///x"}`,
		"between-1.0.dist-info/METADATA":       "Name: between\nRequires-Dist: Mine>=1 ; python_version > '3'\n",
		"between-1.0.dist-info/RECORD":         "between.py,,\n",
		"plug-1.0.dist-info/METADATA":          "Name: plug\nRequires-Dist: between\n\nRequires-Dist: in the text",
		"plug-1.0.dist-info/RECORD":            "../../bin/plug,,\nplug/__init__.py,sha256=x,1\nplug/deep.py,,\n",
		"installed-1.0.dist-info/METADATA":     "Name: installed\nRequires-Dist: mine; extra == 'all'\n",
		"installed-1.0.dist-info/RECORD":       "installed/__init__.py,,\n",
		"installed-1.0.dist-info/unrelated.py": "",
	} {
		q := filepath.Join(site, name)
		os.MkdirAll(filepath.Dir(q), 0o755)
		if err := os.WriteFile(q, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff(map[string]bool{"plug": true, "between": true}, p.in.Env.Dependents()); diff != "" {
		t.Error(diff)
	}
	g := graph.Build(p.in)
	if diff := cmp.Diff([]string{"test_a.py"}, p.affected(g, "src/mine/__init__.py")); diff != "" {
		t.Error(diff)
	}
	want := []string{filepath.Join(site, "plug/__init__.py"), filepath.Join(site, "plug/deep.py"), p.path("src/mine/__init__.py"), p.path("test_a.py")}
	slices.Sort(want)
	if diff := cmp.Diff(want, g.Depends(p.path("test_a.py"))); diff != "" {
		t.Error(diff)
	}
}

// TestPaths has the paths by which changes reach a test.
func TestPaths(t *testing.T) {
	p := newProject(t, `
-- tests/conftest.py --
import one
-- tests/test_a.py --
import two
import gone
-- one.py --
import three
-- two.py --
-- three.py --
`)
	p.in.Config.PythonPath = []string{p.root}
	g := graph.Build(p.in)
	for _, c := range []struct {
		changed string
		want    []string
	}{
		{"three.py", []string{"tests/test_a.py conftest tests/conftest.py:0", "tests/conftest.py import one.py:1", "one.py import three.py:1"}},
		{"two.py", []string{"tests/test_a.py import two.py:1"}},
		{"gone.py", []string{"tests/test_a.py absent gone.py:2"}},
		{"tests/test_a.py", nil},
		{"x.txt", []string{"tests/test_a.py unread x.txt:0"}},
	} {
		path, ok := g.Affected([]string{p.path(c.changed)}).Path(p.path("tests/test_a.py"))
		var got []string
		for _, e := range path {
			got = append(got, fmt.Sprintf("%s %s %s:%d", p.rel(e.From), e.Kind, p.rel(e.To), e.Line))
		}
		if diff := cmp.Diff(c.want, got); diff != "" || !ok {
			t.Errorf("%s: %v\n%s", c.changed, ok, diff)
		}
	}
	if _, ok := g.Affected([]string{p.path("nobody.py")}).Path(p.path("tests/test_a.py")); ok {
		t.Error("a file that nobody imports reaches a test")
	}
}
