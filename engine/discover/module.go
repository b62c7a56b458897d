package discover

import (
	"path/filepath"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/pyexpr"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/resolve"
)

// module is a Python module as importing it would leave it.
type module struct {
	w     *world
	path  string
	name  string // dotted, as a test run would import it
	pkg   string // what relative imports are relative to
	base  string // the sys.path entry that it hangs on
	isPkg bool
	src   *pysrc.Module
	scope *scope
	built buildState

	changed  map[string]bool              // names that bodies of functions change
	attrs    map[uint32]map[string]uint32 // attributes set on functions and classes: stmt -> name -> stmt
	gaps     []gap
	classes  map[uint32]*class
	dynamic  bool // a module-level __getattr__
	fixtures *fixtureSet
}

type buildState uint8

const (
	unbuilt buildState = iota
	building
	built
)

// gap is a place that binds names which only running can tell.
type gap struct {
	row uint32
	why string
}

// moduleAt returns the module of a file, nil when there is none to read. base
// is the sys.path entry; the first caller's holds.
func (w *world) moduleAt(path, base string) *module {
	if m, ok := w.modules[path]; ok {
		return m
	}
	src := w.in.Source.Module(path)
	if src == nil {
		w.modules[path] = nil
		return nil
	}
	m := &module{w: w, path: path, base: base, src: src, isPkg: filepath.Base(path) == "__init__.py"}
	rel, ok := file.Rel(base, path)
	if !ok {
		rel = filepath.Base(path)
	}
	m.name = strings.ReplaceAll(strings.TrimSuffix(rel, ".py"), "/", ".")
	if m.isPkg {
		m.name = strings.TrimSuffix(strings.TrimSuffix(m.name, "__init__"), ".")
		m.pkg = m.name
	} else if i := strings.LastIndexByte(m.name, '.'); i >= 0 {
		m.pkg = m.name[:i]
	}
	w.modules[path] = m
	return m
}

// build executes the module. A module that is being built is left as it is:
// a circular import sees what is bound so far, as in Python.
func (m *module) build() *module {
	if m == nil || m.built != unbuilt {
		return m
	}
	m.built = building
	m.scope = newScope(m, nil)
	m.classes = map[uint32]*class{}
	end := m.src.End()
	for i := end; i > 0 && m.src.Stmts[i-1].Kind == pysrc.Mutate; i-- {
		if m.changed == nil {
			m.changed = map[string]bool{}
		}
		m.changed[m.src.A(i-1)] = true
	}
	m.scope.run(0, end, false)
	m.dynamic = m.scope.index["__getattr__"] != nil
	m.built = built
	return m
}

func (m *module) mutated(name string) bool { return m.changed[name] }

// change notes that a name's value is changed in place from elsewhere.
func (m *module) change(name string) {
	if m.changed == nil {
		m.changed = map[string]bool{}
	}
	m.changed[name] = true
}

func (m *module) gap(stmt uint32, why string) {
	m.gaps = append(m.gaps, gap{m.src.Stmts[stmt].Row, why})
}

// setAttr notes NAME.attr = value at statement i, of a function or class.
func (m *module) setAttr(s *scope, name, attr string, i uint32) {
	e := s.index[name]
	if e == nil || len(e.binds) == 0 {
		return
	}
	b := e.binds[len(e.binds)-1]
	if b.kind != bindDef && b.kind != bindClass {
		return
	}
	if m.attrs == nil {
		m.attrs = map[uint32]map[string]uint32{}
	}
	if m.attrs[b.stmt] == nil {
		m.attrs[b.stmt] = map[string]uint32{}
	}
	m.attrs[b.stmt][attr] = i
}

// setMethod binds a test that is put on a class from outside of it, or with
// del taken from it.
func (m *module) setMethod(s *scope, name, attr string, value *pyexpr.Node, b binding) {
	e := s.index[name]
	if e == nil || len(e.binds) == 0 || !m.w.mayBeTest(attr) {
		return
	}
	c, ok := s.value(e, len(e.binds)-1).(*class)
	if !ok || c.mod != m {
		return
	}
	if b.kind != bindDel {
		b.kind = bindUnknown
		v := s.view(b.stmt).eval(value)
		switch v.(type) {
		case *function, *closure:
			b.kind, b.value = bindMade, v
		}
	} else if c.scope.index[attr] == nil {
		return
	}
	c.scope.bind(attr, b)
}

// attrValue is an attribute that a statement sets on the function or class
// defined at stmt.
func (m *module) attrValue(stmt uint32, name string) (pyeval.Value, bool) {
	i, ok := m.attrs[stmt][name]
	if !ok {
		return nil, false
	}
	return evalText(m.src.B(i), m.scope.view(i)), true
}

// attr is the module's attribute as others see it.
func (m *module) attr(name string) pyeval.Value {
	m.build()
	if v, ok := m.scope.at(name, always); ok {
		return v
	}
	switch name {
	case "__name__":
		return pyeval.Str(m.name)
	case "__file__":
		return pyeval.Str(m.path)
	}
	if m.isPkg {
		if sub := m.w.importDotted(m.name+"."+name, m.base); sub != nil {
			if _, missing := sub.(pyeval.Missing); !missing {
				return sub
			}
		}
	}
	if m.dynamic || m.built != built || m.scope.stop != runsOn {
		return pyeval.Unknown{Why: "attribute " + name}
	}
	return pyeval.Missing{}
}

// moduleValue is a module as a value.
type moduleValue struct{ m *module }

func (v moduleValue) PyName() string                { return v.m.name }
func (v moduleValue) Attr(name string) pyeval.Value { return v.m.attr(name) }
func (v moduleValue) Call([]pyeval.Value, map[string]pyeval.Value) pyeval.Value {
	return pyeval.Unknown{Why: "call of a module"}
}

// namespaceValue is a package without __init__.py.
type namespaceValue struct {
	w    *world
	name string
	base string
}

func (v namespaceValue) PyName() string { return v.name }
func (v namespaceValue) Attr(name string) pyeval.Value {
	return v.w.importDotted(v.name+"."+name, v.base)
}
func (v namespaceValue) Call([]pyeval.Value, map[string]pyeval.Value) pyeval.Value {
	return pyeval.Unknown{Why: "call of a module"}
}

// importDotted returns the module of an absolute dotted name: Missing when
// there surely is none, Unknown when it cannot be read.
func (w *world) importDotted(dotted, first string) pyeval.Value {
	if isLibrary(dotted) {
		if t := w.res.Find(topOf(dotted), first); t.Stdlib || t.Kind == resolve.NotFound || topOf(dotted) == "pytest" || topOf(dotted) == "_pytest" || thirdParty[topOf(dotted)] {
			if t.Kind == resolve.NotFound && !t.Stdlib && w.env.Stdlib != "" {
				return pyeval.Missing{}
			}
			return &symbol{w: w, path: dotted}
		}
	}
	t := w.res.Find(dotted, first)
	switch t.Kind {
	case resolve.Source:
		base := filepath.Dir(t.Path)
		if t.Package {
			base = filepath.Dir(base)
		}
		for range strings.Count(dotted, ".") {
			base = filepath.Dir(base)
		}
		if m := w.moduleAt(t.Path, base); m != nil {
			return moduleValue{m.build()}
		}
		return pyeval.Unknown{Why: "module " + dotted}
	case resolve.Namespace:
		return namespaceValue{w, dotted, first}
	case resolve.Binary:
		if t.Stdlib {
			return &symbol{w: w, path: dotted}
		}
		return pyeval.Unknown{Why: "module " + dotted}
	}
	if w.env.Stdlib == "" {
		return pyeval.Unknown{Why: "module " + dotted + ": no interpreter found"}
	}
	return pyeval.Missing{}
}

func topOf(dotted string) string {
	head, _, _ := strings.Cut(dotted, ".")
	return head
}

// importValue is what "import a.b" binds: a, or a.b with "as".
func (m *module) importValue(dotted string, as bool) pyeval.Value {
	dotted = stripBlanks(dotted)
	if !as {
		dotted = topOf(dotted)
	}
	v := m.w.importDotted(dotted, m.base)
	if _, missing := v.(pyeval.Missing); missing {
		return pyeval.Unknown{Why: "module " + dotted + " is not found"}
	}
	return v
}

func stripBlanks(s string) string {
	if strings.ContainsAny(s, " \t\\\r\n") {
		return strings.Map(func(r rune) rune {
			if strings.ContainsRune(" \t\\\r\n", r) {
				return -1
			}
			return r
		}, s)
	}
	return s
}

// absolute returns the dotted name that a FromImport statement reads from.
func (m *module) absolute(stmt uint32) string {
	return m.absoluteOf(m.src.A(stmt), int(m.src.Stmts[stmt].Level))
}

func (m *module) absoluteOf(name string, level int) string {
	name = stripBlanks(name)
	if level == 0 {
		return name
	}
	pkg := m.pkg
	for range level - 1 {
		i := strings.LastIndexByte(pkg, '.')
		if i < 0 {
			pkg = ""
			break
		}
		pkg = pkg[:i]
	}
	switch {
	case pkg == "":
		return name
	case name == "":
		return pkg
	}
	return pkg + "." + name
}

// fromValue is what "from m import name" binds.
func (m *module) fromValue(stmt uint32, name string) pyeval.Value {
	name = pyexpr.Identifier(name)
	v := m.w.importDotted(m.absolute(stmt), m.base)
	o, ok := v.(pyeval.Object)
	if !ok {
		return pyeval.Unknown{Why: "module " + m.absolute(stmt)}
	}
	v = o.Attr(name)
	if _, missing := v.(pyeval.Missing); missing {
		return pyeval.Unknown{Why: name + " is not in " + m.absolute(stmt)}
	}
	return v
}

// imports executes an import statement.
func (s *scope) imports(i uint32, maybe bool) bool {
	m := s.mod
	st := &m.src.Stmts[i]
	for a := i + 1; a < st.Next; a = m.src.Stmts[a].Next {
		if m.src.Stmts[a].Kind != pysrc.Alias {
			continue
		}
		name, as := m.src.A(a), m.src.B(a)
		b := binding{kind: bindImport, stmt: i, alias: a, maybe: maybe}
		switch {
		case st.Kind == pysrc.Import:
			if m.w.missing(stripBlanks(name), m.base) {
				return s.end(i, raises, maybe)
			}
			if as == "" {
				as = topOf(stripBlanks(name))
			}
		case name == "*":
			if !s.star(i, maybe) {
				return s.end(i, raises, maybe)
			}
			continue
		default:
			b.kind = bindFrom
			from := m.absolute(i)
			if m.w.missing(from, m.base) || s.lacks(from, name, m.base) {
				return s.end(i, raises, maybe)
			}
			if as == "" {
				as = name
			}
		}
		s.bind(pyexpr.Identifier(as), b)
	}
	return true
}

// whyEnds says what ends the import of a file, none of whose tests pytest
// collects then.
func (m *module) whyEnds() string {
	st := m.src.Stmts[m.scope.last]
	for a := m.scope.last + 1; a < st.Next; a = m.src.Stmts[a].Next {
		if m.src.Stmts[a].Kind != pysrc.Alias {
			continue
		}
		name := stripBlanks(m.src.A(a))
		if st.Kind != pysrc.Import {
			name = m.absolute(m.scope.last)
		}
		if m.w.missing(name, m.base) {
			return "the file cannot be imported: there is no module " + name
		}
	}
	return "the file cannot be imported: this line raises"
}

// missing reports whether importing a module surely fails.
func (w *world) missing(dotted, first string) bool {
	if w.env.Stdlib == "" || dotted == "" {
		return false
	}
	return w.res.Find(dotted, first).Kind == resolve.NotFound && (!isLibrary(dotted) || w.res.Find(topOf(dotted), first).Kind == resolve.NotFound)
}

// lacks reports whether "from module import name" surely fails. Only modules
// of the standard library and such as are read already are asked: the answer
// for others costs reading them, and is no in practice.
func (s *scope) lacks(dotted, name, first string) bool {
	t := s.mod.w.res.Find(dotted, first)
	if t.Kind != resolve.Source || !t.Stdlib || t.Package || isLibrary(dotted) {
		return false
	}
	v, ok := s.mod.w.importDotted(dotted, first).(moduleValue)
	if !ok || v.m.built != built {
		return false
	}
	_, missing := v.m.attr(name).(pyeval.Missing)
	return missing
}

// star binds the public names of a module.
func (s *scope) star(i uint32, maybe bool) bool {
	m := s.mod
	dotted := m.absolute(i)
	v := m.w.importDotted(dotted, m.base)
	switch v := v.(type) {
	case moduleValue:
		if v.m.built != built {
			s.open = true
			return true
		}
		names, ok := v.m.public()
		if !ok {
			s.open = true
		}
		for _, name := range names {
			s.bind(name, binding{kind: bindStar, stmt: i, from: v.m, maybe: maybe})
		}
		return true
	case pyeval.Missing:
		return false
	case *symbol:
		if v.closed() {
			for _, name := range v.names() {
				s.bind(name, binding{kind: bindStar, stmt: i, from: nil, maybe: maybe, value: v.Attr(name)})
			}
			return true
		}
	}
	s.open = true
	return true
}

// public returns the names that a star import takes, and whether they are all.
func (m *module) public() ([]string, bool) {
	if v, ok := m.scope.at("__all__", always); ok {
		items, known := pyeval.Iterate(v)
		var out []string
		for _, x := range items {
			s, ok := x.(pyeval.Str)
			known = known && ok
			out = append(out, string(s))
		}
		return out, known
	}
	var out []string
	for _, e := range m.scope.entries {
		if !strings.HasPrefix(e.name, "_") {
			out = append(out, e.name)
		}
	}
	return out, !m.scope.open
}

// importOrSkip executes a call of pytest.importorskip with a literal name.
func (s *scope) importOrSkip(i uint32, maybe bool) bool {
	m := s.mod
	args, err := pyexpr.ParseArgs(m.src.B(i))
	if err != nil || len(args) == 0 || args[0].Kind != pyexpr.Str || s.class != nil {
		s.doubt = s.doubt || !maybe
		return true
	}
	dotted := args[0].Text
	if m.w.missing(dotted, m.base) {
		return s.end(i, skips, maybe)
	}
	if len(args) > 1 && (args[1].Kind != pyexpr.Keyword || args[1].Text == "minversion") {
		s.doubt = true // a minimal version: which is installed is the module's to say
	}
	return true
}
