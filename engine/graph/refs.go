package graph

import (
	"path/filepath"
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
)

// refs collects what one file depends on.
type refs struct {
	b *builder
	n *node
}

// add notes a look-up; the first line that makes it counts, unless a later one
// is stronger.
func (r *refs) add(k string, kind Kind, line uint32) *look {
	return r.note(r.b.look(k), kind, line)
}

func (r *refs) note(id int32, kind Kind, line uint32) *look {
	l := r.b.g.looks[id]
	for int(id) >= len(r.b.marks) {
		r.b.marks = append(r.b.marks, 0)
	}
	if i := r.b.marks[id] - 1; i >= 0 {
		if strength(kind) > strength(r.n.refs[i].kind) {
			r.n.refs[i].kind, r.n.refs[i].line = kind, line
		}
		return l
	}
	r.n.refs = append(r.n.refs, ref{id, kind, line})
	r.b.marks[id] = int32(len(r.n.refs))
	return l
}

func strength(k Kind) int {
	switch k {
	case TypeChecking:
		return 0
	case Lazy, Dynamic:
		return 1
	case Init:
		return 2
	}
	return 3
}

// implicit notes what pytest does for a file with tests.
func (r *refs) implicit(p string) {
	dir := filepath.Dir(p)
	list, ok := r.b.implied[dir]
	if !ok {
		for _, d := range r.b.conftestDirs(p) {
			list = append(list, ref{r.b.look(exactKey(filepath.Join(d, "conftest.py"))), Conftest, 0})
		}
		for _, d := range file.Parents(p) {
			if _, in := file.Rel(r.b.in.Config.Root, d); !in {
				break
			}
			list = append(list, ref{r.b.look(exactKey(filepath.Join(d, "__init__.py"))), Init, 0})
		}
		id := r.b.key(sessionKey)
		if r.b.g.looks[id] == nil {
			r.b.setLook(id, &look{kinds: []Kind{}})
		}
		list = append(list, ref{id, Config, 0})
		r.b.implied[dir] = list
	}
	for _, x := range list {
		r.note(x.look, x.kind, 0)
	}
}

// module notes what a module's text says.
func (r *refs) module(p string, f facts) {
	if r.b.in.Env.Installed(r.b.in.Config.Root, p) {
		f.opaque = nil // what it loads by computed names is its own, or it would be opaque for everybody
	}
	r.n.global = f.global
	dir := filepath.Dir(p)
	if filepath.Base(p) == "__init__.py" {
		dir = filepath.Dir(dir)
	}
	r.add(exactKey(filepath.Join(dir, "__init__.py")), Init, 0)
	for _, w := range f.wants {
		r.want(p, w)
	}
	for _, s := range f.opaque {
		for _, d := range r.scope(s) {
			if !slices.ContainsFunc(r.n.opaque, func(o scopeRef) bool { return o.area == d }) {
				r.n.opaque = append(r.n.opaque, scopeRef{d, s.line})
			}
		}
	}
}

// examples notes what the doctests in a text import.
func (r *refs) examples(p string) {
	text, err := r.b.in.Source.Text(p)
	if err != nil {
		return
	}
	f := read(p, pysrc.Parse(examples(text)))
	f.global = r.n.global
	r.module(p, f)
}

func (r *refs) want(p string, w want) {
	var l *look
	if w.dotted == "" {
		if init := filepath.Join(w.dir, "__init__.py"); init != p {
			r.add(exactKey(init), w.kind, w.line)
		}
		l = &look{status: pack}
	}
	for i := 0; i <= len(w.dotted) && w.dotted != ""; i++ {
		if i < len(w.dotted) && w.dotted[i] != '.' {
			continue
		}
		l = r.add(nameKey(w.dir, w.dotted[:i]), w.kind, w.line)
		if l.status == installed {
			return
		}
	}
	if l.status == pack || l.status == notFound && len(l.targets) > 0 {
		for _, n := range w.names {
			r.add(nameKey(w.dir, strings.TrimPrefix(w.dotted+"."+n, ".")), w.kind, w.line)
		}
	}
}

// scope returns the areas that hold what a dynamic import may name.
func (r *refs) scope(s scope) []area {
	var out []area
	all := func() []area {
		for _, d := range r.b.tops() {
			out = append(out, area{d, true})
		}
		return out
	}
	switch {
	case s.dotted == "" && s.dir != "":
		return []area{{s.dir, false}}
	case s.dotted == "":
		return all()
	}
	l := r.b.g.looks[r.b.look(nameKey(s.dir, s.dotted))]
	if l.status == notFound && s.dir == "" {
		return all()
	}
	for _, d := range l.dirs {
		out = append(out, area{d, false})
	}
	return out
}
