package cli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime/debug"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/git"
	"github.com/dx-py/dx-py-ls/engine/graph"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// graphFlags are the flags of the commands that show the graph.
type graphFlags struct {
	python, stateDir, root string
	since, format          string
	explain, audit         bool
}

func (f *graphFlags) add(c *cobra.Command) {
	fl := c.Flags()
	fl.StringVar(&f.python, "python", "", "the interpreter, or its virtual environment, at `PATH`")
	fl.StringVar(&f.stateDir, "state-dir", "", "keep the index in `DIR` (default: the user's cache folder)")
	fl.StringVarP(&f.root, "root", "r", "", "look in `DIR` instead of the working directory")
}

// changes are those of the project.
type changes struct {
	paths []string
	wide  []string // of them, those that saw the whole session before the change
	// was gives what a file held before; false for one that was not there. nil
	// where that is not known.
	was func(path string) ([]byte, bool)
}

// project is a Snapshot with its Graph. Close the Workspace.
type project struct {
	ws    *workspace.Workspace
	dir   string // where to look, absolute
	root  string // the rootdir
	sites []string
	suite *discover.Suite
	graph *graph.Graph
}

// rel is how a path is printed: relative to the rootdir, or from site-packages
// on.
func (pr *project) rel(p string) string {
	for _, s := range pr.sites {
		if rel, in := file.Rel(s, p); in {
			return filepath.Base(s) + "/" + rel
		}
	}
	return relative(pr.root, p)
}

// open finds the tests of the whole project and what they depend on.
func (p *program) open(f graphFlags, pytestArgs []string) (*project, error) {
	dir := p.dir
	if f.root != "" {
		if dir = absolute(p.dir, f.root); !file.IsDir(dir) {
			return nil, fmt.Errorf("--root %s: no such folder", f.root)
		}
	}
	debug.SetGCPercent(200) // as discover
	ws := workspace.New(workspace.Settings{
		Dir: dir, Args: pytestArgs, Python: p.python(f.python), Env: p.env, StateDir: p.stateDir(f.stateDir), StateNamed: f.stateDir != "",
	})
	snap := ws.Apply(workspace.Update{})
	suite, err := snap.Suite()
	if err == nil {
		var g *graph.Graph
		if g, err = snap.Graph(); err == nil {
			return &project{ws: ws, dir: dir, root: snap.Config().Root, sites: snap.Env().Sites, suite: suite, graph: g}, nil
		}
	}
	ws.Close()
	return nil, err
}

// split parts the arguments from what stands behind "--".
func split(cmd *cobra.Command, args []string) (own, pytestArgs []string) {
	if dash := cmd.ArgsLenAtDash(); dash >= 0 {
		return args[:dash], args[dash:]
	}
	return args, nil
}

func (p *program) affectedCommand(use string) *cobra.Command {
	var f graphFlags
	c := &cobra.Command{
		Use:   "affected [--since REV | PATH...] [flags] [-- PYTEST-ARGS...]",
		Short: "List the tests that a change reaches",
		Long: `List the tests that a change can have affected, by the files that each test
depends on: imports of every kind, packages, conftest files, plugins and
configuration. Nothing is run.

The change is what git says differs from HEAD, untracked files included; with
--since what differs from the commit where HEAD's history left REV's; or the
files and folders that are named, which need not exist any more.

A file that is no Python source, and that nobody is known to read, reaches
every test. --explain prints the path of files for each file with tests.

With --audit tests do run: first each alone, to see which functions of the
project it executes, then all. Tests that an earlier run's results would have
let test --affected leave out, and that changed their outcome all the same,
are listed. When there are none, an edit of nothing but bodies of functions
reaches only the tests that execute them, from then on. It takes pytest and
Python 3.12.

Exit status: 0, also when nothing is reached; 1 when --audit lists a test; 4
for a usage error.`,
		Example: "  " + use + ` affected
  ` + use + ` affected --since origin/main --explain
  ` + use + ` affected src/app/prices.py`,
		RunE: func(cmd *cobra.Command, args []string) error {
			own, pytestArgs := split(cmd, args)
			if f.audit {
				if f.since != "" || f.explain || len(own) > 0 {
					return errors.New("--audit takes no revision and no paths, and explains nothing")
				}
				return p.audit(f, pytestArgs)
			}
			return p.affected(f, own, pytestArgs)
		},
	}
	f.add(c)
	c.Flags().StringVar(&f.since, "since", "", "compare with the commit where HEAD left `REV`")
	c.Flags().BoolVar(&f.audit, "audit", false, "run all tests, and look whether one that need not run fails")
	c.Flags().BoolVar(&f.explain, "explain", false, "print by which files each file with tests is reached")
	return c
}

func (p *program) affected(f graphFlags, paths, pytestArgs []string) error {
	if f.since != "" && len(paths) > 0 {
		return errors.New("--since and paths cannot be used together")
	}
	pr, err := p.open(f, pytestArgs)
	if err != nil {
		return err
	}
	defer pr.ws.Close()
	var c changes
	if len(paths) > 0 {
		c.paths, err = p.named(pr, paths)
	} else {
		c, err = pr.differs(f.since)
	}
	if err != nil {
		return err
	}
	r, err := p.projectRequest(pr, pytestArgs)
	if err != nil {
		return err
	}
	snap := pr.ws.Apply(workspace.Update{})
	reached, err := pr.reached(snap, r, c, false)
	if err != nil {
		return err
	}
	var by *engine.Since // nil goes by files
	if r.State != "" && c.was != nil {
		by = engine.NewSince(snap, r, c.paths, c.was)
		defer by.Close()
	}
	tests, others, why := map[string][]*pytest.Item{}, map[string]int{}, ""
	reasons := map[string]plan.Reason{} // of files with tests that are reached
	for _, root := range pr.graph.Roots() {
		if reason, yes := reached.Reason(&pytest.Item{ID: relative(pr.root, root), Path: root}); yes {
			reasons[root] = reason
		}
	}
	for _, it := range pr.suite.Items {
		reason, yes := reached.Reason(it)
		if !yes {
			continue
		}
		if text, same := by.Same(it); same {
			others[it.Path]++
			why = text
			continue
		}
		reasons[it.Path] = reason
		tests[it.Path] = append(tests[it.Path], it)
	}
	out := bufio.NewWriterSize(p.stdout, 64<<10)
	n, printed := 0, false
	for _, root := range pr.graph.Roots() {
		reason, yes := reasons[root]
		if !yes {
			continue
		}
		printed = true
		n += len(tests[root])
		switch {
		case f.explain && others[root] > 0:
			fmt.Fprintf(out, "%s · %d of %s; of the others %s\n", relative(pr.root, root), len(tests[root]), plural(len(tests[root])+others[root], "test"), why)
			pr.path(out, reason)
		case f.explain:
			fmt.Fprintf(out, "%s · %s\n", relative(pr.root, root), plural(len(tests[root]), "test"))
			pr.path(out, reason)
		default:
			for _, it := range tests[root] {
				fmt.Fprintln(out, it.ID)
			}
		}
	}
	if f.explain {
		for _, path := range c.paths {
			if len(pr.graph.Affected([]string{path}, c.wide...).Roots()) == 0 {
				fmt.Fprintf(out, "%s · no test is known to depend on it\n", pr.rel(path))
				printed = true
			}
		}
	}
	if printed {
		fmt.Fprintln(out)
	}
	fmt.Fprintf(out, "%d of %s · %s\n", n, plural(len(pr.suite.Items), "test"), pr.summary(c.paths, f.since))
	return out.Flush()
}

func (pr *project) summary(changed []string, since string) string {
	switch {
	case len(changed) > 0:
		return plural(len(changed), "file") + " changed"
	case since != "":
		return "nothing differs from where HEAD left " + since
	}
	return "nothing differs from HEAD"
}

// path prints how a file with tests is reached.
func (pr *project) path(out io.Writer, reason plan.Reason) {
	edges := reason.Path
	switch {
	case reason.Itself:
		fmt.Fprintln(out, "  it changed")
	case len(edges) == 0:
		fmt.Fprintln(out, "  "+reason.Text)
	}
	for i, e := range edges {
		end := ""
		if i == len(edges)-1 {
			end = ", which changed"
			if !file.Exists(e.To) {
				end = ", which is not there"
			}
		}
		fmt.Fprintf(out, "  %s%s\n", pr.sentence(e), end)
	}
}

// sentence says what an edge means.
func (pr *project) sentence(e graph.Edge) string {
	from, to := pr.rel(e.From), pr.rel(e.To)
	if e.Line > 0 {
		from = fmt.Sprintf("%s:%d", from, e.Line)
	}
	switch e.Kind {
	case graph.Lazy:
		return from + " imports " + to + " in a function"
	case graph.Dynamic:
		return from + " imports " + to + " by its name as a string"
	case graph.Opaque:
		return from + " imports what only running can tell; it may be " + to
	case graph.Init:
		return from + " is in the package of " + to
	case graph.Conftest:
		if _, above := file.Rel(filepath.Dir(e.To), e.From); !above {
			return from + " is seen by hooks of " + to
		}
		return from + " is below " + to
	case graph.Plugin:
		return from + " uses the plugin " + to
	case graph.Config:
		return from + " is configured by " + to
	case graph.Data:
		return from + " was seen to read " + to
	case graph.Unread:
		return from + " may read " + to + ", as any test may: nobody is known to"
	case graph.Absent:
		return from + " looks for " + to
	case graph.TypeChecking:
		return from + " imports " + to + " for type checkers only"
	}
	return from + " imports " + to
}

// named makes the paths of a command line absolute: files of a folder, and
// files that are gone but looked for.
func (p *program) named(pr *project, paths []string) ([]string, error) {
	var out []string
	for _, a := range paths {
		path := absolute(p.dir, a)
		switch {
		case file.IsDir(path):
			err := filepath.WalkDir(path, func(q string, d os.DirEntry, err error) error {
				switch {
				case err != nil:
					return err
				case d.IsDir() && q != path && (strings.HasPrefix(d.Name(), ".") || d.Name() == "__pycache__"):
					return filepath.SkipDir
				case !d.IsDir():
					out = append(out, q)
				}
				return nil
			})
			if err != nil {
				return nil, fmt.Errorf("reading %s: %w", a, err)
			}
		case file.Exists(path), pr.graph.LooksFor(path):
			out = append(out, path)
		default:
			return nil, &config.UsageError{Message: "no such file, and nobody looks for it: " + a}
		}
	}
	return out, nil
}

// differs asks git.
func (pr *project) differs(since string) (c changes, err error) {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	repo, err := git.Open(ctx, pr.root)
	if errors.Is(err, git.ErrNoRepository) || errors.Is(err, git.ErrNoGit) {
		return c, &config.UsageError{Message: err.Error() + "; name the files that changed: affected PATH..."}
	}
	if err != nil {
		return c, err
	}
	base, err := repo.Base(ctx, since)
	if err == nil {
		c.paths, err = repo.Changed(ctx, base)
	}
	var usage *git.RevError
	var shallow *git.ShallowError
	if errors.As(err, &usage) || errors.As(err, &shallow) {
		return c, &config.UsageError{Message: "--since " + since + ": " + err.Error()}
	}
	if err != nil {
		return c, err
	}
	c.was = func(path string) ([]byte, bool) { return repo.Show(context.WithoutCancel(ctx), base, path) }
	for _, p := range c.paths {
		if filepath.Ext(p) != ".py" || filepath.Base(p) != "conftest.py" && !pr.graph.IsRoot(p) {
			continue
		}
		if old, was := repo.Show(ctx, base, p); was && graph.SessionWide(pysrc.Parse(old)) {
			c.wide = append(c.wide, p)
		}
	}
	return c, nil
}
