package graph

import (
	"bytes"
	"path/filepath"
	"slices"
	"strings"
	"unicode"

	"github.com/dx-py/dx-py-ls/engine/pyexpr"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
)

// want is one import, as the text of a module says it: nothing is resolved.
type want struct {
	dir    string // where a relative import starts; "" for an absolute one
	dotted string // "" with a dir: the package of that folder
	names  []string
	kind   Kind
	line   uint32
}

// facts is what one module's text says about others. The strings belong to the
// Module.
type facts struct {
	wants  []want
	opaque []scope
	stars  []want // those of wants that take all names
	global bool   // decides about tests that are not below it
}

// scope is a dynamic import that may name any module of a package or, without
// a name, of the project.
type scope struct {
	dir, dotted string
	line        uint32
}

// localHooks are the hooks that pytest calls with the conftest files above a
// test only (node.ihook); all others see the whole session.
var localHooks = words(`pytest_runtest_setup pytest_runtest_call pytest_runtest_teardown pytest_runtest_makereport
	pytest_runtest_logstart pytest_runtest_logfinish pytest_runtest_logreport pytest_exception_interact pytest_fixture_setup
	pytest_fixture_post_finalizer pytest_generate_tests pytest_pycollect_makeitem pytest_pycollect_makemodule
	pytest_collect_file pytest_collect_directory pytest_ignore_collect pytest_collectstart pytest_itemcollected
	pytest_make_collect_report pytest_collectreport pytest_pyfunc_call pytest_assertrepr_compare pytest_assertion_pass
	pytest_markeval_namespace`)

func words(s string) map[string]bool {
	m := map[string]bool{}
	for _, w := range strings.Fields(s) {
		m[w] = true
	}
	return m
}

// SessionWide reports whether a conftest or test module decides about tests in
// other folders too: it has a hook that sees the whole session, or registers
// plugins. An edit that takes the last such statement away reaches what the
// old text reached.
func SessionWide(m *pysrc.Module) bool { return m != nil && read("", m).global }

// read takes the facts out of a module. path decides what relative imports are
// relative to.
func read(path string, m *pysrc.Module) facts {
	r := reader{m: m, dir: filepath.Dir(path), init: filepath.Base(path) == "__init__.py"}
	r.block(0, m.End(), Import, false)
	return r.facts
}

type reader struct {
	facts
	m    *pysrc.Module
	dir  string
	init bool // an __init__.py
}

// block reads sibling statements; kind is what a plain import is here.
func (r *reader) block(i, end uint32, kind Kind, inner bool) {
	m := r.m
	for ; i < end; i = m.Stmts[i].Next {
		s := &m.Stmts[i]
		k := kind
		switch {
		case s.Flags&pysrc.TypeChecking != 0:
			k = TypeChecking
		case s.Flags&pysrc.InFunc != 0 && k == Import:
			k = Lazy
		}
		switch s.Kind {
		case pysrc.Import:
			m.Body(i+1, s.Next, func(a uint32) bool {
				r.want(want{dotted: plain(m.A(a)), kind: k, line: s.Row + 1})
				return true
			})
		case pysrc.FromImport:
			r.from(i, k)
		case pysrc.Dynamic:
			if k != TypeChecking {
				r.dynamic(i)
			}
		case pysrc.Assign, pysrc.AugAssign:
			if !inner {
				r.assign(i)
			}
		case pysrc.Def:
			if name := m.A(i); !inner && strings.HasPrefix(name, "pytest_") && !localHooks[name] {
				r.global = true
			}
			r.block(i+1, s.Next, k, true)
		case pysrc.Class:
			r.block(i+1, s.Next, k, true)
		case pysrc.If, pysrc.Elif:
			if typeChecking(m.A(i)) {
				r.block(i+1, s.Next, TypeChecking, inner)
			} else {
				r.block(i+1, s.Next, k, inner)
			}
		default:
			if s.Next > i+1 {
				r.block(i+1, s.Next, k, inner)
			}
		}
	}
}

func (r *reader) want(w want) {
	if w.dotted != "" || w.dir != "" {
		r.wants = append(r.wants, w)
	}
}

// from reads a "from ... import" statement.
func (r *reader) from(i uint32, k Kind) {
	m, s := r.m, &r.m.Stmts[i]
	w := want{dotted: plain(m.A(i)), kind: k, line: s.Row + 1}
	if s.Level > 0 {
		w.dir = up(r.dir, int(s.Level)-1)
	}
	m.Body(i+1, s.Next, func(a uint32) bool {
		if n := m.A(a); n != "*" {
			w.names = append(w.names, n)
			if strings.HasPrefix(n, "pytest_") && !localHooks[n] && n != "pytest_plugins" {
				r.global = true
			}
		} else {
			r.stars = append(r.stars, w)
		}
		return true
	})
	r.want(w)
}

func up(dir string, n int) string {
	for range n {
		dir = filepath.Dir(dir)
	}
	return dir
}

// plain takes the blanks and continued line ends out of a dotted name.
func plain(dotted string) string {
	if strings.ContainsAny(dotted, " \t\\\r\n\f") {
		return strings.Join(strings.FieldsFunc(dotted, func(c rune) bool { return strings.ContainsRune(" \t\\\r\n\f", c) }), "")
	}
	return dotted
}

// typeChecking reports whether a condition is false in every run:
// TYPE_CHECKING, or that and something else.
func typeChecking(cond string) bool {
	const name = "TYPE_CHECKING"
	if !strings.Contains(cond, name) {
		return false
	}
	n, err := pyexpr.Parse(cond)
	if err != nil {
		return false
	}
	if n.Kind == pyexpr.And {
		n = n.Kids[0]
	}
	d := n.Dotted()
	return d == name || strings.HasSuffix(d, "."+name)
}

// assign reads pytest_plugins, and the modules that __all__ makes a star
// import load.
func (r *reader) assign(i uint32) {
	m, s := r.m, &r.m.Stmts[i]
	switch m.A(i) {
	case "pytest_plugins":
		r.global = true
		names, exact := literals(m.B(i))
		for _, n := range names {
			for _, part := range strings.Split(n, ",") {
				r.want(want{dotted: strings.TrimSpace(part), kind: Plugin, line: s.Row + 1})
			}
		}
		if !exact || s.Flags&pysrc.Cut != 0 {
			r.opaque = append(r.opaque, scope{line: s.Row + 1})
		}
	case "__all__":
		if !r.init {
			return
		}
		names, _ := literals(m.B(i))
		r.want(want{dir: r.dir, names: names, kind: Import, line: s.Row + 1})
	default:
		if name := m.A(i); strings.HasPrefix(name, "pytest_") && !localHooks[name] {
			r.global = true
		}
	}
}

// literals returns the strings in an expression, and whether it is nothing but
// strings and displays of them.
func literals(src string) (names []string, exact bool) {
	n, err := pyexpr.Parse(src)
	if err != nil {
		return nil, false
	}
	exact = true
	n.Walk(func(n *pyexpr.Node) bool {
		switch n.Kind {
		case pyexpr.Str:
			names = append(names, n.Text)
		case pyexpr.List, pyexpr.Tuple, pyexpr.Set:
		case pyexpr.Binary:
			exact = exact && n.Op == '+'
		default:
			exact = false
		}
		return true
	})
	return names, exact
}

// soft reads a call whose first argument names something in a module, as
// mock.patch("pkg.mod.name") does: what stands in front of each dot may be the
// module, and so may all of it.
func (r *reader) soft(i uint32) {
	s := &r.m.Stmts[i]
	args, err := pyexpr.ParseArgs(r.m.B(i))
	if err != nil || s.Flags&pysrc.Cut != 0 || len(args) == 0 || args[0].Kind != pyexpr.Str {
		return
	}
	parts := strings.Split(args[0].Text, ".")
	if len(parts) < 2 || slices.ContainsFunc(parts, func(p string) bool { return !isName(p) }) {
		return
	}
	for k := 1; k <= len(parts); k++ {
		r.want(want{dotted: strings.Join(parts[:k], "."), kind: Dynamic, line: s.Row + 1})
	}
}

// isName reports whether a word may be a name.
func isName(s string) bool {
	return s != "" && (s[0] < '0' || s[0] > '9') && !strings.ContainsFunc(s, func(c rune) bool {
		return c != '_' && !unicode.IsLetter(c) && !unicode.IsDigit(c)
	})
}

// dynamic reads a call of import_module, __import__ or importorskip.
func (r *reader) dynamic(i uint32) {
	m, s := r.m, &r.m.Stmts[i]
	if pysrc.SoftDynamic(m.A(i)) {
		r.soft(i)
		return
	}
	line := s.Row + 1
	any := scope{line: line}
	args, err := pyexpr.ParseArgs(m.B(i))
	if target := m.A(i); target == "patch" || target == "setattr" || target == "delattr" {
		if err == nil && len(args) > 0 && args[0].Kind == pyexpr.Str {
			if at := strings.LastIndexByte(args[0].Text, '.'); at > 0 {
				r.want(want{dotted: args[0].Text[:at], names: []string{args[0].Text[at+1:]}, kind: Dynamic, line: line})
			}
		}
		return
	}
	if err != nil || s.Flags&pysrc.Cut != 0 {
		r.opaque = append(r.opaque, any)
		return
	}
	pos, kw, exact := pyexpr.Args(args)
	name := kw["name"]
	if m.A(i) == "importorskip" {
		name = kw["modname"]
	}
	if len(pos) > 0 {
		name = pos[0]
	}
	if name == nil || !exact {
		r.opaque = append(r.opaque, any)
		return
	}
	text, whole := prefix(name)
	dir, known := "", true
	if rest, ok := strings.CutPrefix(text, ownPackage+"."); ok {
		dir, text = r.dir, rest
	} else if dots := len(text) - len(strings.TrimLeft(text, ".")); dots > 0 {
		text = text[dots:]
		pkg := kw["package"]
		if len(pos) > 1 {
			pkg = pos[1]
		}
		var dotted string
		if dir, dotted, known = r.anchor(pkg); dotted != "" {
			for range dots - 1 {
				dotted = dotted[:max(strings.LastIndexByte(dotted, '.'), 0)]
			}
			text = dotted + "." + text
		} else {
			dir = up(dir, dots-1)
		}
	}
	switch {
	case !known:
		r.opaque = append(r.opaque, any)
	case whole:
		r.want(want{dir: dir, dotted: text, kind: Dynamic, line: line})
		if m.A(i) == "__import__" && (len(pos) > 3 || kw["fromlist"] != nil) {
			list := kw["fromlist"]
			if list == nil {
				list = pos[3]
			}
			r.fromlist(want{dir: dir, dotted: text, kind: Dynamic, line: line}, list)
		}
	default:
		// What stands in front of the last dot is a package for sure.
		at := strings.LastIndexByte(text, '.')
		if at > 0 {
			r.want(want{dir: dir, dotted: text[:at], kind: Dynamic, line: line})
			r.opaque = append(r.opaque, scope{dir: dir, dotted: text[:at], line: line})
		} else {
			r.opaque = append(r.opaque, scope{dir: dir, line: line})
		}
	}
}

// fromlist reads the names of an __import__.
func (r *reader) fromlist(w want, list *pyexpr.Node) {
	exact := list.Kind == pyexpr.List || list.Kind == pyexpr.Tuple
	for _, k := range list.Kids {
		if k.Kind != pyexpr.Str {
			exact = false
		} else {
			w.names = append(w.names, k.Text)
		}
	}
	if exact {
		r.want(w)
	} else {
		r.opaque = append(r.opaque, scope{dir: w.dir, dotted: w.dotted, line: w.line})
	}
}

// anchor says what a relative dynamic import is relative to: the module's own
// folder, or a dotted name.
func (r *reader) anchor(pkg *pyexpr.Node) (dir, dotted string, known bool) {
	switch {
	case pkg == nil:
		return "", "", false
	case pkg.Kind == pyexpr.Str:
		return "", pkg.Text, true
	case pkg.Kind == pyexpr.Name && (pkg.Text == "__package__" || pkg.Text == "__name__"):
		return r.dir, "", true
	}
	return "", "", false
}

// ownPackage stands for __name__ or __package__ at the beginning of a prefix.
const ownPackage = "\x00"

// prefix returns how the value of an expression begins, and whether that is
// all of it.
func prefix(n *pyexpr.Node) (text string, whole bool) {
	switch {
	case n.Kind == pyexpr.Str:
		return n.Text, true
	case n.Kind == pyexpr.Name && (n.Text == "__name__" || n.Text == "__package__"):
		return ownPackage, true
	case n.Kind == pyexpr.FString:
		for i, k := range n.Kids {
			if k.Kind == pyexpr.Field && i == 0 && len(k.Kids) == 1 {
				k = k.Kids[0]
			}
			part, all := prefix(k)
			if text += part; !all {
				return text, false
			}
		}
		return text, true
	case n.Kind == pyexpr.Binary && n.Op == '+':
		a, all := prefix(n.Kids[0])
		if !all {
			return a, false
		}
		b, all := prefix(n.Kids[1])
		return a + b, all
	case n.Kind == pyexpr.Binary && n.Op == '%' && n.Kids[0].Kind == pyexpr.Str:
		text, _, cut := strings.Cut(n.Kids[0].Text, "%")
		return text, !cut
	case n.Kind == pyexpr.Call && n.Kids[0].Kind == pyexpr.Attribute && n.Kids[0].Text == "format" && n.Kids[0].Kids[0].Kind == pyexpr.Str:
		text, _, cut := strings.Cut(n.Kids[0].Kids[0].Text, "{")
		return text, !cut
	}
	return "", false
}

// hasExamples reports whether a docstring of a module holds a doctest.
func hasExamples(m *pysrc.Module) bool {
	return m.Doctest || slices.ContainsFunc(m.Stmts, func(s pysrc.Stmt) bool { return s.Flags&pysrc.Doctest != 0 })
}

// examples takes the code of the doctests out of a text; all else becomes
// empty lines.
func examples(text []byte) []byte {
	var out []byte
	for line := range bytes.Lines(text) {
		code := bytes.TrimSpace(line)
		for _, prompt := range [...]string{">>> ", "... "} {
			if rest, ok := bytes.CutPrefix(code, []byte(prompt)); ok {
				out = append(out, rest...)
			}
		}
		out = append(out, '\n')
	}
	return out
}
