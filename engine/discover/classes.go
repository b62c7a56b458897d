package discover

import (
	"slices"
	"sort"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/pyexpr"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// Tests of classes.

// classItems adds the tests of a class.
func (c *collector) classItems(name string, k *class, isClass bool, reason pytest.Reason) {
	k.resolve()
	testCase := k.isTestCase()
	if testCase && slices.Contains(c.w.cfg.Plugins, "no:unittest") {
		return // an __init__ like any other
	}
	if v, _, ok := k.find("__test__"); ok {
		t, known := pyeval.Truth(v)
		switch {
		case known && !t:
			if !c.w.unittest {
				return
			}
		case known:
			isClass = true
		default:
			reason = pytest.Conditional
		}
	}
	if !testCase && !isClass {
		if !k.known && hasTests(k, c.w.cfg.PythonFunctions) {
			// a base that is not found: perhaps a TestCase
			reason = pytest.Conditional
		} else {
			return
		}
	}
	if k.abstract() && c.w.version.AtLeast(8, 3) {
		return
	}
	if !testCase {
		for _, special := range [...]string{"__init__", "__new__"} {
			if _, owner, ok := k.find(special); ok && owner != nil {
				return
			}
		}
		for _, b := range k.linear {
			if p, ok := b.(*class); ok && p.generatesInit() {
				return
			}
			if s, ok := b.(*symbol); ok && libraryInit[s.path] {
				return
			}
			if s, ok := b.(builtinClass); ok && s != "object" {
				return // Exception, dict and the others have an __init__ or __new__
			}
		}
	}
	if !k.known && reason == pytest.Exact {
		reason = pytest.Unresolved
	}
	if k.meta != nil && !k.isABCMeta() && !k.metaKnown && reason == pytest.Exact {
		reason = pytest.DynamicClass
	}
	sub := &collector{w: c.w, m: c.m, id: c.id + "::" + name, class: k, hooks: c.hooks, doubt: reason}
	sub.chain = c.w.link(c.chain, k.fixturesOf())
	own, markReason := c.w.classMarks(k)
	if markReason != pytest.Exact && sub.doubt == pytest.Exact {
		sub.doubt = markReason
	}
	sub.marks = append([][]mark{own}, c.marks...)
	sub.node = &pytest.Node{Parent: c.node, Name: strings.Clone(name), Marks: plainMarks(own)}
	if _, _, ok := k.find("pytest_generate_tests"); ok {
		sub.hooks.generate = true
	}
	if testCase {
		sub.testCase()
	} else {
		sub.methods()
	}
	if k.meta != nil && !k.isABCMeta() && !k.metaKnown || k.scope.open {
		c.m.gap(k.stmt, name+": its metaclass may add tests that are known only at run time")
	}
	st := &k.mod.src.Stmts[k.stmt]
	items := sub.items()
	if c.w.unittest && c.class == nil && (testCase || !k.known) {
		c.w.note(items)
	}
	c.groups = append(c.groups, group{k.mod.path, st.Row, items})
}

// generatesInit reports whether a class decorator writes an __init__.
func (c *class) generatesInit() bool {
	decorators, _ := c.mod.src.Decorators(c.stmt)
	for _, d := range decorators {
		n, err := c.mod.w.parse(c.mod.src.A(d))
		if err != nil {
			continue
		}
		var keywords map[string]*pyexpr.Node
		if n.Kind == pyexpr.Call {
			_, keywords, _ = pyexpr.Args(n.Kids[1:])
			n = n.Kids[0]
		}
		if s, ok := c.outer.view(c.stmt).eval(n).(*symbol); ok && s.path == "dataclasses.dataclass" {
			init := keywords["init"]
			return init == nil || init.Text != "False"
		}
	}
	return false
}

// libraryInit are classes of the library with an __init__ or __new__.
var libraryInit = words(`typing.NamedTuple typing.Protocol typing_extensions.Protocol typing.TypedDict enum.Enum enum.IntEnum enum.Flag
	enum.IntFlag enum.StrEnum threading.Thread io.StringIO io.BytesIO json.JSONEncoder json.JSONDecoder`)

func hasTests(k *class, patterns []string) bool {
	for _, e := range k.scope.entries {
		if matches(patterns, e.name) && e.binds[len(e.binds)-1].kind == bindDef {
			return true
		}
	}
	return false
}

// classMarks are the marks of a class: its own and its bases', in the order of
// the version.
func (w *world) classMarks(k *class) ([]mark, pytest.Reason) {
	var per [][]mark
	reason := pytest.Exact
	for _, b := range k.linear {
		x, ok := b.(*class)
		if !ok {
			continue
		}
		own, r := w.marksOf(x.scope)
		if r != pytest.Exact {
			reason = r
		}
		ds, _ := x.mod.src.Decorators(x.stmt)
		for i := len(ds) - 1; i >= 0; i-- {
			more, r := toMarks(evalText(x.mod.src.A(ds[i]), x.outer.view(x.stmt)))
			if r == pytest.Exact {
				own = append(own[:len(own):len(own)], more...)
			}
		}
		per = append(per, own)
		if !w.version.AtLeast(7, 2) && len(own) > 0 {
			break // only the first class that has any
		}
	}
	if w.version.Since(7, 4, 3) {
		slices.Reverse(per)
	}
	return slices.Concat(per...), reason
}

// methods adds the tests of a plain class: bases first, a name where the
// nearest class has it.
func (c *collector) methods() {
	seen := map[string]bool{}
	var per [][]group
	for _, b := range c.class.linear {
		k, ok := b.(*class)
		if !ok {
			continue
		}
		c.groups = nil
		for _, e := range k.scope.entries {
			if !seen[e.name] && !gone(e) {
				seen[e.name] = true
				c.entry(k.scope, e)
			}
		}
		per = append(per, c.groups)
	}
	slices.Reverse(per)
	c.groups = slices.Concat(per...)
}

// gone reports whether a name is surely deleted at the end.
func gone(e *entry) bool {
	b := &e.binds[len(e.binds)-1]
	return b.kind == bindDel && !b.maybe
}

// testCase adds the tests of a unittest.TestCase: sorted by name, or runTest
// when there is no other.
func (c *collector) testCase() {
	type method struct {
		s *scope
		e *entry
	}
	by := map[string]method{}
	var names []string
	for _, b := range c.class.linear {
		k, ok := b.(*class)
		if !ok {
			continue
		}
		for _, e := range k.scope.entries {
			if _, dup := by[e.name]; !dup && !gone(e) {
				by[e.name] = method{k.scope, e}
				if strings.HasPrefix(e.name, "test") {
					names = append(names, e.name)
				}
			}
		}
	}
	sort.Strings(names)
	for _, n := range names {
		c.caseMethod(by[n].s, by[n].e)
	}
	if m, ok := by["runTest"]; ok && len(c.groups) == 0 {
		c.caseMethod(m.s, m.e)
	}
}

func (c *collector) caseMethod(s *scope, e *entry) {
	b := &e.binds[len(e.binds)-1]
	reason := unless(c.doubt, conditional(c.doubt))
	if !surely(e) {
		reason = pytest.Conditional
	}
	switch v := s.value(e, len(e.binds)-1).(type) {
	case *function:
		c.function(e.name, v, true, reason)
	case *closure:
		c.addMade(e.name, s.mod, b.stmt, v, reason)
	case decorated:
		c.function(e.name, v.fn, true, reason)
	case pyeval.Unknown:
		c.bare(e.name, s, b.stmt, pytest.Conditional)
	case pyeval.Object:
		if b.kind == bindMade || b.kind == bindAssign || b.kind == bindFrom {
			c.bare(e.name, s, b.stmt, reason)
		}
	}
}
