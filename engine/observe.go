package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/file"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/pool"
	"github.com/dx-py/dx-py-ls/engine/pysrc"
	"github.com/dx-py/dx-py-ls/engine/pytest"
	"github.com/dx-py/dx-py-ls/engine/run"
	"github.com/dx-py/dx-py-ls/engine/wire"
	"github.com/dx-py/dx-py-ls/engine/workspace"
)

// Observation is what a pass saw that ran each test alone.
type Observation struct {
	history.Pass
	Tests    map[string]Entered // by id
	Outcomes map[string]string  // as pytest.Outcome says it, of those that came to their end

	opened history.Seen     // by the tests, as in a run
	rows   map[string][]int // as Entered's, of what ran for the session
}

// Entered is which functions of the project a test entered, by file, and which
// rows of the file ran then: of one without rows nobody knows. Not says why the
// test has to go by files all the same.
type Entered struct {
	Functions map[string][]string
	Rows      map[string][]int
	Not       string
}

// BlindError says that the functions that tests enter cannot be seen.
type BlindError struct{ Why string }

func (e *BlindError) Error() string { return "the functions that tests enter cannot be seen: " + e.Why }

// Blind is why the functions that a request's tests enter cannot be seen, as
// far as that is known without running anything; nil when nothing is.
func Blind(r *Request) error {
	switch {
	case discover.Unittest(r.Env):
		return &BlindError{"unittest runs the tests"}
	case !r.Env.Version.AtLeast(3, 12):
		return &BlindError{fmt.Sprintf("Python %d.%d cannot tell, it takes 3.12", r.Env.Version.Major, r.Env.Version.Minor)}
	case !pool.Supported:
		return &BlindError{"tests cannot be run in forks here"}
	case r.Config == nil || r.State == "":
		return &BlindError{"there is no stored state"}
	}
	return nil
}

// Observe runs the tests of a request that are due, each alone in a fork of the
// session, so that each has in its record what wider fixtures and caches would
// have kept from it. It returns when ctx ends at the latest.
func Observe(ctx context.Context, r Request) (*Observation, error) { return observe(ctx, r, 0) }

// observe is Observe of as many tests, in pytest's order, as begin within a
// time; 0 is for all.
func observe(ctx context.Context, r Request, within time.Duration) (*Observation, error) {
	if err := Blind(&r); err != nil {
		return nil, err
	}
	r.Stdin, r.Stdout, r.Stderr, r.Terminal, r.Texts, r.Workers, r.Retries = nil, nil, nil, false, false, 1, 0
	o := &Observation{
		Pass:     history.Pass{Env: r.DueEnv(), When: time.Now(), State: workspace.StateOf(r.State, r.Config, r.Env)},
		Tests:    map[string]Entered{},
		Outcomes: map[string]string{},
		opened:   history.Seen{Edges: map[string][]string{}},
	}
	if o.State == nil {
		return nil, &BlindError{"the project has too many folders"}
	}
	if r.plugged("pytest_cov") {
		r.Args = append([]string{"--no-cov"}, r.Args...) // it would trace the code
	}
	s, err := r.settings()
	if err != nil {
		return nil, err
	}
	s.Functions, s.Record = true, true
	ears := hear(&r, o.State)
	defer ears.close(nil)
	session, err := pool.Open(ctx, s)
	if err != nil {
		return nil, err
	}
	defer session.Close()
	if status, ended := session.Ended(); ended {
		return nil, fmt.Errorf("pytest ended with status %d before it ran a test", status)
	}
	if why := session.Blind(); why != "" {
		return nil, &BlindError{why}
	}
	for _, seen := range session.Observed() {
		take(&o.opened, seen)
		o.Opaque = append(append(o.Opaque, seen.Opaque...), seen.Started...)
	}
	session.Ajar(ears.doors())
	if err := o.run(ctx, session, r, within); err != nil {
		return nil, err
	}
	ears.tell(&o.opened)
	o.opened.All = false
	session.Sweep(0)
	return o, nil
}

// plugged reports whether a plugin is installed.
func (r *Request) plugged(name string) bool {
	for _, p := range r.Env.Plugins {
		if p.Module == name || strings.HasPrefix(p.Module, name+".") {
			return true
		}
	}
	return false
}

// alone is what is said of a test that ran alone: nothing of one that did not
// come to its end.
type alone struct {
	Functions map[string][]string `json:"functions"`
	Rows      map[string][]int    `json:"rows"`
	Outcome   string              `json:"outcome"`
	Random    bool                `json:"random"`  // its inputs are others each time
	Sources   bool                `json:"sources"` // it looks at the text of the project's code
	Observed  *run.Observed       `json:"observed"`
}

// run hears the session's observer out.
func (o *Observation) run(ctx context.Context, session *pool.Session, r Request, within time.Duration) error {
	items := session.Items()
	var left []uint32
	for i, it := range items {
		if r.Due == nil || r.Due(it.ID) {
			left = append(left, uint32(i))
		}
	}
	began := time.Now()
	signals := make(chan run.Signal, 64)
	session.Choose(nil, false, r.Timeout)
	w, err := session.Start(run.Observer, 0, 0, 1, signals)
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = w.Signal(os.Kill) })
	defer stop()
	finished := false
	next := func() {
		switch {
		case finished:
		case len(left) == 0 || within > 0 && time.Since(began) > within:
			finished = true
			_ = w.Finish() // when it is gone, that is its last signal
		default:
			_ = w.Run([]uint32{left[0], 1})
			left = left[1:]
		}
	}
	next()
	next() // it waits for no item then
	var done struct {
		Session map[string][]string `json:"session"`
		Rows    map[string][]int    `json:"rows"`
		Early   []string            `json:"early"`
	}
	ended := false
	for s := range signals {
		switch s.Kind {
		case wire.Functions:
			var x alone
			if s.Item >= len(items) || json.Unmarshal(s.Payload, &x) != nil {
				return errors.New("a worker said what is no record of a test")
			}
			o.take(items[s.Item].ID, x)
			next()
		case wire.Observed:
			var seen run.Observed
			if json.Unmarshal(s.Payload, &seen) == nil {
				take(&o.opened, &seen)
				o.Opaque = append(append(o.Opaque, seen.Opaque...), seen.Started...)
			}
		case wire.Done:
			ended = json.Unmarshal(s.Payload, &done) == nil
		case run.Gone:
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			if !ended {
				return errors.New("the process in which each test runs alone has ended before all had run")
			}
			o.Session, o.rows, o.Early = done.Session, done.Rows, done.Early
			return nil
		}
	}
	return nil
}

func (o *Observation) take(id string, x alone) {
	e := Entered{Functions: x.Functions, Rows: x.Rows}
	switch {
	case x.Outcome == "":
		e.Not = "alone it did not come to its end"
	case x.Observed == nil || len(x.Observed.Opaque)+len(x.Observed.Started) > 0:
		e.Not = "it starts processes"
	case x.Random: // hypothesis looks at sources too
		e.Not = "its inputs are others each time"
	case x.Sources:
		e.Not = "it looks at sources"
	}
	o.Tests[id] = e
	if x.Outcome != "" {
		o.Outcomes[id] = x.Outcome
	}
	if x.Observed != nil {
		take(&o.opened, x.Observed)
	}
}

// patience is how long a command that ends with its run goes on for what makes
// the next one shorter.
var patience = 5 * time.Second

// ObserveAgain observes the tests of a request's run anew, each alone: ran are
// their outcomes. An engine that lives does it beside what follows, and gives it
// up when another run begins. What cannot be seen goes by files the next time.
func (e *Engine) ObserveAgain(ctx context.Context, r Request, ran map[string]pytest.Outcome) {
	r.Before, r.Refused, r.Synced, r.Kill = nil, nil, nil, nil
	due := r.Due
	r.Due = func(id string) bool {
		_, did := ran[id]
		return did && (due == nil || due(id))
	}
	if len(ran) == 0 {
		return
	}
	again := func(ctx context.Context, keep sync.Locker, within time.Duration) {
		if o, err := observe(ctx, r, within); err == nil {
			keep.Lock()
			defer keep.Unlock()
			_, _ = o.Keep(&r, ran)
		}
	}
	if e == nil {
		again(ctx, new(sync.Mutex), patience)
		return
	}
	ctx, cancel := context.WithCancel(context.Background())
	e.observing.Lock()
	defer e.observing.Unlock()
	done := make(chan struct{})
	e.unobserve, e.observed = cancel, done
	e.writing.Go(func() {
		defer close(done)
		defer cancel()
		again(ctx, &e.writes, 0)
	})
}

// Observing is closed when ObserveAgain is done with what it does now, or has
// given it up; nil when there is nothing: what changes till then tests may write.
func (e *Engine) Observing() <-chan struct{} {
	e.observing.Lock()
	defer e.observing.Unlock()
	return e.observed
}

// notObserving gives up what ObserveAgain does.
func (e *Engine) notObserving() {
	if e == nil {
		return
	}
	e.observing.Lock()
	defer e.observing.Unlock()
	if e.unobserve != nil {
		e.unobserve()
		e.unobserve, e.observed = nil, nil
	}
}

// Written are the files, absolute, that a request's tests were seen to write.
func Written(r *Request) map[string]bool {
	out := map[string]bool{}
	if r.State == "" {
		return out
	}
	for _, rel := range history.LoadOpened(workspace.StateFolder(r.State, r.Root)).Written {
		out[filepath.Join(r.Root, filepath.FromSlash(rel))] = true
	}
	return out
}

// Keep writes what the pass saw, of tests in files of which all ended in a run
// in the same state as they did alone; the others go by files. It says of how many tests
// the functions are known.
func (o *Observation) Keep(r *Request, ran map[string]pytest.Outcome) (known int, err error) {
	dir := workspace.StateFolder(r.State, r.Root)
	opened := history.LoadOpened(dir)
	if opened.Add(r.Root, o.opened) {
		if err := opened.Save(dir); err != nil {
			return 0, err
		}
	}
	written := map[string]bool{}
	for _, p := range opened.Written {
		written[p] = true
	}
	for i, p := range o.Opaque {
		if rel, in := file.Rel(r.Root, p); in && filepath.IsAbs(p) {
			o.Opaque[i] = rel
		}
	}
	after := workspace.StateOf(r.State, r.Config, r.Env)
	aside(o.State, after, r.Root, o.When)
	o.State = o.State.Settled(after, written)
	shapes := openShapes(r)
	defer shapes.Close()
	if err := shapes.Learn(r.Root, o.State); err != nil {
		return 0, err
	}
	arms := armsOf{r: r, state: o.State, files: map[string][]pysrc.Function{}}
	o.Session = arms.entered(o.Session, o.rows)
	together := map[string]bool{} // files with tests that need others of the file
	for id, e := range o.Tests {
		if _, was := ran[id]; !was {
			delete(o.Tests, id)
			continue
		}
		if outcome, ended := o.Outcomes[id]; ended && ran[id].String() != outcome {
			together[pytest.ParseID(id).Path] = true
			e.Not = "alone it ended otherwise: " + outcome + ", not " + ran[id].String()
			o.Tests[id] = e
		}
	}
	tests := map[string]map[string][]string{}
	for id, e := range o.Tests {
		if e.Not == "" && together[pytest.ParseID(id).Path] {
			e.Not = "a test of its file needs others"
			o.Tests[id] = e
		}
		if tests[id] = nil; e.Not == "" {
			tests[id] = arms.entered(e.Functions, e.Rows)
			known++
		}
	}
	x := history.OpenExecuted(dir)
	defer x.Close()
	return known, x.Keep(o.Pass, tests)
}
