// Package discover makes the list of tests from Modules: pytest's collection,
// followed without importing anything. An item is listed with the id that
// pytest gives it, or bare, with the reason why its cases are known only at
// run time.
package discover

import (
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/pyeval"
	"github.com/dx-py/dx-py-ls/engine/pyexpr"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/resolve"
)

// Input is all that decides about a Suite.
type Input struct {
	Config *config.Config
	Env    *pyenv.Env
	Source pysrc.Source
	// Exprs keeps parsed expressions for the next discovery; nil for none.
	Exprs *Exprs
}

// Exprs are parsed expressions by their text. They are immutable, and good for
// any project. It is safe for concurrent use.
type Exprs struct {
	mu    sync.Mutex
	nodes map[string]*pyexpr.Node // nil for a text that is no expression
}

// NewExprs returns an empty Exprs.
func NewExprs() *Exprs { return &Exprs{nodes: map[string]*pyexpr.Node{}} }

// maxExprs bounds them: a text has up to maxShared bytes, its tree ten times
// as much.
const maxExprs = 20_000

func (e *Exprs) parse(src string) (*pyexpr.Node, error) {
	e.mu.Lock()
	n, ok := e.nodes[src]
	e.mu.Unlock()
	if ok {
		if n == nil {
			return nil, pyexpr.ErrSyntax
		}
		return n, nil
	}
	if len(src) > maxShared {
		return pyexpr.Parse(src)
	}
	src = strings.Clone(src) // not memory of a module
	n, err := pyexpr.Parse(src)
	if err != nil {
		n = nil
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if len(e.nodes) >= maxExprs {
		clear(e.nodes)
	}
	e.nodes[src] = n
	return n, err
}

// maxShared is how long a text may be to be worth keeping parsed: longer ones
// are tables, and stand once.
const maxShared = 200

// Problem is something wrong with a file, or a place where the list may be
// incomplete.
type Problem struct {
	Path    string // absolute
	Row     uint32 // 0-based
	Message string
}

// Suite is what a session collects. It shares no memory with the Modules.
type Suite struct {
	Items    []*pytest.Item
	Problems []Problem
	// Files are the files that were collected, in order, absolute: those
	// without tests too, since they may have some after a change elsewhere, or
	// an error.
	Files []string
	// Others says that a hook may make tests of its own, of files of any kind:
	// they are not in Items.
	Others bool
	// Deselected counts what --deselect, -k and -m left out.
	Deselected int
}

// Empty are the Python files, absolute, that pytest imports to look for tests,
// which may fail, and in which none was found.
func (s *Suite) Empty() []string {
	has := make(map[string]bool, len(s.Files))
	for _, it := range s.Items {
		has[it.Path] = true
	}
	var out []string
	for _, p := range s.Files {
		if !has[p] && strings.HasSuffix(p, ".py") {
			has[p] = true
			out = append(out, p)
		}
	}
	return out
}

// world is everything known during one discovery.
type world struct {
	in      Input
	cfg     *config.Config
	env     *pyenv.Env
	version pytest.Version
	res     *resolve.Resolver
	modules map[string]*module
	now     view                  // where the statement stands that is executed: its calls see the names bound so far
	spent   map[*pyeval.Iter]bool // iterators that a parametrize has read
	suite   *Suite

	unittest bool                  // there is no pytest
	cases    map[*pytest.Item]bool // of TestCases

	plugins   []*fixtureSet // of plugins, the least specific first
	hooks     hooks         // of plugins and the conftests that see every item
	conftests map[string]*conftest
	unread    bool // some plugin could not be read: any fixture may be its
	anyio     bool // its plugin is loaded: it gives coroutines a fixture
	exprs     *Exprs
	bodies    map[string]*pysrc.Module // parsed bodies, by their text
	calls     int                      // functions being followed
	steps     int                      // statements followed
	keys      map[*pytest.Item][]argKey
	standIns  map[*pytest.Item][]*pytest.Item // cases of bare items, for the order
	initial   map[string]bool                 // the arguments' paths
	parents   map[string]bool                 // and the folders above them
	names     *Names                          // what is noted of fixtures; nil for nothing
}

// Discover collects. Errors are *config.UsageError: an argument that names
// nothing.
func Discover(in Input) (*Suite, error) {
	w := newWorld(in)
	w.loadPlugins()
	if err := w.collect(); err != nil {
		return nil, err
	}
	w.reorder()
	if w.unittest {
		w.unittestFilter()
	} else {
		w.suite.filter(in.Config)
	}
	w.problems()
	return w.suite, nil
}

// File collects one file as a walk that comes to it would: a file that no
// pattern of python_files takes has no tests. What Python rejects in the file is
// not among the problems, see Rejected.
func File(in Input, path string) (*Suite, *Names, error) {
	w := newWorld(in)
	w.names = &Names{w: w, path: path, mu: &sync.Mutex{}}
	w.loadPlugins()
	name := filepath.Base(path)
	dir := filepath.Dir(path)
	if w.collects(path, name) && strings.HasSuffix(name, ".py") {
		w.file(path, w.conftestOf(dir), w.dirNode(dir)) // it may stand in a buffer only
	} else if m := w.moduleAt(path, w.baseOf(path)); m != nil {
		m.build()
	}
	w.reorder()
	w.names.complete()
	return w.suite, w.names, nil
}

func newWorld(in Input) *world {
	w := &world{
		in: in, cfg: in.Config, env: in.Env, version: in.Config.Version,
		modules: map[string]*module{}, spent: map[*pyeval.Iter]bool{}, suite: &Suite{}, conftests: map[string]*conftest{},
		exprs: in.Exprs, bodies: map[string]*pysrc.Module{}, keys: map[*pytest.Item][]argKey{}, standIns: map[*pytest.Item][]*pytest.Item{}, initial: map[string]bool{}, parents: map[string]bool{},
	}
	if w.exprs == nil {
		w.exprs = NewExprs()
	}
	if w.unittest = Unittest(in.Env); w.unittest {
		w.cfg, w.version, w.cases = unittestConfig(in.Config), pytest.Newest, map[*pytest.Item]bool{}
	}
	w.res = resolve.New(in.Env, in.Source, w.cfg.PythonPath)
	return w
}

// problems takes over what the modules have to say.
func (w *world) problems() {
	var paths []string
	for p, m := range w.modules {
		if m != nil {
			paths = append(paths, p)
		}
	}
	sort.Strings(paths)
	for _, p := range paths {
		w.suite.Problems = append(w.suite.Problems, Rejected(w.in, p, w.modules[p].src)...)
	}
}

// Rejected is what Python rejects in a module of the project.
func Rejected(in Input, path string, m *pysrc.Module) (out []Problem) {
	if _, inside := file.Rel(in.Config.Root, path); !inside || in.Env.Installed(in.Config.Root, path) {
		return nil
	}
	for _, x := range m.Problems {
		out = append(out, Problem{path, x.Row, strings.Clone(x.Message)})
	}
	return out
}

func (w *world) external(path string) bool { return w.env.Installed(w.cfg.Root, path) }

// filter applies --deselect, -k and -m, in pytest's order: the expressions
// are compiled before, see Check.
func (s *Suite) filter(c *config.Config) {
	keep := func(f func(*pytest.Item) bool) {
		out := s.Items[:0]
		for _, it := range s.Items {
			if f(it) {
				out = append(out, it)
			} else {
				s.Deselected++
			}
		}
		s.Items = out
	}
	if len(c.Deselect) > 0 {
		keep(func(it *pytest.Item) bool {
			return !slices.ContainsFunc(c.Deselect, func(p string) bool { return strings.HasPrefix(it.ID, p) })
		})
	}
	if c.Keyword != "" {
		if e, err := pytest.CompileExpression(c.Keyword, c.Version); err == nil {
			keep(e.Keywords)
		}
	}
	if c.MarkExpr != "" {
		if e, err := pytest.CompileExpression(c.MarkExpr, c.Version); err == nil {
			keep(e.Marks)
		}
	}
}

// Check compiles the expressions of a configuration. Without pytest there are
// none: -k is a pattern of unittest's.
func Check(c *config.Config, env *pyenv.Env) error {
	if Unittest(env) {
		if c.MarkExpr != "" {
			return &config.UsageError{Message: "-m: unittest has no marks, and " + env.NoPytest()}
		}
		return nil
	}
	for _, x := range []struct{ flag, text string }{{"-k", c.Keyword}, {"-m", c.MarkExpr}} {
		if x.text == "" {
			continue
		}
		if _, err := pytest.CompileExpression(x.text, c.Version); err != nil {
			return &config.UsageError{Message: "Wrong expression passed to '" + x.flag + "': " + err.Error()}
		}
	}
	return nil
}
