package graph

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
)

// maxFolders bounds how many folders are listed to know the project's files:
// a home folder taken for a project must not cost minutes. Behind it, computed
// imports and failed look-ups miss what was not listed.
const maxFolders = 20_000

// tops returns the folders that hold the project: the rootdir and what else of
// sys.path is not installed.
func (b *builder) tops() []string {
	out := []string{b.in.Config.Root}
	add := func(d string) {
		if !b.in.Env.Installed(b.in.Config.Root, d) && !slices.ContainsFunc(out, func(o string) bool { _, in := file.Rel(o, d); return in }) {
			out = append(out, d)
		}
	}
	for _, d := range slices.Concat(b.in.Paths, b.in.Config.PythonPath, b.g.inserted, b.in.Env.Path) {
		add(d)
	}
	var editable []string
	for _, p := range b.in.Env.Editable {
		if strings.HasSuffix(p, ".py") {
			p = filepath.Dir(p)
		}
		editable = append(editable, p)
	}
	slices.Sort(editable)
	for _, p := range editable {
		add(p)
	}
	return out
}

// walk lists the project's Python files, sorted.
func (b *builder) walk() []string {
	var out []string
	folders := 0
	var dir func(d string)
	dir = func(d string) {
		if folders++; folders > maxFolders {
			return
		}
		for _, e := range b.in.Source.List(d) {
			p := filepath.Join(d, e.Name)
			switch {
			case e.Kind == file.Dir && !e.Link && b.walked(p):
				dir(p)
			case e.Kind == file.Regular && strings.HasSuffix(e.Name, ".py"):
				out = append(out, p)
			}
		}
	}
	for _, d := range b.tops() {
		dir(d)
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// walked reports whether a folder below a top may hold the project's code.
func (b *builder) walked(p string) bool {
	name := filepath.Base(p)
	if strings.HasPrefix(name, ".") || name == "__pycache__" || name == "node_modules" || b.in.Env.Installed(b.in.Config.Root, p) {
		return false
	}
	return !b.exists(filepath.Join(p, "pyvenv.cfg"))
}

// walks reports whether walk comes to a file.
func (b *builder) walks(p string) bool {
	for _, top := range b.tops() {
		if _, in := file.Rel(top, p); !in {
			continue
		}
		ok := true
		for _, d := range file.Parents(p) {
			if d == top {
				break
			}
			ok = ok && b.walked(d)
		}
		if ok {
			return true
		}
	}
	return false
}
