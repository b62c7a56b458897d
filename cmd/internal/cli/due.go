package cli

import (
	"fmt"
	"slices"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/graph"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// maxDueFiles is how many files are named to pytest instead of the whole
// project: it compares each with each that it has collected.
const maxDueFiles = 200

// dueTests is what --affected has found.
type dueTests struct {
	items   []*pytest.Item
	reasons []plan.Reason
	files   []string // with tests that are due, or that are broken; in pytest's order
	all     int      // files with tests
	known   bool     // something is known of earlier runs
	others  bool     // there may be tests that are not among items: they are always due
}

// due decides which tests a run with --affected has.
func (p *program) due(ws *workspace.Workspace, r *engine.Request, f *testFlags) (*dueTests, error) {
	snap := ws.Apply(workspace.Update{})
	suite, err := snap.Suite()
	if err != nil {
		return nil, err
	}
	g, err := snap.Graph()
	if err != nil {
		return nil, err
	}
	d := &dueTests{items: suite.Items, others: suite.Others}
	if f.since != "" {
		pr := &project{ws: ws, dir: r.Dir, root: r.Root, suite: suite, graph: g}
		if d.reasons, err = pr.since(f.since); err != nil {
			return nil, err
		}
		d.known = true
	} else {
		d.reasons, d.known = decide(snap, r, suite, g)
	}
	dueFiles := map[string]bool{}
	for i, p := range suite.Empty() {
		if d.reasons[len(suite.Items)+i].Due {
			dueFiles[p] = true
		}
	}
	d.reasons = d.reasons[:len(suite.Items)]
	for i, it := range suite.Items {
		if d.reasons[i].Due {
			dueFiles[it.Path] = true
		}
	}
	for _, x := range suite.Problems {
		if g.IsRoot(x.Path) {
			dueFiles[x.Path] = true // pytest says what is wrong with it
		}
	}
	d.all = len(g.Roots())
	for _, root := range g.Roots() {
		if dueFiles[root] {
			d.files = append(d.files, root)
		}
	}
	return d, nil
}

// decide gives each test, then each file without tests, its reason from what is
// known of earlier runs.
func decide(snap *workspace.Snapshot, r *engine.Request, suite *discover.Suite, g *graph.Graph) (reasons []plan.Reason, known bool) {
	dir := workspace.StateFolder(r.State, r.Root)
	states := history.OpenStates(dir)
	defer states.Close()
	opened := history.LoadOpened(dir)
	now := workspace.StateOf(r.State, r.Config)
	d := plan.Due{
		Items: suite.Items, Empty: suite.Empty(), Graph: g, Root: r.Root, Now: now, Opened: opened, Tool: r.Config.Tool, Selection: r.Selection(),
		Known: func(f func(history.Known) bool) {
			if now == nil {
				return // too large a project to be looked at
			}
			states.All(r.DueEnv(), func(k history.Known) bool {
				known = true
				return f(k)
			})
		},
	}
	return d.Decide(), known
}

// since gives each test, then each file without tests, its reason from what git says has changed.
func (pr *project) since(rev string) ([]plan.Reason, error) {
	changed, wide, err := pr.differs(rev)
	if err != nil {
		return nil, err
	}
	reach := pr.graph.Affected(changed, wide...)
	reached := map[string]bool{}
	for _, root := range reach.Roots() {
		reached[root] = true
	}
	var out []plan.Reason
	add := func(path string) {
		r := plan.Reason{Due: reached[path]}
		r.Path, _ = reach.Path(path)
		out = append(out, r)
	}
	for _, it := range pr.suite.Items {
		add(it.Path)
	}
	for _, p := range pr.suite.Empty() {
		add(p)
	}
	return out, nil
}

// count is how many tests are due; one whose cases are not known counts once.
func (d *dueTests) count() (n int) {
	for _, r := range d.reasons {
		if r.Due {
			n++
		}
	}
	return n
}

// narrow has a run leave out what is not due. pytest collects only the files
// that it needs, where it finds the same configuration with them.
func (d *dueTests) narrow(r *engine.Request, env map[string]string) {
	unchanged := map[string]bool{}
	for i, it := range d.items {
		if !d.reasons[i].Due {
			unchanged[it.ID] = true
		}
	}
	r.Due = func(id string) bool { return !unchanged[id] && !unchanged[pytest.Bare(id)] }
	r.Args = append(slices.Clone(r.Args), "--continue-on-collection-errors")
	at, _, err := config.Positional(r.Args)
	if err != nil || len(at) > 0 || d.others || len(d.files) == d.all || len(d.files) > maxDueFiles {
		return
	}
	args := append(slices.Clone(r.Args), d.files...)
	cfg, err := config.Load(config.Input{Dir: r.Dir, Args: args, AddOpts: env["PYTEST_ADDOPTS"], Plugins: env["PYTEST_PLUGINS"]}, r.Config.Version)
	if err == nil && cfg.Root == r.Config.Root && cfg.IniPath == r.Config.IniPath {
		r.Args = args
		for i, it := range d.items {
			if !d.reasons[i].Due && !slices.Contains(d.files, it.Path) {
				r.Elsewhere++
			}
		}
	}
}

// affectedOnly narrows the request to what is due.
func (p *program) affectedOnly(ws *workspace.Workspace, r *engine.Request, f *testFlags) (d *dueTests, err error) {
	if r.Config == nil || !r.Env.HasPytest {
		return nil, fmt.Errorf("--affected needs pytest and a configuration that it can read")
	}
	if r.State == "" && f.since == "" {
		return nil, fmt.Errorf("--affected needs stored state: without --cold, and with a state folder")
	}
	if d, err = p.due(ws, r, f); err != nil {
		return nil, err
	}
	if !d.known {
		fmt.Fprintf(p.stderr, "nothing is known of these tests yet: all %d run\n", len(d.items))
	}
	d.narrow(r, p.env)
	return d, nil
}

// unchangedLine says what was left out. Nothing of it is said to have passed.
func unchangedLine(ran, unchanged int, since string) string {
	why := "unchanged since they passed"
	if since != "" {
		why = "not reached by what differs from " + since
	}
	return fmt.Sprintf("%d run · %d %s", ran, unchanged, why)
}

// explainDue says why a test would run, or need not.
func (p *program) explainDue(pr *project, f graphFlags, pytestArgs []string, items []*pytest.Item) []plan.Reason {
	state := p.stateDir(f.stateDir)
	snap := pr.ws.Apply(workspace.Update{})
	cfg, env, err := snap.Configure()
	if err != nil || state == "" {
		return nil
	}
	if cfg.Tool.StateDir != "" && f.stateDir == "" {
		state = absolute(cfg.Root, cfg.Tool.StateDir)
	}
	r := &engine.Request{Env: env, Dir: pr.dir, Vars: p.vars, Args: pytestArgs, State: state, Root: cfg.Root, Config: cfg}
	reasons, _ := decide(snap, r, &discover.Suite{Items: items}, pr.graph)
	return reasons
}
