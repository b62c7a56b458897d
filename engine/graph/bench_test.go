package graph_test

import (
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/graph"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// parsed is a Source that has read everything: what a Graph costs by itself.
type parsed struct {
	mods map[string]*pysrc.Module
	dirs map[string][]file.Entry
}

func (p *parsed) Module(path string) *pysrc.Module { return p.mods[path] }
func (p *parsed) List(dir string) []file.Entry     { return p.dirs[dir] }
func (p *parsed) Text(string) ([]byte, error)      { return nil, nil }
func (p *parsed) Prefetch([]string)                {}

// large is a project of 10,000 files with tests in 250 folders, each with a
// conftest.py, and 200 modules in five layers, each importing three of the
// layer below, half of them in functions: the shape of the shared gen-tree.
func large(tb testing.TB) graph.Input {
	m := memory{}
	m["/p/tests/conftest.py"] = "import pytest\nfrom acme.layer0 import mod_000\n"
	m["/p/src/acme/__init__.py"] = ""
	for layer := range 5 {
		m[fmt.Sprintf("/p/src/acme/layer%d/__init__.py", layer)] = fmt.Sprintf("from .mod_%03d import OWN as FIRST\n", layer*40)
		for i := range 40 {
			n := layer*40 + i
			text := "OWN = 1\ndef total():\n"
			for k := range 3 {
				if layer > 0 {
					below := (layer-1)*40 + (i*7+k*13)%40
					if k == 2 {
						text += fmt.Sprintf("    from acme.layer%d import mod_%03d\n", layer-1, below)
					} else {
						text = fmt.Sprintf("import acme.layer%d.mod_%03d\n", layer-1, below) + text
					}
				}
			}
			m[fmt.Sprintf("/p/src/acme/layer%d/mod_%03d.py", layer, n)] = text + "    return OWN\n"
		}
	}
	for n := range 10_000 {
		dir := fmt.Sprintf("/p/tests/group_%03d", n/40)
		if n%40 == 0 {
			m[dir+"/conftest.py"] = "import pytest\n"
			if n/40%2 == 1 {
				m[dir+"/__init__.py"] = ""
			}
		}
		text := "import unittest\nimport pytest\n"
		for k := range 4 {
			x := (n*11 + k*53) % 200
			text += fmt.Sprintf("from acme.layer%d import mod_%03d\n", x/40, x)
		}
		m[fmt.Sprintf("%s/test_%05d.py", dir, n)] = text + "def test_a(): pass\ndef test_b(): pass\n"
	}
	src := &parsed{mods: map[string]*pysrc.Module{}, dirs: map[string][]file.Entry{}}
	in := graph.Input{
		Config: &config.Config{
			Options: config.Options{ImportMode: "prepend"}, Version: pytest.Newest, Root: "/p", Dir: "/p", ConfCutDir: "/p", PythonPath: []string{"/p/src"},
		},
		Env:    &pyenv.Env{Path: []string{"/std"}, Stdlib: "/std"},
		Source: src,
	}
	folders := map[string]memory{}
	for p, text := range m {
		src.mods[p] = pysrc.Parse([]byte(text))
		for d := filepath.Dir(p); ; d = filepath.Dir(d) {
			if folders[d] == nil {
				folders[d] = memory{}
			}
			rel, _ := file.Rel(d, p)
			folders[d][d+"/"+rel] = ""
			if d == "/p" {
				break
			}
		}
	}
	for d, inside := range folders {
		src.dirs[d] = inside.List(d)
	}
	for _, e := range src.dirs["/p/tests"] {
		for _, f := range src.dirs["/p/tests/"+e.Name] {
			if len(f.Name) > 5 && f.Name[:5] == "test_" {
				in.Roots = append(in.Roots, "/p/tests/"+e.Name+"/"+f.Name)
			}
		}
	}
	if len(in.Roots) != 10_000 {
		tb.Fatalf("%d roots", len(in.Roots))
	}
	return in
}

func BenchmarkBuild(b *testing.B) {
	in := large(b)
	heap := func() float64 {
		runtime.GC()
		runtime.GC() // what pools hold goes with the second
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return float64(m.HeapAlloc) / (1 << 20)
	}
	before := heap()
	var g *graph.Graph
	for b.Loop() {
		g = graph.Build(in)
	}
	b.ReportMetric(heap()-before, "MB")
	runtime.KeepAlive(g)
	runtime.KeepAlive(in)
}

// BenchmarkAffected asks after an edit of a module of the lowest layer, which
// nearly all tests reach, with the first query's work in it.
func BenchmarkAffected(b *testing.B) {
	g := graph.Build(large(b))
	n := 0
	for b.Loop() {
		n = len(g.Affected([]string{"/p/src/acme/layer0/mod_000.py"}).Roots())
	}
	b.ReportMetric(float64(n), "files")
}

// BenchmarkUpdate edits the imports of a test file, to and fro.
func BenchmarkUpdate(b *testing.B) {
	in := large(b)
	src := in.Source.(*parsed)
	g := graph.Build(in)
	p := in.Roots[5000]
	texts := []*pysrc.Module{pysrc.Parse([]byte("import acme.layer0.mod_001\ndef test_a(): pass\n")), src.mods[p]}
	i := 0
	for b.Loop() {
		src.mods[p] = texts[i%2]
		i++
		next := g.Update(in, []file.Change{{Path: p}})
		if next == g {
			b.Fatal("the edit was not seen")
		}
		g = next
	}
}

// BenchmarkUpdateNew lets a module appear and go away that shadows another.
func BenchmarkUpdateNew(b *testing.B) {
	in := large(b)
	src := in.Source.(*parsed)
	g := graph.Build(in)
	const dir = "/p/src/acme/layer4"
	p := dir + "/other.py"
	with := memory{p: ""}
	for _, e := range src.dirs[dir] {
		with[dir+"/"+e.Name] = ""
	}
	lists := [][]file.Entry{with.List(dir), src.dirs[dir]}
	mods := []*pysrc.Module{pysrc.Parse(nil), nil}
	i := 0
	for b.Loop() {
		src.dirs[dir], src.mods[p] = lists[i%2], mods[i%2]
		i++
		g = g.Update(in, []file.Change{{Path: p}})
	}
}

// BenchmarkDepends asks for the files of each test file in turn, as a history
// does.
func BenchmarkDepends(b *testing.B) {
	in := large(b)
	g := graph.Build(in)
	i, n := 0, 0
	for b.Loop() {
		n += len(g.Depends(in.Roots[i%len(in.Roots)]))
		i++
	}
	b.ReportMetric(float64(n)/float64(i), "files")
}
