package engine

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// Audited is what an audit has found.
type Audited struct {
	Tests     int            // that ran
	Functions int            // of which the functions are known that they enter
	Not       map[string]int // why the others go by files
	Left      int            // tests that would have been left out
	Misses    []string       // those of them that did not end well
	Observing time.Duration  // each alone
	Running   time.Duration  // all
}

// Audit observes all tests of a request, each alone, and runs all. Where no
// test that would have been left out has changed its outcome, what is due is
// found by functions from then on, and not else.
func Audit(ctx context.Context, e *Engine, snap *workspace.Snapshot, r Request) (*Audited, error) {
	if err := Blind(&r); err != nil {
		return nil, err
	}
	began := time.Now()
	o, err := Observe(ctx, r)
	if err != nil {
		return nil, err
	}
	a := &Audited{Not: map[string]int{}, Observing: time.Since(began)}
	var before []history.Known // as long as nothing is known of the run that follows
	Recall(&r, func(k history.Known) bool {
		before = append(before, k)
		return true
	})
	ran := Outcomes{}
	began = time.Now()
	all := r
	all.Stdin, all.Stdout, all.Stderr = nil, nil, nil
	if status, err := e.Run(ctx, all, ran); err != nil {
		return nil, err
	} else if status > 1 {
		return nil, fmt.Errorf("the run of all tests ended with pytest's exit status %d", status)
	}
	e.Settle()
	a.Tests, a.Running = len(ran), time.Since(began)
	if slices.ContainsFunc(o.State.Differs(workspace.StateOf(r.State, r.Config, r.Env)), func(p string) bool { return strings.HasSuffix(p, ".py") }) {
		return nil, errors.New("files of the project have changed during the audit")
	}
	if a.Functions, err = o.Keep(&r, ran); err != nil {
		return nil, fmt.Errorf("writing which functions the tests enter: %w", err)
	}
	if err := a.compare(snap, &r, before, ran, o); err != nil {
		return nil, err
	}
	dir := workspace.StateFolder(r.State, r.Root)
	x := history.OpenExecuted(dir)
	defer x.Close()
	found := history.Audit{}
	if len(a.Misses) == 0 {
		found = history.Audit{Env: o.Env, When: time.Now(), Tests: a.Functions}
	}
	return a, x.SetAudit(found)
}

// compare decides by what was known before the run, and looks how that ended.
func (a *Audited) compare(snap *workspace.Snapshot, r *Request, before []history.Known, ran Outcomes, o *Observation) error {
	d, err := Dependence(snap, r)
	if err != nil {
		return err
	}
	opaque := map[string]string{} // by file
	for id, x := range o.Tests {
		why, path := x.Not, pytest.ParseID(id).Path
		if why == "" {
			if _, asked := opaque[path]; !asked {
				opaque[path] = d.Opaque(&o.Pass, path)
			}
			if why = opaque[path]; why != "" {
				a.Functions--
			}
		}
		if why != "" {
			a.Not[why]++
		}
	}
	d.Now, d.Narrow = o.State, openNarrow(r)
	defer d.Narrow.Close()
	d.Known = func(f func(history.Known) bool) {
		for _, k := range before {
			if !f(k) {
				return
			}
		}
	}
	left := map[string]bool{}
	for i, reason := range d.Decide() {
		if !reason.Due {
			left[d.Items[i].ID] = true
		}
	}
	for _, id := range slices.Sorted(maps.Keys(ran)) {
		if left[id] || left[pytest.Bare(id)] {
			a.Left++
			switch ran[id] {
			case pytest.Passed, pytest.Skipped, pytest.XFailed:
			default:
				a.Misses = append(a.Misses, id+": "+ran[id].String())
			}
		}
	}
	return nil
}

// Outcomes are those of a run's tests by id: a Sink.
type Outcomes map[string]pytest.Outcome

// Event keeps an outcome.
func (o Outcomes) Event(e run.Event) {
	if e.Test != nil {
		o[e.Test.ID] = e.Test.Outcome
	}
}

// Narrowing is what goes by functions; nil where no audit has shown for the
// request's tests that this can be done. The caller closes it.
func Narrowing(r *Request) *plan.Narrow {
	if Blind(r) != nil {
		return nil
	}
	n := openNarrow(r)
	if a, ok := n.Executed.Audit(); !ok || a.Env != n.Env {
		n.Close()
		return nil
	}
	return n
}

func openNarrow(r *Request) *plan.Narrow {
	dir := workspace.StateFolder(r.State, r.Root)
	return &plan.Narrow{Env: r.DueEnv(), Executed: history.OpenExecuted(dir), Shapes: openShapes(r)}
}
