package cli

import (
	"fmt"

	"github.com/dx-py/dx-py-ls/engine"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/graph"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// due decides which tests a run with --affected has.
func (p *program) due(ws *workspace.Workspace, r *engine.Request, f *testFlags) (*engine.Due, error) {
	snap := ws.Apply(workspace.Update{})
	if f.since == "" {
		return engine.FindDue(snap, r)
	}
	suite, err := snap.Suite()
	if err != nil {
		return nil, err
	}
	g, err := snap.Graph()
	if err != nil {
		return nil, err
	}
	pr := &project{ws: ws, dir: r.Dir, root: r.Root, suite: suite, graph: g}
	reasons, byFunctions, err := pr.since(snap, r, f.since)
	if err != nil {
		return nil, err
	}
	d := engine.NewDue(suite, func() *graph.Graph { return g }, reasons)
	d.ByFunctions = byFunctions
	return d, nil
}

// since gives each test, then each file without tests, its reason from what git says has changed.
func (pr *project) since(snap *workspace.Snapshot, r *engine.Request, rev string) (out []plan.Reason, byFunctions bool, err error) {
	c, err := pr.differs(rev)
	if err != nil {
		return nil, false, err
	}
	by := engine.NewSince(snap, r, c.paths, c.was)
	defer by.Close()
	reached, err := pr.reached(snap, r, c, true)
	if err != nil {
		return nil, false, err
	}
	add := func(it *pytest.Item) {
		why, _ := reached.Reason(it)
		out = append(out, why)
	}
	for _, it := range pr.suite.Items {
		if why, same := by.Same(it); same {
			out = append(out, plan.Reason{Text: why})
			continue
		}
		add(it)
	}
	for _, p := range pr.suite.Empty() {
		add(&pytest.Item{ID: relative(pr.root, p), Path: p})
	}
	return out, by != nil, nil
}

// manyChanges is of how many files git is asked whether they were there: each
// takes a process.
const manyChanges = 50

// reached is what changes reach, by what the texts say and by what runs have
// shown. Tests that are to run are reached by Python files, too, that nobody
// imports, until a run has shown who else reads them.
func (pr *project) reached(snap *workspace.Snapshot, r *engine.Request, c changes, toRun bool) (*plan.Reached, error) {
	on, err := engine.Dependence(snap, r)
	if err != nil {
		return nil, err
	}
	e := plan.Edit{Wide: []string{}, Idle: !toRun}
	for _, path := range c.paths {
		rel, is, was := on.Rel(path), file.Exists(path), true
		if c.was != nil && len(c.paths) <= manyChanges {
			_, was = c.was(path)
		} else {
			was = !is // it may have come
		}
		if e.Paths = append(e.Paths, rel); is != was {
			e.Moved = append(e.Moved, rel)
		}
		if !is && discover.TestFile(r.Config, path) {
			e.Tests = append(e.Tests, rel)
		}
	}
	for _, path := range c.wide {
		e.Wide = append(e.Wide, on.Rel(path))
	}
	return on.Reach(e), nil
}

// affectedOnly narrows the request to what is due.
func (p *program) affectedOnly(ws *workspace.Workspace, r *engine.Request, f *testFlags) (d *engine.Due, err error) {
	if r.Config == nil || !r.Env.HasPytest {
		return nil, fmt.Errorf("--affected needs pytest and a configuration that it can read")
	}
	if r.State == "" && f.since == "" {
		return nil, fmt.Errorf("--affected needs stored state: without --cold, and with a state folder")
	}
	if d, err = p.due(ws, r, f); err != nil {
		return nil, err
	}
	if !d.Known {
		fmt.Fprintf(p.stderr, "nothing is known of these tests yet: all %d run\n", len(d.Items))
	}
	d.Narrow(r, p.env)
	return d, nil
}

// quiet looks whether nothing can be due; nil where that is not asked for. A
// resident process knows without.
func (p *program) quiet(f testFlags, r *engine.Request) (q *engine.Quiet, unchanged int, still bool) {
	if p.call != nil || f.since != "" || r.Config == nil || !r.Env.HasPytest || r.State == "" {
		return nil, 0, false
	}
	return engine.LookQuiet(r)
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
func (p *program) explainDue(pr *project, pytestArgs []string, items []*pytest.Item) []plan.Reason {
	r := p.dueRequest(pr, pytestArgs)
	if r == nil {
		return nil
	}
	reasons, _, err := engine.DueReasons(pr.ws.Apply(workspace.Update{}), r, items)
	if err != nil {
		return nil // its graph is there already
	}
	return reasons
}

// dueRequest is a run of the project's tests, for what is known of such runs;
// nil where nothing is kept.
func (p *program) dueRequest(pr *project, pytestArgs []string) *engine.Request {
	if r, err := p.projectRequest(pr, pytestArgs); err == nil && r.State != "" {
		return r
	}
	return nil
}

// projectRequest is a run of the project's tests.
func (p *program) projectRequest(pr *project, pytestArgs []string) (*engine.Request, error) {
	snap := pr.ws.Apply(workspace.Update{})
	cfg, env, err := snap.Configure()
	if err != nil {
		return nil, err
	}
	return &engine.Request{Env: env, Dir: pr.dir, Vars: p.vars, Args: pytestArgs, State: snap.StateDir(), Root: cfg.Root, Config: cfg, Static: true}, nil
}
