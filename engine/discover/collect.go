package discover

import (
	"path/filepath"
	"sort"
	"strings"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/resolve"
)

// conftest is what a folder's conftest.py, and those above it, mean for the
// tests below.
type conftest struct {
	up      *conftest
	m       *module // nil when the folder has none
	chain   *chain
	hooks   hooks
	ignore  []string // collect_ignore, absolute
	globs   []string // collect_ignore_glob, absolute
	doubt   bool     // what is collected below depends on code
	decided func(path string) (ignore, known bool)
}

// argument is one resolved collection argument.
type argument struct {
	path   string
	names  []string
	param  string // with its brackets, "" for none
	hasAny bool
	index  int
}

// collect resolves the arguments and walks.
func (w *world) collect() error {
	args, err := w.arguments()
	if err != nil {
		return err
	}
	for _, a := range args {
		w.initial[a.path] = true
		w.parents[a.path] = true
		for _, p := range file.Parents(a.path) {
			w.parents[p] = true
		}
	}
	w.prefetch(args)
	for _, a := range args {
		before := len(w.suite.Items)
		up := w.conftestOf(filepath.Dir(a.path))
		node := w.dirNode(filepath.Dir(a.path))
		if file.IsDir(a.path) {
			w.dir(a.path, w.conftestOf(a.path), w.dirNode(a.path), nil)
			continue
		}
		w.file(a.path, up, node)
		if len(a.names) == 0 {
			continue
		}
		w.suite.Items = append(w.suite.Items[:before], selectNames(w.suite.Items[before:], a)...)
		if len(w.suite.Items) == before {
			return &config.UsageError{Message: "not found: " + a.path + "::" + strings.Join(a.names, "::") + a.param}
		}
	}
	return nil
}

// selectNames keeps the items that an argument with "::" names. A bare item
// stays for any case of its function.
func selectNames(items []*pytest.Item, a argument) []*pytest.Item {
	var out []*pytest.Item
	for _, it := range items {
		id := pytest.ParseID(it.ID)
		if len(id.Names) < len(a.names) {
			continue
		}
		ok := true
		for i, n := range a.names {
			ok = ok && id.Names[i] == n
		}
		if a.param != "" {
			ok = ok && len(id.Names) == len(a.names) && (id.Case == a.param || !it.Exact())
		}
		if ok {
			out = append(out, it)
		}
	}
	return out
}

// arguments resolves the paths and drops what others contain
// (main.normalize_collection_arguments, pytest 9.0; before, the rules for
// overlapping arguments differ from release to release and nobody means them).
func (w *world) arguments() ([]argument, error) {
	var out []argument
	for i, a := range w.cfg.Args {
		base, rest, bracket := strings.Cut(a, "[")
		parts := strings.Split(base, "::")
		if bracket && len(parts) == 1 {
			if file.Exists(file.Abs(w.cfg.Dir, a)) && !w.version.AtLeast(9, 0) {
				parts, bracket = []string{a}, false
			} else {
				return nil, &config.UsageError{Message: "path cannot contain [] parametrization: " + a}
			}
		}
		arg := argument{names: parts[1:], index: i}
		if bracket {
			arg.param = "[" + rest
		}
		p := parts[0]
		if w.cfg.PyArgs {
			if t := w.res.Find(p, ""); t.Kind == resolve.Source {
				p = t.Path
				if t.Package {
					p = filepath.Dir(p)
				}
			} else if t.Kind == resolve.Namespace && w.cfg.NamespacePackages {
				p = t.Dirs[0]
			}
		}
		arg.path = file.Abs(w.cfg.Dir, p)
		if !file.Exists(arg.path) {
			if w.cfg.PyArgs {
				return nil, &config.UsageError{Message: "module or package not found: " + a + " (missing __init__.py?)"}
			}
			return nil, &config.UsageError{Message: "file or directory not found: " + a}
		}
		if len(arg.names) > 0 && file.IsDir(arg.path) {
			return nil, &config.UsageError{Message: "directory argument cannot contain :: selection parts: " + a}
		}
		out = append(out, arg)
	}
	if w.cfg.KeepDuplicates {
		return out, nil
	}
	sort.SliceStable(out, func(i, j int) bool {
		a, b := out[i], out[j]
		if a.path != b.path {
			return strings.ReplaceAll(a.path, "/", "\x00") < strings.ReplaceAll(b.path, "/", "\x00")
		}
		if x, y := strings.Join(a.names, "\x00"), strings.Join(b.names, "\x00"); x != y {
			return x < y
		}
		return a.param < b.param
	})
	kept := out[:0]
	for _, a := range out {
		if len(kept) == 0 || !a.within(kept[len(kept)-1]) {
			kept = append(kept, a)
		}
	}
	sort.SliceStable(kept, func(i, j int) bool { return kept[i].index < kept[j].index })
	return kept, nil
}

// within is is_collection_argument_subsumed_by.
func (a argument) within(by argument) bool {
	if a.path != by.path {
		_, in := file.Rel(by.path, a.path)
		return in && len(by.names) == 0
	}
	if len(by.names) > len(a.names) {
		return false
	}
	for i, n := range by.names {
		if a.names[i] != n {
			return false
		}
	}
	return by.param == "" || by.param == a.param
}

// prefetch announces the files that the walk will come to.
func (w *world) prefetch(args []argument) {
	var paths []string
	seen := map[string]bool{}
	var walk func(dir string, depth int)
	walk = func(dir string, depth int) {
		if seen[dir] || depth > 64 {
			return
		}
		seen[dir] = true
		for _, e := range w.in.Source.List(dir) {
			p := dir + "/" + e.Name
			switch {
			case e.Kind == file.Dir:
				if !e.Link && w.entered(p) && (w.parents[p] || !w.skipped(p, e.Name)) {
					walk(p, depth+1)
				}
			case e.Kind == file.Regular && strings.HasSuffix(e.Name, ".py"):
				if e.Name == "conftest.py" || w.cfg.DoctestModules || TestFile(w.cfg, p) {
					paths = append(paths, p)
				}
			}
		}
	}
	for _, a := range args {
		if file.IsDir(a.path) {
			walk(a.path, 0)
		} else {
			paths = append(paths, a.path)
		}
	}
	w.in.Source.Prefetch(paths)
}

// dirNode returns the node of a folder: what -k knows of where a test is.
func (w *world) dirNode(dir string) *pytest.Node {
	if _, in := file.Rel(w.cfg.ConfCutDir, dir); !in {
		return nil
	}
	if dir == w.cfg.ConfCutDir {
		return &pytest.Node{Name: filepath.Base(dir), NoName: w.version.AtLeast(8, 0)}
	}
	return &pytest.Node{Parent: w.dirNode(filepath.Dir(dir)), Name: filepath.Base(dir)}
}

// conftestOf returns what conftest.py files mean in a folder.
func (w *world) conftestOf(dir string) *conftest {
	if c, ok := w.conftests[dir]; ok {
		return c
	}
	c := &conftest{}
	up := filepath.Dir(dir)
	if _, in := file.Rel(w.cfg.ConfCutDir, dir); in && dir != w.cfg.ConfCutDir && up != dir {
		c.up = w.conftestOf(up)
	}
	if c.up != nil {
		*c = conftest{up: c.up, chain: c.up.chain, hooks: c.up.hooks, ignore: c.up.ignore, globs: c.up.globs, doubt: c.up.doubt, decided: c.up.decided}
	} else {
		for _, set := range w.plugins {
			c.chain = w.link(c.chain, set)
		}
		c.hooks = w.hooks
	}
	w.conftests[dir] = c
	if _, in := file.Rel(w.cfg.ConfCutDir, dir); !in || w.cfg.NoConftest || !w.hasFile(dir, "conftest.py") {
		return c
	}
	p := filepath.Join(dir, "conftest.py")
	m := w.imported(p)
	if m == nil {
		return c
	}
	m.build()
	c.m = m
	plugins := len(w.plugins)
	w.pluginsOf(m)
	for _, set := range w.plugins[plugins:] {
		c.chain = w.link(c.chain, set)
	}
	c.chain = w.link(c.chain, m.fixturesOf())
	var own hooks
	own.add(m)
	c.hooks.merge(own)
	w.suite.Others = w.suite.Others || own.collector
	if own.modify {
		w.hooks.modify = true // it sees the items of the whole session
	}
	w.ignores(c, m)
	return c
}

// imported returns the module of a conftest or test file, after what importing
// it does to sys.path.
func (w *world) imported(p string) *module {
	base := w.baseOf(p)
	if w.cfg.ImportMode != "importlib" {
		w.res.Insert(base)
	}
	return w.moduleAt(p, base)
}

func (w *world) hasFile(dir, name string) bool {
	es := w.in.Source.List(dir)
	i := sort.Search(len(es), func(i int) bool { return es[i].Name >= name })
	return i < len(es) && es[i].Name == name && es[i].Kind == file.Regular
}

// ignores reads collect_ignore and collect_ignore_glob, and whether a hook
// decides about files.
func (w *world) ignores(c *conftest, m *module) {
	read := func(name string, into *[]string) {
		v, ok := m.scope.at(name, always)
		if !ok {
			return
		}
		items, known := pyeval.Iterate(v)
		if !known {
			c.doubt = true
			return
		}
		*into = nil // the nearest conftest that has the name decides
		for _, x := range items {
			switch x := x.(type) {
			case pyeval.Str:
				*into = append(*into, file.Abs(filepath.Dir(m.path), string(x)))
			case pyeval.Path:
				*into = append(*into, file.Abs(filepath.Dir(m.path), x.Text))
			default:
				c.doubt = true
			}
		}
	}
	read("collect_ignore", &c.ignore)
	read("collect_ignore_glob", &c.globs)
	if e := m.scope.index["pytest_ignore_collect"]; e != nil && e.binds[len(e.binds)-1].kind == bindDef {
		if f := m.ignoreHook(e); f != nil {
			c.decided = f
		} else {
			c.doubt = true
		}
	}
}

func (w *world) baseOf(p string) string { return resolve.Base(w.in.Source, p) }

// skipped reports whether a folder is left out by its name.
func (w *world) skipped(p, name string) bool {
	if name == "__pycache__" {
		return true
	}
	for _, pat := range w.cfg.NoRecurseDirs {
		if fnmatchEx(pat, p, name) {
			return true
		}
	}
	return !w.cfg.CollectInVirtualenv && w.inVenv(p)
}

// inVenv is _in_venv.
func (w *world) inVenv(p string) bool {
	if !w.version.AtLeast(8, 3) {
		for _, n := range [...]string{"activate", "activate.csh", "activate.fish", "Activate", "Activate.bat", "Activate.ps1"} {
			if w.hasFile(filepath.Join(p, "bin"), n) {
				return true
			}
		}
		return false
	}
	return w.hasFile(p, "pyvenv.cfg") || w.version.Since(8, 3, 2) && w.hasFile(filepath.Join(p, "conda-meta"), "history")
}

// fnmatchEx is pytest's fnmatch_ex: a pattern without "/" is for the name.
func fnmatchEx(pattern, p, name string) bool {
	if !strings.Contains(pattern, "/") {
		return Fnmatch(pattern, name)
	}
	if !strings.HasPrefix(pattern, "/") {
		pattern = "*/" + pattern
	}
	return Fnmatch(pattern, p)
}

// TestFile reports whether python_files names a path.
func TestFile(c *config.Config, p string) bool {
	name := filepath.Base(p)
	for _, pat := range c.PythonFiles {
		if fnmatchEx(pat, p, name) {
			return true
		}
	}
	return false
}

// ignored is pytest_ignore_collect. doubt says that only running can tell.
func (w *world) ignored(p, name string, dir bool, c *conftest) (ignore, doubt bool) {
	if name == "__pycache__" {
		return true, false
	}
	if c.decided != nil {
		if ignore, known := c.decided(p); !known {
			doubt = true
		} else if ignore {
			return true, false
		}
	}
	for _, x := range c.ignore {
		if x == p {
			return true, false
		}
	}
	for _, x := range w.cfg.Ignore {
		if file.Abs(w.cfg.Dir, x) == p {
			return true, false
		}
	}
	for _, g := range c.globs {
		if Fnmatch(g, p) {
			return true, false
		}
	}
	for _, g := range w.cfg.IgnoreGlob {
		if Fnmatch(file.Abs(w.cfg.Dir, g), p) {
			return true, false
		}
	}
	if dir && w.skipped(p, name) {
		return true, false
	}
	return false, doubt || c.doubt
}

// dir collects a folder: files and folders together by name; before pytest 8
// the files first. above are the real folders that the walk came through.
func (w *world) dir(p string, c *conftest, node *pytest.Node, above []string) {
	es := w.in.Source.List(p)
	if es == nil && !file.Exists(p+"/.") {
		w.suite.Problems = append(w.suite.Problems, Problem{Path: p, Message: "folder cannot be read"})
		return
	}
	order := make([]file.Entry, 0, len(es))
	isPackage := w.hasFile(p, "__init__.py")
	if isPackage {
		order = append(order, file.Entry{Name: "__init__.py", Kind: file.Regular})
	}
	old := !w.version.AtLeast(8, 0)
	for _, e := range es {
		if (!isPackage || e.Name != "__init__.py") && (!old || e.Kind != file.Dir) {
			order = append(order, e)
		}
	}
	if old {
		for _, e := range es {
			if e.Kind == file.Dir {
				order = append(order, e)
			}
		}
	}
	for _, e := range order {
		q := p + "/" + e.Name
		if p == "/" {
			q = "/" + e.Name
		}
		switch e.Kind {
		case file.Dir:
			doubt := false
			if !w.entered(q) {
				continue
			}
			if !w.parents[q] {
				var ignore bool
				if ignore, doubt = w.ignored(q, e.Name, true, c); ignore {
					continue
				}
			}
			next := above
			if e.Link {
				real, err := filepath.EvalSymlinks(q)
				if err != nil {
					continue
				}
				if _, loop := file.Rel(real, p); loop {
					w.suite.Problems = append(w.suite.Problems, Problem{Path: q, Message: "symbolic link to a folder that holds it: not followed"})
					continue
				}
				for _, a := range above {
					if a == real {
						w.suite.Problems = append(w.suite.Problems, Problem{Path: q, Message: "symbolic links in a circle: not followed"})
						real = ""
						break
					}
				}
				if real == "" {
					continue
				}
				next = append(above[:len(above):len(above)], real)
			}
			sub := w.conftestOf(q)
			if doubt {
				sub.doubt = true
			}
			w.dir(q, sub, &pytest.Node{Parent: node, Name: e.Name}, next)
		case file.Regular:
			doubt := false
			if !w.initial[q] {
				var ignore bool
				if ignore, doubt = w.ignored(q, e.Name, false, c); ignore {
					continue
				}
				if !w.collects(q, e.Name) {
					continue
				}
			}
			before := len(w.suite.Items)
			w.file(q, c, node)
			if doubt {
				for _, it := range w.suite.Items[before:] {
					w.toBare(it)
				}
				w.suite.Items = append(w.suite.Items[:before], dedupBare(w.suite.Items[before:])...)
			}
		}
	}
}

// toBare makes an item bare because its file may not be collected.
func (w *world) toBare(it *pytest.Item) {
	it.ID, it.Reason, it.Params = pytest.Bare(it.ID), pytest.Conditional, nil
	if it.Kind == pytest.Case {
		it.Kind = pytest.Function
	}
}

func dedupBare(items []*pytest.Item) []*pytest.Item {
	out := items[:0]
	for _, it := range items {
		if len(out) > 0 && out[len(out)-1].ID == it.ID && !it.Exact() {
			continue
		}
		out = append(out, it)
	}
	return out
}

// collects reports whether a walk takes a file at all.
func (w *world) collects(p, name string) bool {
	if strings.HasSuffix(name, ".py") {
		return w.cfg.DoctestModules || TestFile(w.cfg, p)
	}
	return w.doctestFile(p, name)
}

// file collects one file.
func (w *world) file(p string, c *conftest, node *pytest.Node) {
	name := filepath.Base(p)
	id := w.nodeID(p)
	w.suite.Files = append(w.suite.Files, p)
	if !strings.HasSuffix(name, ".py") {
		if w.doctestFile(p, name) || w.initial[p] && (strings.HasSuffix(name, ".txt") || strings.HasSuffix(name, ".rst")) {
			w.textDoctest(p, id, node)
		}
		return
	}
	m := w.imported(p)
	if m == nil {
		w.suite.Problems = append(w.suite.Problems, Problem{Path: p, Message: "file cannot be read"})
		return
	}
	if w.cfg.DoctestModules && !w.notDoctested(p, name) {
		w.doctests(m, id, node)
	}
	if w.initial[p] || TestFile(w.cfg, p) && (!w.unittest || importable(name)) {
		items := w.moduleItems(m, id, node, c.chain, c.hooks)
		if w.unittest {
			items = w.unittestItems(m, items)
		} else if m.scope.stop == raises {
			w.suite.Problems = append(w.suite.Problems, Problem{p, m.src.Stmts[m.scope.last].Row, m.whyEnds()})
		}
		w.suite.Items = append(w.suite.Items, items...)
	}
	for _, g := range m.gaps {
		w.suite.Problems = append(w.suite.Problems, Problem{p, g.row, g.why})
	}
}

// nodeID is the path part of the ids of a file: relative to the rootdir, or
// to the argument that holds it.
func (w *world) nodeID(p string) string {
	if rel, ok := file.Rel(w.cfg.Root, p); ok {
		if w.version.AtLeast(9, 1) {
			rel = strings.ReplaceAll(rel, `\`, "/")
		}
		return rel
	}
	best := ""
	for a := range w.initial {
		if _, in := file.Rel(a, p); in && len(a) > len(best) {
			best = a
		}
	}
	if rel, ok := file.Rel(best, p); ok && rel != "." {
		return rel
	}
	return ""
}
