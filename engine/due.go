package engine

import (
	"slices"

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

// Due is which tests of a project are due.
type Due struct {
	Items       []*pytest.Item
	Reasons     []plan.Reason // of Items
	Files       []string      // with tests that are due, or that are broken; in pytest's order
	All         int           // files with tests; 0 when nothing is due
	Known       bool          // something is known of earlier runs
	ByFunctions bool          // an audit has shown that what is due can be found by functions
	Others      bool          // there may be tests that are not among Items: they are always due
}

// FindDue decides by what is known of earlier runs. The request's Root and
// Config must be known.
func FindDue(snap *workspace.Snapshot, r *Request) (*Due, error) {
	look, recall := looking(r), recalling(r) // beside what finds the tests
	suite, err := snap.Suite()
	now := look()
	if err != nil {
		recall(func(history.Known) bool { return false })
		return nil, err
	}
	reasons, known, narrowed, err := dueReasons(snap, r, suite.Items, suite.Empty(), now, recall)
	if err != nil {
		return nil, err
	}
	d := NewDue(suite, graphOf(snap), reasons)
	d.Known, d.ByFunctions = known, narrowed
	return d, nil
}

// graphOf gives the graph of a snapshot that has a suite, when it is asked for:
// of 10,000 files it takes twice as long as to see that none has changed.
func graphOf(snap *workspace.Snapshot) func() *graph.Graph {
	return func() *graph.Graph {
		g, _ := snap.Graph() // it fails with the suite only
		return g
	}
}

// NewDue is Due with the reason of each item of the suite, then of each file
// without tests.
func NewDue(suite *discover.Suite, graph func() *graph.Graph, reasons []plan.Reason) *Due {
	d := &Due{Items: suite.Items, Reasons: reasons[:len(suite.Items)], Known: true, Others: suite.Others}
	due := map[string]bool{}
	for i, p := range suite.Empty() {
		due[p] = reasons[len(suite.Items)+i].Due
	}
	for i, it := range suite.Items {
		if reasons[i].Due {
			due[it.Path] = true
		}
	}
	if len(suite.Problems) == 0 && !slices.ContainsFunc(reasons, func(r plan.Reason) bool { return r.Due }) {
		return d
	}
	g := graph()
	for _, x := range suite.Problems {
		if g.IsRoot(x.Path) {
			due[x.Path] = true // pytest says what is wrong with it
		}
	}
	d.All = len(g.Roots())
	var files []string
	for _, root := range g.Roots() {
		if due[root] {
			files = append(files, root)
		}
	}
	if len(files) <= maxDueFiles {
		for _, root := range g.Namesakes(files) { // an error of the whole is one of the part
			due[root] = true
		}
	}
	for _, root := range g.Roots() {
		if due[root] {
			d.Files = append(d.Files, root)
		}
	}
	return d
}

// DueReasons gives some tests their reasons, and says whether anything is known
// of earlier runs.
func DueReasons(snap *workspace.Snapshot, r *Request, items []*pytest.Item) (reasons []plan.Reason, known bool, err error) {
	reasons, known, _, err = someReasons(snap, r, items)
	return reasons, known, err
}

// ByFunctions is DueReasons where what is due is found by functions, else false.
func ByFunctions(snap *workspace.Snapshot, r *Request, items []*pytest.Item) ([]plan.Reason, bool) {
	n := Narrowing(r)
	if n == nil {
		return nil, false
	}
	n.Close()
	reasons, known, narrowed, err := someReasons(snap, r, items)
	return reasons, known && narrowed && err == nil
}

// someReasons are those of some tests, as FindDue finds them.
func someReasons(snap *workspace.Snapshot, r *Request, items []*pytest.Item) (reasons []plan.Reason, known, narrowed bool, err error) {
	suite, err := snap.Suite()
	if err != nil {
		return nil, false, false, err
	}
	reasons, known, narrowed, err = dueReasons(snap, r, items, suite.Empty(), workspace.StateOf(r.State, r.Config, r.Env), recalling(r))
	return reasons[:min(len(items), len(reasons))], known, narrowed, err
}

// looking begins to look at the project's files; what it returns waits for that.
func looking(r *Request) func() history.State {
	found := make(chan history.State, 1)
	go func() { found <- workspace.StateOf(r.State, r.Config, r.Env) }()
	return func() history.State { return <-found }
}

// recaller is Recall, to be called once.
type recaller func(f func(history.Known) bool)

// recalling begins to recall, and is one state ahead of who asks: one of 10,000
// files takes 20 ms to read.
func recalling(r *Request) recaller {
	states, enough := make(chan history.Known, 1), make(chan struct{})
	go func() {
		defer close(states)
		Recall(r, func(k history.Known) bool {
			select {
			case states <- k:
				return true
			case <-enough:
				return false
			}
		})
	}()
	return func(f func(history.Known) bool) {
		for k := range states {
			if !f(k) {
				break
			}
		}
		close(enough)
		for range states { // until it has ended
		}
	}
}

func dueReasons(snap *workspace.Snapshot, r *Request, items []*pytest.Item, empty []string, now history.State, recall recaller) (reasons []plan.Reason, known, narrowed bool, err error) {
	asked := false
	defer func() {
		if !asked {
			recall(func(history.Known) bool { return false })
		}
	}()
	d, err := Dependence(snap, r)
	if err != nil {
		return nil, false, false, err
	}
	d.Narrow = Narrowing(r)
	defer d.Narrow.Close()
	d.Items, d.Empty, d.Now = items, empty, now
	d.Known = func(f func(history.Known) bool) {
		if d.Now == nil {
			return // too large a project to be looked at
		}
		asked = true
		recall(func(k history.Known) bool {
			known = true
			return f(k)
		})
	}
	return d.Decide(), known, d.Narrow != nil, nil
}

// Dependence is what decides which tests a change reaches, without what is
// known of earlier runs.
func Dependence(snap *workspace.Snapshot, r *Request) (*plan.Due, error) {
	suite, err := snap.Suite()
	if err != nil {
		return nil, err
	}
	d := &plan.Due{Items: suite.Items, All: suite.Items, Graph: graphOf(snap), Root: r.Root, Tool: r.Config.Tool, Selection: r.Selection()}
	if r.State != "" {
		d.Opened = history.LoadOpened(workspace.StateFolder(r.State, r.Root))
	}
	return d, nil
}

// Recall calls f with what is known of the request's tests in states of the
// project, the newest first, until f returns false.
func Recall(r *Request, f func(history.Known) bool) {
	if r.State == "" {
		return
	}
	states := history.OpenStates(workspace.StateFolder(r.State, r.Root))
	defer states.Close()
	states.All(r.DueEnv(), f)
}

// Count is how many tests are due; one whose cases are not known counts once.
func (d *Due) Count() (n int) {
	for _, r := range d.Reasons {
		if r.Due {
			n++
		}
	}
	return n
}

// Narrow has a run leave out what is not due. pytest collects only the files
// that it needs, where it finds the same configuration with them. env is the
// run's environment.
func (d *Due) Narrow(r *Request, env map[string]string) {
	unchanged := map[string]bool{}
	for i, it := range d.Items {
		if !d.Reasons[i].Due {
			unchanged[it.ID] = true
		}
	}
	r.Due = func(id string) bool { return !unchanged[id] && !unchanged[pytest.Bare(id)] }
	r.Args = append(slices.Clone(r.Args), "--continue-on-collection-errors")
	at, _, err := config.Positional(r.Args)
	if err != nil || len(at) > 0 || d.Others || len(d.Files) == d.All || len(d.Files) > maxDueFiles {
		return
	}
	args := append(slices.Clone(r.Args), d.Files...)
	cfg, err := config.Load(config.Input{Dir: r.Dir, Args: args, AddOpts: env["PYTEST_ADDOPTS"], Plugins: env["PYTEST_PLUGINS"]}, r.Config.Version)
	if err == nil && cfg.Root == r.Config.Root && cfg.IniPath == r.Config.IniPath {
		r.Args = args
		for i, it := range d.Items {
			if !d.Reasons[i].Due && !slices.Contains(d.Files, it.Path) {
				r.Elsewhere++
			}
		}
	}
}
