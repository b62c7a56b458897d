package engine

import (
	"time"

	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/pool"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// recorder is the engine's own sink: what a run teaches.
type recorder struct {
	results []pytest.Result // without their texts
	flaky   []string
}

func (r *recorder) Event(e run.Event) {
	switch {
	case e.Test != nil:
		r.results = append(r.results, pytest.Result{ID: e.Test.ID, Outcome: e.Test.Outcome, Duration: e.Test.Duration})
	case e.Ended != nil:
		r.flaky = e.Ended.Flaky
	}
}

// history opens what is remembered of the request's root.
func (e *Engine) history(r Request) *history.History {
	if r.State == "" || r.Root == "" {
		return history.Open("")
	}
	return history.Open(workspace.StateFolder(r.State, r.Root))
}

// remember writes what a run taught; in an engine that lives, beside what it
// does next.
func (e *Engine) remember(h *history.History, results []pytest.Result) {
	write := func() {
		defer h.Close()
		_ = h.Record(results, time.Now()) // the next run knows less
	}
	if e == nil {
		write()
		return
	}
	e.writing.Go(write)
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
	e.writing.Go(write)
}
