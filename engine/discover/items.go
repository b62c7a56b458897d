package discover

import (
	"path"
	"sort"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/pyexpr"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// collector gathers the items of one module or class.
type collector struct {
	w      *world
	m      *module // the module that is collected
	id     string  // of the module or class
	node   *pytest.Node
	chain  *chain
	class  *class   // nil at module level
	marks  [][]mark // of the classes and the module, the nearest first
	doubt  pytest.Reason
	hooks  hooks
	groups []group
}

// group is what one name of a namespace yields.
type group struct {
	path string
	row  uint32
	out  []*pytest.Item
}

// moduleItems lists the tests of a module. node is the parent of its own.
func (w *world) moduleItems(m *module, id string, node *pytest.Node, ch *chain, h hooks) []*pytest.Item {
	m.build()
	if m.scope.stop == skips {
		return nil
	}
	if v, ok := m.scope.at("__test__", always); ok {
		if t, known := pyeval.Truth(v); known && !t && !w.unittest {
			return nil
		}
	}
	name := id[strings.LastIndexByte(id, '/')+1:]
	c := &collector{w: w, m: m, id: id, chain: w.link(ch, m.fixturesOf()), hooks: h}
	c.node = &pytest.Node{Parent: node, Name: name}
	own, reason := w.marksOf(m.scope)
	c.doubt = reason
	c.marks = [][]mark{own}
	c.node.Marks = plainMarks(own)
	if m.scope.doubt {
		c.doubt = pytest.Conditional
	}
	if m.scope.index["pytest_generate_tests"] != nil {
		c.hooks.generate = true
	}
	for _, e := range m.scope.entries {
		c.entry(m.scope, e)
	}
	return c.items()
}

// items returns the groups in pytest's order: until 6.2 by file and line, but
// for the methods of a TestCase.
func (c *collector) items() []*pytest.Item {
	gs := c.groups
	if !c.w.version.AtLeast(7, 0) && (c.class == nil || !c.class.isTestCase()) {
		sort.SliceStable(gs, func(i, j int) bool {
			if gs[i].path != gs[j].path {
				return gs[i].path < gs[j].path
			}
			return gs[i].row < gs[j].row
		})
	}
	var out []*pytest.Item
	for _, g := range gs {
		out = append(out, g.out...)
	}
	return out
}

// marksOf returns the pytestmark of a module or class, as it applies.
func (w *world) marksOf(s *scope) ([]mark, pytest.Reason) {
	v, ok := s.at("pytestmark", always)
	if !ok {
		return nil, pytest.Exact
	}
	return toMarks(v)
}

func toMarks(v pyeval.Value) ([]mark, pytest.Reason) {
	items := []pyeval.Value{v}
	if l, ok := pyeval.Iterate(v); ok {
		items = l
	}
	var out []mark
	reason := pytest.Exact
	for _, x := range items {
		switch x := x.(type) {
		case mark:
			out = append(out, x)
		case *symbol:
			if name, ok := x.markName(); ok {
				out = append(out, mark{name: name})
				continue
			}
			reason = pytest.Values
		default:
			reason = pytest.Values
		}
	}
	return out, reason
}

// plainMarks are marks as -m and -k see them. Like everything in a Suite they
// own their text: that of a module may be mapped memory that goes away.
func plainMarks(ms []mark) []pytest.Mark {
	var out []pytest.Mark
	for _, m := range ms {
		pm := pytest.Mark{Name: strings.Clone(m.name)}
		for k, v := range m.kwargs {
			if pm.Kwargs == nil {
				pm.Kwargs = map[string]any{}
			}
			switch v := v.(type) {
			case pyeval.Str:
				pm.Kwargs[strings.Clone(k)] = strings.Clone(string(v))
			case pyeval.Int:
				pm.Kwargs[strings.Clone(k)] = int64(v)
			case pyeval.Bool:
				pm.Kwargs[strings.Clone(k)] = bool(v)
			case pyeval.None:
				pm.Kwargs[strings.Clone(k)] = nil
			}
		}
		out = append(out, pm)
	}
	return out
}

// ignored are names that pytest does not look at: attributes of every module,
// class and instance.
func ignored(name string) bool {
	return strings.HasPrefix(name, "__") && strings.HasSuffix(name, "__")
}

// mayBeTest reports whether a name can be that of a test or test class, for
// unittest or by the configuration.
func (w *world) mayBeTest(name string) bool {
	return strings.HasPrefix(name, "test") || matches(w.cfg.PythonFunctions, name) || matches(w.cfg.PythonClasses, name)
}

// matches is _matches_prefix_or_glob_option.
func matches(patterns []string, name string) bool {
	for _, p := range patterns {
		if strings.HasPrefix(name, p) {
			return true
		}
		if strings.ContainsAny(p, "*?[") && Fnmatch(p, name) {
			return true
		}
	}
	return false
}

// Fnmatch is Python's fnmatch on POSIX: "*" takes "/" too.
func Fnmatch(pattern, name string) bool {
	p, s := pattern, name
	for p != "" {
		switch p[0] {
		case '*':
			for p != "" && p[0] == '*' {
				p = p[1:]
			}
			if p == "" {
				return true
			}
			for i := 0; i <= len(s); i++ {
				if Fnmatch(p, s[i:]) {
					return true
				}
			}
			return false
		case '[':
			e := strings.IndexByte(p[min(2, len(p)):], ']')
			if e < 0 {
				break
			}
			e += 2
			if s == "" {
				return false
			}
			class := p[:e+1]
			if strings.HasPrefix(class, "[!") {
				class = "[^" + class[2:]
			}
			ok, err := path.Match(strings.ReplaceAll(class, `\`, `\\`), s[:1])
			if err != nil || !ok {
				return false
			}
			p, s = p[e+1:], s[1:]
			continue
		case '?':
			if s == "" {
				return false
			}
			p, s = p[1:], s[1:]
			continue
		}
		if s == "" || s[0] != p[0] {
			return false
		}
		p, s = p[1:], s[1:]
	}
	return s == ""
}

// entry adds the tests that a name of scope s stands for.
func (c *collector) entry(s *scope, e *entry) {
	if ignored(e.name) {
		return
	}
	b := &e.binds[len(e.binds)-1]
	if b.kind == bindDel && !b.maybe {
		return
	}
	for i := len(e.binds) - 1; b.kind == bindDel && i > 0; i-- {
		b = &e.binds[i-1] // a del that may not be reached
	}
	reason := c.doubt
	if !surely(e) {
		reason = pytest.Conditional
	}
	if s.class != nil && s.doubt {
		reason = pytest.Conditional
	}
	m := s.mod.src
	isFunc := matches(c.w.cfg.PythonFunctions, e.name)
	isClass := matches(c.w.cfg.PythonClasses, e.name)
	switch b.kind {
	case bindDef:
		if isFunc || s.mod.attrs[b.stmt] != nil {
			c.function(e.name, &function{s, b.stmt, e.name}, isFunc, reason)
		}
	case bindClass:
		decorated := int(b.stmt)+1 < len(m.Stmts) && m.Stmts[b.stmt+1].Kind == pysrc.Decorator
		if isClass || m.Stmts[b.stmt].B.Len > 0 || s.mod.attrs[b.stmt] != nil || decorated || hasTestAttr(m, b.stmt) {
			c.value(s, e, s.value(e, len(e.binds)-1), isFunc, isClass, reason)
		}
	case bindFrom:
		if c.w.standard(s.mod, b) || !c.w.cfg.CollectImported && s.class == nil {
			return
		}
		c.value(s, e, s.value(e, len(e.binds)-1), isFunc, isClass, reason)
	case bindStar:
		if b.from != nil && c.w.cfg.CollectImported {
			c.value(s, e, s.value(e, len(e.binds)-1), isFunc, isClass, reason)
		}
	case bindAssign:
		if isFunc || isClass || isName(m.B(b.stmt)) {
			c.value(s, e, s.value(e, len(e.binds)-1), isFunc, isClass, reason)
		}
	case bindMade:
		if isFunc || isClass || s.class != nil {
			c.value(s, e, b.value, isFunc, isClass, reason)
		}
	case bindUnknown, bindAug, bindChange:
		if isFunc && (s.class == nil || b.kind == bindUnknown) {
			c.bare(e.name, s, b.stmt, pytest.Conditional)
		}
	}
}

func hasTestAttr(m *pysrc.Module, stmt uint32) bool {
	for i := stmt + 1; i < m.Stmts[stmt].Next; i = m.Stmts[i].Next {
		if m.Stmts[i].Kind == pysrc.Assign && m.A(i) == "__test__" {
			return true
		}
	}
	return false
}

// surely reports whether a name is bound for certain: by a binding that is
// reached, or by each branch of one choice.
func surely(e *entry) bool {
	for i := len(e.binds) - 1; i >= 0; i-- {
		b := &e.binds[i]
		if b.kind == bindDel {
			return false
		}
		if !b.maybe {
			return true
		}
	}
	return false
}

// value adds the tests of a value that a name is bound to.
func (c *collector) value(s *scope, e *entry, v pyeval.Value, isFunc, isClass bool, reason pytest.Reason) {
	b := &e.binds[len(e.binds)-1]
	switch v := v.(type) {
	case *function:
		c.function(e.name, v, isFunc, reason)
	case marked:
		c.value(s, e, v.of, isFunc, isClass, pytest.Decorated)
	case decorated: // function reads the decorators again
		c.function(e.name, v.fn, isFunc, reason)
	case *class:
		c.classItems(e.name, v, isClass, reason)
	case decoratedClass:
		c.classItems(e.name, v.c, isClass, pytest.DynamicClass)
	case *closure:
		if isFunc {
			c.addMade(e.name, s.mod, b.stmt, v, reason)
		}
	case fixtureValue, pyeval.Missing:
	case pyeval.Unknown:
		switch {
		case isFunc:
			c.bare(e.name, s, b.stmt, pytest.Conditional)
		case isClass && b.kind != bindFrom:
			s.mod.gap(b.stmt, e.name+": a class made by a call; its tests are known only at run time")
		}
	case pyeval.Object:
		// a lambda, a partial, an instance that can be called
		if isFunc && s.class == nil && v.PyName() == "<lambda>" {
			c.add(e.name, s.mod, b.stmt, nil, reason)
		} else if isFunc && b.kind == bindAssign {
			c.bare(e.name, s, b.stmt, pytest.Conditional)
		}
	}
}

// addMade adds a test that code made.
func (c *collector) addMade(name string, m *module, stmt uint32, v *closure, reason pytest.Reason) {
	it := c.add(name, m, stmt, nil, reason)
	it.Source, it.Line, it.Head, it.EndLine, it.Col = v.c.mod.path, v.c.row+1, v.c.row+1, v.c.row+1, 0
}

// testFunction is what the decorators of a function say.
type testFunction struct {
	marks    []mark // the nearest to the def first
	reason   pytest.Reason
	static   bool
	method   bool // a classmethod
	patches  int  // arguments that mock.patch fills
	filled   map[string]bool
	dropLast int // positional arguments that hypothesis fills
	fixture  bool
	none     bool // no longer a function that is collected
}

// transparent are decorators that leave a test a test of the same name and
// arguments.
var transparent = words(`unittest.skip unittest.skipIf unittest.skipUnless unittest.expectedFailure unittest.case.skip unittest.case.skipIf
	unittest.case.skipUnless unittest.case.expectedFailure functools.lru_cache functools.cache functools.wraps typing.no_type_check
	typing.final freezegun.freeze_time hypothesis.given hypothesis.settings hypothesis.example hypothesis.seed hypothesis.reproduce_failure
	typing.cast contextlib.contextmanager abc.abstractmethod typing.override typing_extensions.override warnings.deprecated
	unittest.mock.patch mock.patch unittest.mock.patch.object mock.patch.object unittest.mock.patch.dict mock.patch.dict
	unittest.mock.patch.multiple mock.patch.multiple asyncio.coroutine`)

// read evaluates the decorators of a def.
func (c *collector) read(f *function) (t testFunction) {
	m := f.s.mod.src
	ds, _ := m.Decorators(f.stmt)
	view := f.s.view(f.stmt)
	for k := len(ds) - 1; k >= 0; k-- {
		n, err := c.w.parse(m.A(ds[k]))
		if err != nil {
			t.reason = pytest.Decorated
			continue
		}
		callee := n
		if n.Kind == pyexpr.Call {
			callee = n.Kids[0]
		}
		if sym, ok := view.eval(callee).(*symbol); ok && transparent[sym.path] {
			t.transparent(sym.path, n)
			continue
		}
		switch d := view.eval(n).(type) {
		case mark:
			t.marks = append(t.marks, d)
		case fixtureDecorator:
			t.fixture = true
		case *symbol:
			if name, ok := d.markName(); ok {
				t.marks = append(t.marks, mark{name: name})
			} else if d.path == "pytest.fixture" {
				t.fixture = true
			} else {
				t.reason = pytest.Decorated
			}
		case pyeval.Object:
			switch d.PyName() {
			case "staticmethod":
				t.static = true
			case "classmethod":
				t.method = true
			case "property":
				t.none = true
			default:
				t.reason = pytest.Decorated
			}
		default:
			t.reason = pytest.Decorated
		}
	}
	return t
}

// transparent notes what a known decorator does to the arguments.
func (t *testFunction) transparent(path string, n *pyexpr.Node) {
	last := path[strings.LastIndex(path, ".")+1:]
	positional, keywords, _ := pyexpr.Args(n.Kids[min(1, len(n.Kids)):])
	switch {
	case n.Kind != pyexpr.Call:
	case last == "given":
		if t.filled == nil {
			t.filled = map[string]bool{}
		}
		for k := range keywords {
			t.filled[k] = true
		}
		t.dropLast += len(positional)
	case last == "patch" && len(positional) == 1 && keywords["new"] == nil && keywords["new_callable"] == nil,
		last == "object" && len(positional) == 2 && keywords["new"] == nil && keywords["new_callable"] == nil:
		t.patches++
	}
}

// function adds the items of one test function.
func (c *collector) function(name string, f *function, isFunc bool, reason pytest.Reason) {
	m := f.s.mod.src
	if v, ok := f.s.mod.attrValue(f.stmt, "__test__"); ok {
		t, known := pyeval.Truth(v)
		switch {
		case known && !t:
			return
		case known:
			isFunc = true
		default:
			reason = pytest.Conditional
		}
	}
	if !isFunc {
		return
	}
	var t testFunction
	if i := f.stmt + 1; i < m.End() && m.Stmts[i].Kind == pysrc.Decorator {
		t = c.read(f)
	}
	if t.fixture || t.none {
		return
	}
	if t.method && !c.w.version.AtLeast(7, 3) {
		return
	}
	if c.class != nil && c.class.isTestCase() {
		c.add(name, f.s.mod, f.stmt, t.marks, unless(reason, conditional(reason)))
		return
	}
	if t.reason != pytest.Exact && reason == pytest.Exact {
		reason = t.reason
	}
	c.parametrize(name, f, t, reason)
}

func conditional(r pytest.Reason) bool { return r == pytest.Conditional || r == pytest.DynamicClass }

// unless keeps a reason that keep holds for: a TestCase's methods have no
// cases, so that only their existence can be in doubt.
func unless(r pytest.Reason, keep bool) pytest.Reason {
	if keep {
		return r
	}
	return pytest.Exact
}

// bare adds a name of which only running can tell what it is.
func (c *collector) bare(name string, s *scope, stmt uint32, reason pytest.Reason) {
	c.add(name, s.mod, stmt, nil, reason)
}

// add appends one item without cases.
func (c *collector) add(name string, m *module, stmt uint32, marks []mark, reason pytest.Reason) *pytest.Item {
	st := &m.src.Stmts[stmt]
	end := st.EndRow
	if st.Kind != pysrc.Def {
		end = st.Row
	}
	it := &pytest.Item{
		ID: c.id + "::" + name, Reason: reason, Path: c.m.path, Source: m.path,
		Line: st.Row + 1, Head: st.Head + 1, EndLine: end + 1, Col: st.Col,
		Node: &pytest.Node{Parent: c.node, Name: strings.Clone(name), Marks: plainMarks(marks)},
	}
	if reason == pytest.Exact && c.hooks.modify {
		it.Reason = pytest.ModifyItems
	}
	if reason == pytest.Exact && c.hooks.collector {
		it.Reason = pytest.Collector
	}
	for attr := range m.attrs[stmt] {
		it.Node.Extra = append(it.Node.Extra, strings.Clone(attr))
	}
	c.groups = append(c.groups, group{m.path, st.Row, []*pytest.Item{it}})
	return it
}
