package engine

import (
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/pool"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// recorder is the engine's own sink: what a run teaches.
type recorder struct {
	request  Request
	state    history.State   // of the project before the run; nil when nothing is remembered
	whole    bool            // the items are all in their files but for what the selection leaves out
	items    map[string]int  // how many of each file, relative to the root
	results  []pytest.Result // without their texts
	flaky    []string
	opened   history.Seen
	entire   bool // the items are all that pytest has
	complete bool // all that was opened is told
	began    time.Time
	read     []string // while the tests were collected
	status   int
}

// newRecorder looks at the project's files.
func newRecorder(r Request) *recorder {
	rec := &recorder{began: time.Now(), request: r, items: map[string]int{}, opened: history.Seen{Edges: map[string][]string{}}}
	if r.Config != nil && (r.State != "" || r.Before != nil) {
		rec.state = workspace.StateOf(r.State, r.Config, r.Env)
	}
	if r.Before != nil && rec.state != nil {
		r.Before(rec.state)
	}
	return rec
}

func (r *recorder) collected(s *pool.Session) {
	r.whole = s.Entire()
	at, _, err := config.Positional(r.request.Args)
	r.entire = s.Whole() && len(at) == 0 && err == nil && r.request.Due == nil
	r.read, _, _ = s.Read()
	for _, it := range s.Items() {
		r.items[pytest.ParseID(it.ID).Path]++
	}
}

// all reports whether each of the project's tests has run.
func (r *recorder) all() bool {
	left, ran := 0, map[string]bool{}
	for _, n := range r.items {
		left += n
	}
	for i := range r.results {
		ran[r.results[i].ID] = true // one that is tried again has more than one
	}
	return r.entire && r.complete && len(ran) == left
}

// take adds what some process saw.
func take(to *history.Seen, o *run.Observed) {
	for opener, paths := range o.Edges {
		to.Edges[opener] = append(to.Edges[opener], paths...)
	}
	to.Opaque = append(to.Opaque, o.Opaque...)
	to.Started = append(to.Started, o.Started...)
	to.Written = append(to.Written, o.Written...)
}

func (r *recorder) Event(e run.Event) {
	switch {
	case e.Test != nil:
		r.results = append(r.results, pytest.Result{ID: e.Test.ID, Outcome: e.Test.Outcome, Duration: e.Test.Duration})
	case e.Observed != nil:
		take(&r.opened, e.Observed)
	case e.Ended != nil:
		r.flaky, r.complete, r.status = e.Ended.Flaky, e.Ended.Whole, e.Ended.Status
	}
}

// known is what the run says of its tests in the state that it ran in. A file
// that has changed meanwhile is one of which nobody knows, but for those that
// tests write.
func (r *recorder) known(now time.Time, written map[string]bool) history.Known {
	k := history.Known{
		Env: r.request.DueEnv(), Selection: r.request.Selection(), When: now, State: r.state, Passed: map[string]bool{}, Failed: map[string]bool{}, Whole: map[string]bool{},
	}
	ran, seen := map[string]int{}, map[string]bool{}
	for i := range r.results {
		switch x := &r.results[i]; x.Outcome {
		case pytest.Passed, pytest.Skipped, pytest.XFailed:
			if r.complete {
				k.Passed[x.ID] = true
			}
		default:
			k.Failed[x.ID] = true
		}
		if id := r.results[i].ID; !seen[id] { // one that is tried again runs once
			seen[id] = true
			ran[pytest.ParseID(id).Path]++
		}
	}
	whole := r.whole && r.complete
	for path, n := range r.items {
		if whole && ran[path] == n {
			k.Whole[path] = true
		}
	}
	if whole && (r.status == 0 || r.status == 5) { // no file had an error
		for _, p := range r.read {
			if rel, in := file.Rel(r.request.Root, p); in && r.items[rel] == 0 && strings.HasSuffix(p, ".py") {
				k.Whole[rel] = true
			}
		}
	}
	after := workspace.StateOf(r.request.State, r.request.Config, r.request.Env)
	k.State = r.state.Settled(after, written)
	return k
}

// aside looks at the files, hidden ones and those of folders that are left out,
// that the run was the first to see opened:
// those that nobody has written meanwhile are part of the state it ran in.
func (r *recorder) aside() {
	aside(r.state, workspace.StateOf(r.request.State, r.request.Config, r.request.Env), r.request.Root, r.began)
}

func aside(state, after history.State, root string, began time.Time) {
	for _, p := range state.Differs(after) {
		if _, was := state[p]; was {
			continue
		}
		if !workspace.Touched(root, p, began) {
			state[p] = after[p]
		}
	}
}

// DueEnv names what results hold for beside the project's files: interpreter,
// what is installed, options, and variables: those that pytest and the
// interpreter read, and those of [tool.dx-py] env_depends.
func (r *Request) DueEnv() string {
	var vars []string
	for _, name := range append([]string{"PYTEST_ADDOPTS", "PYTEST_PLUGINS", "PYTHONPATH"}, r.Config.Tool.EnvDepends...) {
		value, set := r.variable(name)
		if !set {
			value = "\x00"
		}
		vars = append(vars, name+"="+value)
	}
	return workspace.CasesEnv(r.Env, r.Args) + strings.Join(vars, "\x00")
}

// variable is one of the environment's.
func (r *Request) variable(name string) (value string, set bool) {
	for _, kv := range r.Vars {
		if v, ok := strings.CutPrefix(kv, name+"="); ok {
			value, set = v, true
		}
	}
	return value, set
}

// Selection is the names and marks that are asked for, "" for none.
func (r *Request) Selection() string {
	c := r.Config
	if c.Keyword == "" && c.MarkExpr == "" && len(c.Deselect) == 0 {
		return ""
	}
	return fmt.Sprintf("%q %q %q", c.Keyword, c.MarkExpr, c.Deselect)
}

// history opens what is remembered of the request's root.
func (e *Engine) history(r Request) *history.History {
	if r.State == "" || r.Root == "" {
		return history.Open("")
	}
	return history.Open(workspace.StateFolder(r.State, r.Root))
}

// remember writes what a run taught; in an engine that lives, beside what it
// does next. What cannot be written the next run does not know.
func (e *Engine) remember(h *history.History, r *recorder) {
	now := time.Now()
	write := func() {
		defer h.Close()
		_ = h.Record(r.results, now)
		if r.state == nil || r.request.State == "" {
			return
		}
		dir := workspace.StateFolder(r.request.State, r.request.Root)
		r.opened.All = r.opened.All && r.all()
		opened := history.LoadOpened(dir)
		if opened.Add(r.request.Root, r.opened) {
			_ = opened.Save(dir)
		}
		r.aside()
		states := history.OpenStates(dir)
		defer states.Close()
		written := map[string]bool{}
		for _, p := range opened.Written {
			written[p] = true
		}
		k := r.known(now, written)
		_ = states.Keep(k)
		if n := Narrowing(&r.request); n != nil {
			_ = n.Shapes.Learn(r.request.Root, k.State)
			n.Close()
		}
	}
	if e == nil {
		write()
		return
	}
	e.writes.Lock() // one after another, and before whoever asks for what was learnt
	e.writing.Go(func() {
		defer e.writes.Unlock()
		write()
	})
}

// Settle returns when what runs have taught is written.
func (e *Engine) Settle() {
	if e != nil {
		for _, m := range []*sync.Mutex{&e.learns, &e.writes} {
			m.Lock()
			defer m.Unlock()
		}
	}
}

// learn keeps which cases the functions have, for what is found statically.
func (e *Engine) learn(r Request, s *pool.Session) {
	if r.State == "" || r.Root == "" {
		return
	}
	read, listed, ok := s.Read()
	if !ok {
		return
	}
	c := history.Collected{Root: r.Root, Env: workspace.CasesEnv(r.Env, r.Args), Read: read, Listed: listed, Cases: map[string][]string{}}
	for _, it := range s.Items() {
		path := pytest.ParseID(it.ID).Path
		c.Cases[path] = append(c.Cases[path], it.ID)
	}
	write := func() { _ = history.Learn(workspace.StateFolder(r.State, r.Root), c) } // the next collection will tell
	if e == nil {
		write()
		return
	}
	e.learns.Lock()
	e.writing.Go(func() {
		defer e.learns.Unlock()
		write()
	})
}
