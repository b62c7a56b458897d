package discover

import (
	"slices"
	"sort"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/pyexpr"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// fixtureDef is one fixture.
type fixtureDef struct {
	name    string
	args    []string
	params  pyeval.Value // nil: not parametrized
	ids     pyeval.Value // nil: none given
	scope   pytest.Scope
	autouse bool
	reason  pytest.Reason // what about it is not known
	fn      *function     // nil when it is not seen
}

// fixtureSet holds the fixtures that one holder (plugin, conftest, module,
// class) defines, by name.
type fixtureSet struct {
	defs    map[string]*fixtureDef
	autouse []string
	// opaque holds what may be a fixture that other code makes, unread: only
	// a test that asks for such a name pays for its evaluation.
	opaque map[string]*entry
	scope  *scope
	method bool
}

// def returns the fixture of a name, nil when there is none.
func (f *fixtureSet) def(name string) *fixtureDef {
	if d := f.defs[name]; d != nil {
		return d
	}
	e := f.opaque[name]
	if e == nil {
		return nil
	}
	s := f.scope
	switch v := s.value(e, len(e.binds)-1).(type) {
	case fixtureValue:
		if d := s.mod.w.fixtureDef(name, v, f.method); d.name == name {
			f.defs[name] = d
		}
	case pyeval.Unknown, decorated, *symbol:
		f.defs[name] = &fixtureDef{name: name, reason: pytest.Decorated}
	default:
		delete(f.opaque, name)
	}
	return f.defs[name]
}

// hides reports whether fixtures may be in the set under names that are not
// seen.
func (f *fixtureSet) hides() bool {
	if f.scope.open {
		return true
	}
	for _, e := range f.opaque {
		switch f.scope.value(e, len(e.binds)-1).(type) {
		case fixtureValue, pyeval.Unknown, decorated:
			return true
		}
	}
	return false
}

// chain is what a test sees: sets from the least to the most specific.
type chain struct {
	up    *chain
	set   *fixtureSet
	plain map[string]bool // names whose closure surely holds no parametrized fixture
	auto  []string        // names used without asking, of this set and those above
	known bool
}

func (w *world) link(up *chain, set *fixtureSet) *chain {
	if set == nil || len(set.defs) == 0 && len(set.opaque) == 0 && !set.scope.open {
		return up
	}
	c := &chain{up: up, set: set, plain: map[string]bool{}}
	if up != nil {
		c.auto = append(c.auto, up.auto...)
	}
	c.auto = append(c.auto, set.autouse...)
	return c
}

// find returns the definitions of a fixture, the most specific first.
func (c *chain) find(name string) []*fixtureDef {
	var out []*fixtureDef
	for ; c != nil; c = c.up {
		if d := c.set.def(name); d != nil {
			out = append(out, d)
		}
	}
	return out
}

// hides reports whether a fixture that is not found may be there all the same.
func (c *chain) hides() bool {
	for ; c != nil; c = c.up {
		if c.set.hides() {
			return true
		}
	}
	return false
}

// parametrized reports whether asking for a fixture may bring parameters, by
// itself or by what it asks for.
func (c *chain) parametrized(name string, busy map[string]bool) bool {
	if c == nil {
		return false
	}
	if plain, ok := c.plain[name]; ok {
		return !plain
	}
	if busy[name] {
		return false
	}
	if busy == nil {
		busy = map[string]bool{}
	}
	busy[name] = true
	found := false
	for _, d := range c.find(name) {
		if d.params != nil || d.reason != pytest.Exact {
			found = true
			break
		}
		for _, a := range d.args {
			if a != name && c.parametrized(a, busy) {
				found = true
				break
			}
		}
	}
	delete(busy, name)
	if len(busy) == 0 {
		c.plain[name] = !found
	}
	return found
}

// fixturesOf returns the fixtures that a module defines or imports.
func (m *module) fixturesOf() *fixtureSet {
	if m.fixtures != nil {
		return m.fixtures
	}
	m.build()
	set := &fixtureSet{defs: map[string]*fixtureDef{}, scope: m.scope}
	m.fixtures = set
	for _, e := range m.scope.sorted() {
		m.w.addFixture(set, m.scope, e, false)
	}
	return set
}

// sorted returns the entries by name: fixtures are found with dir().
func (s *scope) sorted() []*entry {
	es := slices.Clone(s.entries)
	sort.Slice(es, func(i, j int) bool { return es[i].name < es[j].name })
	return es
}

// addFixture adds what a name is bound to when that is a fixture.
func (w *world) addFixture(set *fixtureSet, s *scope, e *entry, method bool) {
	b := &e.binds[len(e.binds)-1]
	m := s.mod.src
	switch b.kind {
	case bindDef:
		if ds, _ := m.Decorators(b.stmt); !mayBeFixture(m, ds) {
			return
		}
	case bindFrom:
		if w.standard(s.mod, b) {
			return
		}
	case bindAssign:
		t := m.B(b.stmt)
		if !strings.Contains(t, "fixture") && strings.Contains(t, "(") {
			set.mayHold(s, e)
			return
		}
		if !strings.Contains(t, "fixture") && !isName(t) && !strings.Contains(t, ".") {
			return
		}
	case bindStar:
	default:
		return
	}
	v := s.value(e, len(e.binds)-1)
	f, ok := v.(fixtureValue)
	if !ok {
		d, is := v.(decorated)
		if is && !d.hasFixture() {
			set.mayHold(s, e)
		}
		if !is || !d.hasFixture() {
			return
		}
		f = fixtureValue{fn: d.fn}
	}
	def := w.fixtureDef(e.name, f, method)
	if !ok {
		def.reason = pytest.Decorated
	}
	if b.maybe && def.params != nil {
		def.reason = pytest.Conditional
	}
	set.defs[def.name] = def
	if def.autouse {
		set.autouse = append(set.autouse, def.name)
	}
}

// mayHold notes what a name is bound to as something that may be a fixture.
// An inherited class attribute is not followed.
func (f *fixtureSet) mayHold(s *scope, e *entry) {
	if s != f.scope {
		return
	}
	if f.opaque == nil {
		f.opaque = map[string]*entry{}
	}
	f.opaque[e.name] = e
}

// mayBeFixture reports whether one of the decorators can be pytest.fixture:
// most of them cannot by their text.
func mayBeFixture(m *pysrc.Module, ds []uint32) bool {
	for _, d := range ds {
		plain := false
		text := m.A(d)
		for _, p := range [...]string{"pytest.mark.", "mock.", "unittest.", "staticmethod", "classmethod", "property", "functools.", "contextlib.", "support.", "abc.", "typing."} {
			plain = plain || strings.HasPrefix(text, p)
		}
		if !plain {
			return true
		}
	}
	return false
}

// standard reports whether an import takes from the standard library, which
// has no fixtures and no tests.
func (w *world) standard(m *module, b *binding) bool {
	dotted := m.absolute(b.stmt)
	return isLibrary(dotted) || w.res.Find(dotted, m.base).Stdlib
}

// hasFixture reports whether a decorator below the one that is not understood
// makes a fixture.
func (d decorated) hasFixture() bool {
	m := d.fn.s.mod.src
	ds, _ := m.Decorators(d.fn.stmt)
	for _, i := range ds {
		if strings.Contains(m.A(i), "fixture") {
			return true
		}
	}
	return false
}

func (w *world) fixtureDef(name string, f fixtureValue, method bool) *fixtureDef {
	d := &fixtureDef{name: name, fn: f.fn}
	for k, v := range f.decorator.kwargs {
		switch k {
		case "params":
			if _, none := v.(pyeval.None); !none {
				d.params = v
			}
		case "ids":
			if _, none := v.(pyeval.None); !none {
				d.ids = v
			}
		case "name":
			if s, ok := v.(pyeval.Str); ok {
				d.name = string(s)
			} else if _, none := v.(pyeval.None); !none {
				d.reason = pytest.Values
			}
		case "scope":
			s, _ := v.(pyeval.Str)
			scope, ok := pytest.ParseScope(string(s))
			if !ok {
				d.reason = pytest.Values
			}
			d.scope = scope
		case "autouse":
			t, ok := pyeval.Truth(v)
			d.autouse = t || !ok
		}
	}
	if f.fn != nil {
		d.args = argNames(f.fn.s.mod.src, f.fn.stmt, method || f.fn.s.class != nil)
	}
	return d
}

// argNames are the parameters that pytest fills: without a default, behind
// self (_pytest/compat.py getfuncargnames).
func argNames(m *pysrc.Module, stmt uint32, method bool) []string {
	text := m.B(stmt)
	if text == "" || method && (text == "self" || text == "cls") {
		return nil
	}
	if !strings.ContainsAny(text, "=*/:(#\\\"'") {
		// the plain shape: names and commas
		var out []string
		for _, p := range strings.Split(text, ",") {
			if p = strings.TrimSpace(p); p != "" {
				out = append(out, pyexpr.Identifier(p))
			}
		}
		if method && len(out) > 0 {
			out = out[1:]
		}
		return out
	}
	params, err := pyexpr.ParseParams(text)
	if err != nil {
		return nil
	}
	var out []string
	first := method
	for _, p := range params {
		if first && (p.Kind == pyexpr.PositionalOnly || p.Kind == pyexpr.PositionalOrKeyword) {
			first = false
			continue
		}
		if !p.Default && (p.Kind == pyexpr.PositionalOrKeyword || p.Kind == pyexpr.KeywordOnly) {
			out = append(out, p.Name)
		}
	}
	return out
}

// fixturesOf returns the fixtures of a class, inherited ones too.
func (c *class) fixturesOf() *fixtureSet {
	c.resolve()
	set := &fixtureSet{defs: map[string]*fixtureDef{}, scope: c.scope, method: true}
	byName := map[string]*class{}
	var names []string
	for _, b := range c.linear {
		k, ok := b.(*class)
		if !ok {
			continue
		}
		for _, e := range k.scope.entries {
			if byName[e.name] == nil {
				byName[e.name] = k
				names = append(names, e.name)
			}
		}
	}
	sort.Strings(names)
	for _, n := range names {
		k := byName[n]
		c.mod.w.addFixture(set, k.scope, k.scope.index[n], true)
	}
	return set
}

// closure returns the names of the fixtures that a test needs, in the order
// of its pytest version, with their definitions (the most specific first).
func (w *world) closure(c *chain, initial []string, direct map[string]bool) ([]string, map[string][]*fixtureDef) {
	defs := map[string][]*fixtureDef{}
	lookup := func(name string) []*fixtureDef {
		if direct[name] {
			return nil
		}
		d, ok := defs[name]
		if !ok {
			if d = c.find(name); len(d) > 0 {
				defs[name] = d
			}
		}
		return d
	}
	var names []string
	if w.version.AtLeast(9, 0) {
		names = w.depthFirst(initial, lookup)
	} else {
		names = breadthFirst(dedup(initial), lookup)
	}
	sort.SliceStable(names, func(i, j int) bool { return scopeOf(defs[names[i]]) > scopeOf(defs[names[j]]) })
	return names, defs
}

func scopeOf(d []*fixtureDef) pytest.Scope {
	if len(d) == 0 {
		return pytest.FunctionScope
	}
	return d[0].scope
}

// breadthFirst is getfixtureclosure until pytest 8: passes over the growing
// list, each appending what its fixtures ask for.
func breadthFirst(names []string, lookup func(string) []*fixtureDef) []string {
	for last := -1; last != len(names); {
		last = len(names)
		for i := 0; i < last; i++ {
			if d := lookup(names[i]); len(d) > 0 {
				for _, a := range d[0].args {
					if !slices.Contains(names, a) {
						names = append(names, a)
					}
				}
			}
		}
	}
	return names
}

// depthFirst is getfixtureclosure since 9.0, with override chains. In 9.0
// all initial names stay in front; since 9.1 each is followed by its own.
func (w *world) depthFirst(initial []string, lookup func(string) []*fixtureDef) []string {
	var out []string
	index := map[string]int{} // how far down its override chain a name is
	var visit func(name string)
	visit = func(name string) {
		i, ok := index[name]
		if ok && i == 0 {
			return
		}
		if !ok {
			if !slices.Contains(out, name) {
				out = append(out, name)
			}
			index[name] = 0
		}
		d := lookup(name)
		i = index[name]
		if i >= len(d) {
			return
		}
		index[name] = i + 1
		for _, a := range d[i].args {
			visit(a)
		}
		index[name] = i
	}
	if !w.version.AtLeast(9, 1) {
		out = dedup(initial)
	}
	for _, n := range initial {
		visit(n)
	}
	return out
}

func dedup(names []string) []string {
	var out []string
	for _, n := range names {
		if !slices.Contains(out, n) {
			out = append(out, n)
		}
	}
	return out
}
