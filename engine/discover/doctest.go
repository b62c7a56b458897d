package discover

import (
	"bytes"
	"path/filepath"
	"sort"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/pyexpr"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// doctestFile is _is_doctest for files met by a walk.
func (w *world) doctestFile(p, name string) bool {
	globs := w.cfg.DoctestGlobs
	if len(globs) == 0 {
		globs = []string{"test*.txt"}
	}
	for _, g := range globs {
		if fnmatchEx(g, p, name) {
			return true
		}
	}
	return false
}

// notDoctested is _is_setup_py and _is_main_py.
func (w *world) notDoctested(p, name string) bool {
	if name == "__main__.py" {
		return w.version.AtLeast(7, 0)
	}
	if name != "setup.py" {
		return false
	}
	text, err := w.in.Source.Text(p)
	return err == nil && (bytes.Contains(text, []byte("setuptools")) || bytes.Contains(text, []byte("distutils")))
}

// textDoctest lists a text file that holds examples.
func (w *world) textDoctest(p, id string, node *pytest.Node) {
	text, err := w.in.Source.Text(p)
	if err != nil {
		w.suite.Problems = append(w.suite.Problems, Problem{Path: p, Message: "file cannot be read"})
		return
	}
	if !pysrc.HasExample(text) {
		return
	}
	name := filepath.Base(p)
	w.suite.Items = append(w.suite.Items, &pytest.Item{
		ID: id + "::" + name, Kind: pytest.Doctest, Path: p, Source: p, Line: 1, Head: 1, EndLine: 1,
		Node: &pytest.Node{Parent: &pytest.Node{Parent: node, Name: name}, Name: name},
	})
}

// doctests lists the docstrings with examples of a module, as
// doctest.DocTestFinder finds them: sorted by name.
func (w *world) doctests(m *module, id string, node *pytest.Node) {
	m.build()
	modname := w.doctestName(m)
	parent := &pytest.Node{Parent: node, Name: filepath.Base(m.path)}
	type found struct {
		name   string
		stmt   uint32
		reason pytest.Reason
	}
	var out []found
	if m.src.Doctest {
		out = append(out, found{modname, always, pytest.Exact})
	}
	var visit func(s *scope, prefix string, reason pytest.Reason)
	visit = func(s *scope, prefix string, reason pytest.Reason) {
		for _, e := range s.entries {
			b := &e.binds[len(e.binds)-1]
			if cl, ok := b.value.(*closure); ok && b.kind == bindMade {
				if doc, ok := cl.doc.(docOf); ok {
					if doc.f.s.mod.src.Stmts[doc.f.stmt].Flags&pysrc.Doctest != 0 {
						out = append(out, found{prefix + "." + e.name, always, reason})
					}
				} else if cl.doc != nil {
					out = append(out, found{prefix + "." + e.name, always, pytest.Conditional})
				}
				continue
			}
			if b.kind == bindDel && b.maybe && len(e.binds) > 1 {
				b = &e.binds[len(e.binds)-2]
			}
			if b.kind != bindDef && b.kind != bindClass {
				continue
			}
			r := reason
			if !surely(e) {
				r = pytest.Conditional
			}
			name := prefix + "." + e.name
			st := &m.src.Stmts[b.stmt]
			ds, _ := m.src.Decorators(b.stmt)
			for _, d := range ds {
				if !docKept(m, d, s) && r == pytest.Exact {
					r = pytest.Decorated
				}
			}
			if st.Flags&pysrc.Doctest != 0 {
				out = append(out, found{name, b.stmt, r})
			}
			if b.kind == bindClass {
				v := m.classAt(s, b.stmt)
				switch k := v.(type) {
				case *class:
					visit(k.scope, name, r)
				case decoratedClass:
					visit(k.c.scope, name, r)
				}
			}
		}
	}
	visit(m.scope, modname, pytest.Exact)
	sort.SliceStable(out, func(i, j int) bool { return out[i].name < out[j].name })
	for _, f := range out {
		it := &pytest.Item{
			ID: id + "::" + f.name, Kind: pytest.Doctest, Reason: f.reason, Path: m.path, Source: m.path, Line: 1, Head: 1, EndLine: 1,
			Node: &pytest.Node{Parent: parent, Name: f.name},
		}
		if f.stmt != always {
			st := &m.src.Stmts[f.stmt]
			it.Line, it.Head, it.EndLine, it.Col = st.Row+1, st.Head+1, st.EndRow+1, st.Col
		}
		if it.Reason == pytest.Decorated {
			it.Reason = pytest.Conditional // it may not be found at all
		}
		w.suite.Items = append(w.suite.Items, it)
	}
}

// docKept reports whether a decorator leaves the docstring where doctest
// looks for it.
func docKept(m *module, d uint32, s *scope) bool {
	switch v := evalText(m.src.A(d), s.view(d)).(type) {
	case mark:
		return true
	case *symbol:
		return classDecorators[v.path] || transparent[v.path]
	case pyeval.Object:
		switch v.PyName() {
		case "staticmethod", "classmethod", "property":
			return true
		}
	}
	return strings.HasSuffix(m.src.A(d), ".setter") || strings.HasSuffix(m.src.A(d), ".getter")
}

// doctestName is the __name__ of the module under the import mode.
func (w *world) doctestName(m *module) string {
	if w.cfg.ImportMode != "importlib" || !w.version.AtLeast(7, 1) {
		return m.name
	}
	if w.version.AtLeast(8, 1) && w.hasFile(filepath.Dir(m.path), "__init__.py") {
		return m.name
	}
	rel, ok := file.Rel(w.cfg.Root, m.path)
	if !ok {
		return m.name
	}
	parts := strings.Split(strings.TrimSuffix(rel, ".py"), "/")
	if w.version.AtLeast(8, 1) {
		for i, p := range parts {
			parts[i] = strings.ReplaceAll(p, ".", "_")
		}
	}
	name := strings.Join(parts, ".")
	if m.isPkg && w.version.AtLeast(7, 4) {
		name = strings.TrimSuffix(name, ".__init__")
	}
	return name
}

// ignoreHook returns what a pytest_ignore_collect hook decides about a path;
// nil when its body is not kept.
func (m *module) ignoreHook(e *entry) func(string) (ignore, known bool) {
	f, ok := m.scope.value(e, len(e.binds)-1).(*function)
	if !ok || f.callee() == nil {
		return nil
	}
	params, err := pyexpr.ParseParams(m.src.B(f.stmt))
	if err != nil {
		return nil
	}
	return func(p string) (bool, bool) {
		args := map[string]pyeval.Value{}
		for _, q := range params {
			switch q.Name {
			case "collection_path", "path":
				args[q.Name] = pyeval.Path{Text: p}
			default:
				args[q.Name] = failed
			}
		}
		switch v := f.callee().call(nil, args).(type) {
		case pyeval.None:
			return false, true
		default:
			return pyeval.Condition(v)
		}
	}
}
