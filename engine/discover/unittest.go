package discover

import (
	"fmt"
	"path/filepath"
	"sort"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/pytest"
)

// Where the interpreter has no pytest, unittest runs the tests: its discovery
// is what the list has to follow, and pytest's configuration says nothing.

// Unittest reports whether tests are those of unittest: there is an
// interpreter, and it has no pytest.
func Unittest(env *pyenv.Env) bool { return env.Python != "" && !env.HasPytest }

// unittestConfig is a configuration by which pytest's walk is that of
// unittest's discovery, as far as a configuration can say it.
func unittestConfig(c *config.Config) *config.Config {
	u := *c
	u.Version = pytest.Newest
	u.PythonFiles, u.NoRecurseDirs, u.CollectInVirtualenv = []string{"test*.py"}, nil, true
	u.PythonPath, u.UseFixtures, u.NoConftest, u.ImportMode = nil, nil, true, "prepend"
	u.Plugins, u.NoAutoload, u.DoctestModules, u.DoctestGlobs = nil, true, false, nil
	u.Ignore, u.IgnoreGlob, u.Deselect, u.KeepDuplicates, u.PyArgs = nil, nil, nil, true, false
	if c.FromTestPaths {
		u.Args = []string{c.Dir}
	}
	return &u
}

// entered reports whether a walk goes into a folder: unittest's goes into
// packages only.
func (w *world) entered(dir string) bool {
	return !w.unittest || w.hasFile(dir, "__init__.py")
}

// importable reports whether unittest's discovery takes a file of that name
// (VALID_MODULE_NAME).
func importable(name string) bool {
	stem, ok := strings.CutSuffix(name, ".py")
	for i, r := range stem {
		if r != '_' && !('a' <= r && r <= 'z') && !('A' <= r && r <= 'Z') && !(i > 0 && '0' <= r && r <= '9') && r < 0x80 {
			return false
		}
	}
	return ok && stem != ""
}

// unittestItems keeps of a module's tests those of its TestCases, in
// unittest's order: the classes' names are sorted. For the others pytest is
// needed, which a problem says.
func (w *world) unittestItems(m *module, items []*pytest.Item) []*pytest.Item {
	var out []*pytest.Item
	others, row := map[string]bool{}, uint32(0)
	for _, it := range items {
		if w.cases[it] {
			out = append(out, it)
			continue
		}
		if len(others) == 0 && it.Line > 0 {
			row = it.Line - 1
		}
		others[pytest.Bare(it.ID)] = true
	}
	sort.SliceStable(out, func(i, j int) bool {
		return pytest.ParseID(out[i].ID).Names[0] < pytest.ParseID(out[j].ID).Names[0]
	})
	if e := m.scope.index["load_tests"]; e != nil {
		for _, it := range out {
			w.toBare(it)
		}
		m.gap(e.binds[len(e.binds)-1].stmt, "load_tests decides at run time which tests there are")
		return out
	}
	if m.scope.stop == raises {
		if row, ok := m.importsPytest(); ok {
			w.suite.Problems = append(w.suite.Problems, Problem{m.path, row, "its tests need pytest: " + w.env.NoPytest()})
		}
		return out
	}
	if len(others) > 0 {
		what := "1 test needs"
		if len(others) > 1 {
			what = fmt.Sprintf("%d tests need", len(others))
		}
		w.suite.Problems = append(w.suite.Problems, Problem{m.path, row, what + " pytest: " + w.env.NoPytest()})
	}
	return out
}

// importsPytest returns the row of an import of pytest.
func (m *module) importsPytest() (row uint32, ok bool) {
	for i := range m.src.Stmts {
		st := &m.src.Stmts[i]
		switch st.Kind {
		case pysrc.Import:
			for a := uint32(i) + 1; a < st.Next; a = m.src.Stmts[a].Next {
				ok = ok || m.src.Stmts[a].Kind == pysrc.Alias && topOf(stripBlanks(m.src.A(a))) == "pytest"
			}
		case pysrc.FromImport:
			ok = topOf(m.absolute(uint32(i))) == "pytest"
		}
		if ok {
			return st.Row, true
		}
	}
	return 0, false
}

// note keeps that items are those of a TestCase, or of a class that may be one.
func (w *world) note(items []*pytest.Item) {
	for _, it := range items {
		w.cases[it] = true
	}
}

// unittestFilter applies -k as unittest's loader does: a pattern for
// module.Class.method, or a part of it.
func (w *world) unittestFilter() {
	pattern := w.cfg.Keyword
	if pattern == "" {
		return
	}
	if !strings.Contains(pattern, "*") {
		pattern = "*" + pattern + "*"
	}
	kept := w.suite.Items[:0]
	for _, it := range w.suite.Items {
		module, _ := file.Rel(w.baseOf(it.Path), it.Path)
		module = strings.ReplaceAll(strings.TrimSuffix(filepath.ToSlash(module), ".py"), "/", ".")
		names := pytest.ParseID(it.ID).Names
		if Fnmatch(pattern, module+"."+strings.Join(names, ".")) || names[len(names)-1] == "runTest" { // that of a class without others
			kept = append(kept, it)
		} else {
			w.suite.Deselected++
		}
	}
	w.suite.Items = kept
}
