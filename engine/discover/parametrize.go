package discover

import (
	"slices"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// parametrize adds the items of a function: one, one for each case, or a bare
// one with the reason why its cases are not known.
func (c *collector) parametrize(name string, f *function, t testFunction, reason pytest.Reason) {
	w := c.w
	var marks []mark
	for _, m := range t.marks {
		if m.name == "parametrize" {
			marks = append(marks, m)
		}
	}
	usefixtures := c.used(t.marks)
	if w.anyio && c.anyio(f, t.marks) {
		usefixtures = append(usefixtures, "anyio_backend")
	}
	for _, level := range c.marks {
		for _, m := range level {
			if m.name == "parametrize" {
				marks = append(marks, m)
			}
		}
	}
	args := argNames(f.s.mod.src, f.stmt, f.s.class != nil && !t.static)
	if t.patches > 0 || t.dropLast > 0 || t.filled != nil {
		args = args[min(t.patches, len(args)):]
		args = args[:max(0, len(args)-t.dropLast)]
		args = slices.DeleteFunc(args, func(a string) bool { return t.filled[a] })
	}
	w.asks(f, c.chain, args, usefixtures)
	var calls []parametrization
	if reason == pytest.Exact && c.hooks.generate {
		reason = pytest.GenerateTests
	}
	if reason == pytest.Exact {
		var r pytest.Reason
		if calls, r = c.calls(f, marks, args, usefixtures); r != pytest.Exact {
			reason = r
		}
	}
	if reason != pytest.Exact || len(calls) == 0 {
		if reason == pytest.Exact && c.hooks.modify {
			reason = pytest.ModifyItems
		}
		w.noteBare(c.add(name, f.s.mod, f.stmt, t.marks, reason), c, calls)
		return
	}
	if c.hooks.modify || c.hooks.collector {
		c.add(name, f.s.mod, f.stmt, t.marks, pytest.ModifyItems)
		return
	}
	total := 1
	for _, p := range calls {
		if total *= len(p.sets); total > maxProduct {
			c.add(name, f.s.mod, f.stmt, t.marks, pytest.Values)
			return
		}
	}
	first := c.add(name, f.s.mod, f.stmt, t.marks, pytest.Exact)
	g := &c.groups[len(c.groups)-1]
	g.out = g.out[:0]
	pick := make([]int, len(calls))
	for n := 0; n < total; n++ {
		rest := n
		for i := len(calls) - 1; i >= 0; i-- {
			pick[i] = rest % len(calls[i].sets)
			rest /= len(calls[i].sets)
		}
		it := *first
		id, shown := "", false
		for i, p := range calls {
			s := &p.sets[pick[i]]
			if !s.hidden {
				if shown {
					id += "-"
				}
				id += s.id
				shown = true
			}
			for _, x := range s.marks {
				if ms, r := toMarks(x); r == pytest.Exact {
					it.Params = append(it.Params, plainMarks(ms)...)
				}
			}
		}
		it.Kind = pytest.Case
		if shown {
			it.ID += "[" + id + "]"
		}
		w.noteKeys(&it, c, calls, pick, n)
		g.out = append(g.out, &it)
	}
}

// used are the names of usefixtures marks, the nearest node first.
func (c *collector) used(own []mark) []string {
	var out []string
	take := func(ms []mark) {
		for _, m := range ms {
			if m.name == "usefixtures" {
				for _, a := range m.args {
					if s, ok := a.(pyeval.Str); ok {
						out = append(out, string(s))
					}
				}
			}
		}
	}
	take(own)
	for _, level := range c.marks {
		take(level)
	}
	return append(out, c.w.cfg.UseFixtures...)
}

// anyio reports whether anyio's plugin runs a function: a coroutine that it marks,
// or any. It adds the fixture in pytest_pycollect_makeitem (anyio 4,
// pytest_plugin.py).
func (c *collector) anyio(f *function, own []mark) bool {
	if f.s.mod.src.Stmts[f.stmt].Flags&pysrc.Async == 0 {
		return false
	}
	is := func(m mark) bool { return m.name == "anyio" }
	return c.w.cfg.AnyioAuto || slices.ContainsFunc(own, is) ||
		slices.ContainsFunc(c.marks, func(level []mark) bool { return slices.ContainsFunc(level, is) })
}

// calls returns the parametrizations of a function in the order in which
// pytest joins their ids: parametrized fixtures in the order of the closure,
// then marks, the nearest first. With a reason it returns those that are known.
func (c *collector) calls(f *function, marks []mark, args, usefixtures []string) ([]parametrization, pytest.Reason) {
	w := c.w
	type parsed struct {
		names    []string
		force    bool
		indirect map[string]bool
	}
	ps := make([]parsed, len(marks))
	inMark := map[string]bool{}
	direct := map[string]bool{}
	for i, m := range marks {
		names, force, ok := w.argnames(arg(m, 0, "argnames"))
		if !ok {
			return nil, pytest.Values
		}
		ind, ok := indirect(m.kwargs["indirect"], names)
		if !ok {
			return nil, pytest.Values
		}
		ps[i] = parsed{names, force, ind}
		for _, n := range names {
			inMark[n] = true
			if !ind[n] && (w.version.AtLeast(9, 1) || len(ind) == 0) {
				direct[n] = true
			}
		}
	}
	initial := c.chainAuto()
	needs := false
	for _, n := range initial {
		needs = needs || c.chain.parametrized(n, nil)
	}
	for _, list := range [2][]string{usefixtures, args} {
		for _, n := range list {
			initial = append(initial[:len(initial):len(initial)], n)
			needs = needs || !direct[n] && c.chain.parametrized(n, nil)
			if !inMark[n] && !builtinFixtures[n] && len(c.chain.find(n)) == 0 {
				if w.unread || c.chain.hides() {
					return nil, pytest.PluginFixture
				}
				w.misses(f, n)
			}
		}
	}
	var out []parametrization
	if needs {
		names, defs := w.closure(c.chain, dedup(initial), direct)
		for _, n := range names {
			if inMark[n] {
				continue
			}
			for _, d := range defs[n] {
				if d.reason != pytest.Exact {
					return nil, d.reason
				}
				if d.params != nil {
					p, r := w.fixtureCall(d)
					if r != pytest.Exact {
						return nil, r
					}
					out = append(out, p)
					break
				}
				if !slices.Contains(d.args, n) {
					break
				}
			}
		}
	}
	reason := pytest.Exact
	for i, m := range marks {
		p, r := w.markCall(m, ps[i].names, ps[i].force)
		if r != pytest.Exact {
			reason = r
			continue
		}
		p.scope = c.scopeOf(m, ps[i].names, ps[i].indirect)
		p.fixed = len(ps[i].indirect) > 0
		out = append(out, p)
	}
	return out, reason
}

func (c *collector) chainAuto() []string {
	if c.chain == nil {
		return nil
	}
	return c.chain.auto
}

// builtinFixtures are pytest's own; none is parametrized.
var builtinFixtures = words(`request tmp_path tmp_path_factory tmpdir tmpdir_factory monkeypatch capsys capfd capsysbinary capfdbinary capteesys
	caplog recwarn pytestconfig cache record_property record_xml_attribute record_testsuite_property doctest_namespace testdir pytester
	subtests linecomp LineMatcher self`)

// arg is an argument of a mark by position or name.
func arg(m mark, i int, name string) pyeval.Value {
	if i < len(m.args) {
		return m.args[i]
	}
	return m.kwargs[name]
}

// argnames reads the first argument of parametrize; force says that values
// stand alone instead of in tuples.
func (w *world) argnames(v pyeval.Value) (names []string, force, ok bool) {
	if s, is := v.(pyeval.Str); is {
		for _, n := range strings.Split(string(s), ",") {
			if n = strings.TrimSpace(n); n != "" {
				names = append(names, n)
			}
		}
		comma := strings.HasSuffix(strings.TrimRight(string(s), " \t\n"), ",") && w.version.AtLeast(9, 1)
		return names, len(names) == 1 && !comma, true
	}
	items, ok := pyeval.Iterate(v)
	if !ok {
		return nil, false, false
	}
	for _, x := range items {
		s, ok := x.(pyeval.Str)
		if !ok {
			return nil, false, false
		}
		names = append(names, string(s))
	}
	return names, false, true
}

// indirect reads indirect=: the names that go through a fixture.
func indirect(v pyeval.Value, names []string) (set map[string]bool, ok bool) {
	set = map[string]bool{}
	switch v := v.(type) {
	case nil:
		return set, true
	case pyeval.Bool:
		if v {
			for _, n := range names {
				set[n] = true
			}
		}
		return set, true
	}
	items, ok := pyeval.Iterate(v)
	for _, x := range items {
		s, is := x.(pyeval.Str)
		ok = ok && is
		set[string(s)] = true
	}
	return set, ok
}

// scopeOf is the scope of a parametrize call: given, or the narrowest of the
// fixtures that it feeds.
func (c *collector) scopeOf(m mark, names []string, ind map[string]bool) pytest.Scope {
	if s, ok := m.kwargs["scope"].(pyeval.Str); ok {
		scope, _ := pytest.ParseScope(string(s))
		return scope
	}
	if len(ind) != len(names) || len(names) == 0 {
		return pytest.FunctionScope
	}
	scope := pytest.SessionScope
	found := false
	for _, n := range names {
		if d := c.chain.find(n); len(d) > 0 {
			at := d[0]
			if !c.w.version.AtLeast(8, 0) {
				at = d[len(d)-1]
			}
			scope = min(scope, at.scope)
			found = true
		}
	}
	if !found {
		return pytest.FunctionScope
	}
	return scope
}

// markCall evaluates one parametrize mark.
func (w *world) markCall(m mark, names []string, force bool) (parametrization, pytest.Reason) {
	p := parametrization{args: names}
	values := arg(m, 1, "argvalues")
	if it, is := values.(*pyeval.Iter); is && !it.Again {
		if w.spent[it] {
			return p, pytest.Values // nothing is left of it, or what is left of several
		}
		w.spent[it] = true
	}
	items, ok := pyeval.Iterate(values)
	if !ok || len(m.args) > 2 && w.version.AtLeast(9, 2) {
		return p, pytest.Values
	}
	raw := make([]rawSet, 0, len(items))
	for _, x := range items {
		s := rawSet{id: pyeval.None{}}
		switch x := x.(type) {
		case pyeval.Param:
			s.values, s.id, s.marks = x.Values, x.ID, x.Marks
		default:
			if force {
				s.values = []pyeval.Value{x}
				break
			}
			vals, ok := pyeval.Iterate(x)
			if !ok {
				return p, pytest.Values
			}
			s.values = vals
		}
		if len(s.values) != len(names) {
			return p, pytest.Values // a collection error
		}
		raw = append(raw, s)
	}
	ids := m.kwargs["ids"]
	if ids == nil && len(m.args) > 3 {
		ids = m.args[3]
	}
	return w.finish(p, raw, ids)
}

// fixtureCall makes the parametrization of a fixture with params.
func (w *world) fixtureCall(d *fixtureDef) (parametrization, pytest.Reason) {
	p := parametrization{args: []string{d.name}, scope: d.scope, fixed: true}
	items, ok := pyeval.Iterate(d.params)
	if !ok {
		return p, pytest.Values
	}
	raw := make([]rawSet, 0, len(items))
	for _, x := range items {
		if q, ok := x.(pyeval.Param); ok {
			if len(q.Values) != 1 {
				return p, pytest.Values
			}
			raw = append(raw, rawSet{q.Values, q.ID, q.Marks})
			continue
		}
		raw = append(raw, rawSet{values: []pyeval.Value{x}, id: pyeval.None{}})
	}
	return w.finish(p, raw, d.ids)
}

// finish makes the ids of a parametrization.
func (w *world) finish(p parametrization, raw []rawSet, ids pyeval.Value) (parametrization, pytest.Reason) {
	k := idMaker{w: w, args: p.args}
	switch x := ids.(type) {
	case nil, pyeval.None:
	default:
		if pyeval.IsUnknown(x) {
			return p, pytest.IDs
		}
		if list, ok := pyeval.Iterate(x); ok {
			k.ids = list
		} else if _, ok := x.(pyeval.Object); ok {
			k.fn = x
		} else {
			return p, pytest.IDs
		}
	}
	if len(raw) == 0 {
		if w.cfg.EmptySet == "fail_at_collect" {
			return p, pytest.Values
		}
		set := rawSet{id: pyeval.None{}}
		for range p.args {
			set.values = append(set.values, pyeval.NotSet{})
		}
		if w.version.AtLeast(8, 4) {
			set.id = pyeval.Str("NOTSET")
		}
		raw = append(raw, set)
	} else if len(k.ids) > 0 && len(k.ids) != len(raw) {
		return p, pytest.IDs // a collection error
	}
	k.sets = raw
	sets, reason := k.make()
	p.sets = sets
	return p, reason
}
