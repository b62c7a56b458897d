// Package engine runs a project's tests: the one place where what is found
// statically, the worker processes and the sinks meet. The command line and
// the language server call the same Run.
package engine

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/dx-py/dx-py-ls/engine/config"
	"github.com/dx-py/dx-py-ls/engine/cover"
	"github.com/dx-py/dx-py-ls/engine/discover"
	"github.com/dx-py/dx-py-ls/engine/history"
	"github.com/dx-py/dx-py-ls/engine/internal/clock"
	"github.com/dx-py/dx-py-ls/engine/plan"
	"github.com/dx-py/dx-py-ls/engine/pool"
	"github.com/dx-py/dx-py-ls/engine/pyenv"
	"github.com/dx-py/dx-py-ls/engine/run"
)

// Request is one run of tests.
type Request struct {
	Env    *pyenv.Env
	Dir    string         // working directory
	Vars   []string       // environment, KEY=VALUE
	Args   []string       // pytest's arguments, or unittest's where there is no pytest
	State  string         // folder for state, "" for none
	Static bool           // no Python may be started, not even to compile
	Config *config.Config // of the arguments; nil when it is not known: nothing is remembered then
	Root   string         // pytest's rootdir; "" when it is not known: nothing is remembered then, and ids are of Dir where there is no pytest

	Module    bool // as python -m pytest, with the working directory on sys.path
	Workers   int  // processes that run tests; 0 is 1
	Dist      plan.Dist
	Shard     plan.Shard
	Seed      *int64                  // shuffles the modules; nil for pytest's order
	Durations func(id string) float64 // seconds, negative where not known; nil: those of earlier runs, which no shard follows
	Due       func(id string) bool    // nil: all are; else the others need not run
	// Elsewhere counts tests that are not due in files that Args leaves out.
	Elsewhere int
	Retries   int
	Timeout   time.Duration // how long a test may take; 0 for ever
	FlakyFail bool          // a test that passed when it ran again is a failure
	Terminal  bool          // tests may read the caller's terminal

	// Debugged has the tests run in a process that waits, before it reads anything
	// of the project, until a debugger has attached to the loopback port that it is
	// called with. No time limit holds, nothing is remembered. Of an Engine that is
	// nil, and one worker; nil for nobody.
	Debugged func(port int)

	Texts bool            // results carry what pytest prints of a failure
	Kill  <-chan struct{} // closed when a cancelled run is to end at once

	// Cover is filled with the lines that tests run, and what each test runs is
	// kept in State; nothing else is remembered. Of an Engine that is nil, and one
	// worker; nil for nobody.
	Cover *cover.Report

	Stdin, Stdout, Stderr *os.File // nil: /dev/null

	// Before is called with the digests of the project's files before anything of
	// it is read, where Config is known. It must not change them. nil for nobody.
	Before func(history.State)
	// Refused is called with what pytest printed when it ended before it would
	// run a test. nil for nobody; only an Engine that is not nil calls it.
	Refused func(printed string)
	// Synced, when not nil, is called when all is collected, or what was has been
	// found to be as it was.
	Synced func()
}

// NoPytestError says that the interpreter has no pytest, and an option that is
// pytest's, "" where nothing can do without.
type NoPytestError struct {
	Env    *pyenv.Env
	Option string
}

func (e *NoPytestError) Error() string {
	if e.Option != "" {
		return e.Option + " is no option of unittest's, and " + e.Env.NoPytest()
	}
	return e.Env.NoPytest()
}

// Check says why pytest cannot be run: there is no interpreter, or it has no
// pytest.
func (r *Request) Check() error {
	switch {
	case r.Env.Python == "":
		return pyenv.ErrNone
	case !r.Env.HasPytest:
		return &NoPytestError{Env: r.Env}
	}
	return nil
}

// Engine keeps processes between runs. The zero Engine is ready; close it when
// done.
type Engine struct {
	// Attentive has what edits outdate of the last run's processes made anew
	// beside, before anybody asks for a run.
	Attentive bool

	attends sync.Mutex
	leave   func() // ends the attention; nil when there is none

	pool    pool.Pool
	writing sync.WaitGroup // what goes on beside what follows: histories that are written
	writes  sync.Mutex     // held while results are written
	learns  sync.Mutex     // held while cases are

	observing sync.Mutex
	unobserve func()        // ends what ObserveAgain does; nil when there is nothing
	observed  chan struct{} // closed behind it
}

// Timed is an attentive Engine that a clock tells what is old.
func Timed(c clock.Clock) *Engine {
	return &Engine{Attentive: true, pool: pool.Pool{Clock: c}}
}

// Close ends all processes. No run may be under way.
func (e *Engine) Close() {
	e.ignore()
	e.notObserving()
	e.pool.Close()
	e.writing.Wait()
}

// Run runs the tests that pytest would run for the request's arguments and
// returns pytest's exit status. What pytest prints goes to the request's
// files, results go to the sinks. Where the interpreter has no pytest, all that
// is unittest's.
//
// A nil Engine starts an interpreter for the run; another one has pytest
// imported, and what was collected for the last run where nothing of it has
// changed.
func (e *Engine) Run(ctx context.Context, r Request, sinks ...run.Sink) (status int, err error) {
	if r.Env.Python == "" {
		return 4, pyenv.ErrNone
	}
	e.notObserving()
	s, err := r.settings()
	if err != nil {
		return 4, err
	}
	if r.Cover != nil {
		sinks = append(sinks, r.Cover)
		defer r.keepCovered()()
		r.State = ""
	}
	seen := newRecorder(r) // before anything of the project is read
	ears := hear(&r, seen.state)
	defer ears.close(e)
	session, err := e.open(ctx, s)
	if err != nil {
		return 3, err
	}
	defer e.close(r, session)
	if r.Synced != nil {
		r.Synced()
	}
	if status, ended := session.Ended(); ended {
		if r.Refused != nil {
			r.Refused(session.Printed())
		}
		for _, said := range session.Sweep(run.Lingering) {
			for _, s := range sinks {
				s.Event(run.Event{Problem: &run.Problem{Message: said}})
			}
		}
		return status, nil
	}
	o := session.Options()
	o.Version, o.Terminal, o.Timeout, o.Kill, o.Elsewhere = r.Env.Pytest.String(), r.Terminal, r.Timeout, r.Kill, r.Elsewhere
	o.Debugged = r.Debugged != nil
	if s.Unittest != nil {
		o.Version, r.Dist, o.Abrupt = r.Env.Version.String(), plan.LoadGroup, true // a class's tests are a group
	}
	why, apart := session.Alone(), session.Apart()
	if why == "" && apart != "" && r.shares() {
		if err := session.Split(ctx, min(max(r.Workers, 1), max(len(session.Items()), 1))); err != nil {
			why = err.Error()
		}
		if o.Apart = why == ""; o.Apart && o.Reason == "" {
			o.Reason = "each collects for itself: " + apart
		}
	}
	if why == "" {
		o.Workers, o.Retries, o.Divisible = max(r.Workers, 1), r.Retries, apart == ""
	} else if r.shares() {
		o.Reason = "one worker, no retries: " + why
		if r.Retries == 0 {
			o.Reason = "one worker: " + why
		}
	}
	h := e.history(r)
	e.learn(r, session)
	o.Plan = r.plan(session.Items(), o.Workers, h)
	var chosen []uint32
	if len(o.Plan.Left)+len(o.Plan.Unchanged) > 0 {
		chosen = run.Pairs(o.Plan.Order())
	}
	session.Choose(chosen, len(o.Plan.Unchanged) > 0, r.Timeout)
	sinks = append(sinks, seen)
	for _, observed := range session.Observed() {
		for _, s := range sinks {
			s.Event(run.Event{Observed: observed})
		}
	}
	seen.collected(session)
	session.Ajar(ears.doors())
	status, err = run.Run(ctx, session, o, sinks...)
	ears.tell(&seen.opened)
	e.remember(h, seen)
	if status == 0 && r.FlakyFail && len(seen.flaky) > 0 {
		status = 1
	}
	return status, err
}

// Inspect collects the tests and says how they would be run.
func (e *Engine) Inspect(ctx context.Context, r Request) (x pool.Inspection, err error) {
	if err := r.Check(); err != nil {
		return x, err
	}
	r.Stdin, r.Stdout, r.Stderr, r.Terminal = nil, nil, nil, false
	s, err := r.settings()
	if err != nil {
		return x, err
	}
	session, err := e.open(ctx, s)
	if err != nil {
		return x, err
	}
	defer e.close(r, session)
	e.learn(r, session)
	return session.Inspect(), nil
}

// settings are the request's for the pool.
func (r *Request) settings() (s pool.Settings, err error) {
	bin := filepath.Dir(r.Env.Python)
	s = pool.Settings{
		Python: r.Env.Python, Sites: r.Env.Sites, Dir: r.Dir, Env: r.Vars, Args: r.PytestArgs(), Script: filepath.Join(bin, "pytest"), Path0: bin,
		CacheDir: r.State, Record: r.State != "" && r.Root != "", Terminal: r.Terminal, Stdin: r.Stdin, Stdout: r.Stdout, Stderr: r.Stderr, Text: r.Texts,
	}
	if discover.Unittest(r.Env) {
		if s.Unittest, err = r.unittest(); err != nil {
			return s, err
		}
		s.Script = r.Env.Python
	} else {
		s.At, s.Places = r.places(s.Args)
	}
	if s.Unittest == nil && r.shares() {
		s.Workers, s.Dist = max(r.Workers, 1), string(r.Dist)
		if r.Dist == "" || r.Dist == plan.Each {
			s.Dist = string(plan.Load)
		}
	}
	if r.Debugged != nil {
		s.Debugged, s.Record = r.Debugged, false
	}
	if r.Cover != nil {
		s.Coverage, s.Record = r.Root, false
	}
	if r.Module || s.Unittest != nil {
		s.Path0 = r.Dir
	}
	return s, nil
}

// shares reports whether the tests are to run in other processes than the one
// that reports.
func (r *Request) shares() bool { return r.Workers > 1 || r.Retries > 0 }

// plan decides what is run where.
func (r *Request) plan(items []plan.Item, workers int, h *history.History) *plan.Plan {
	in := plan.Input{Items: items, Workers: min(workers, max(len(items), 1)), Dist: r.Dist, Shard: r.Shard, Seed: r.Seed, Seconds: r.Durations, Due: r.Due}
	if in.Seconds == nil && r.Shard.N < 2 && workers > 1 {
		in.Seconds = h.Seconds
	}
	return plan.Build(in)
}

func (e *Engine) open(ctx context.Context, s pool.Settings) (*pool.Session, error) {
	if e == nil || s.Terminal {
		return pool.Open(ctx, s)
	}
	return e.pool.Session(ctx, s)
}

func (e *Engine) close(r Request, s *pool.Session) {
	if e == nil {
		s.Close()
		return
	}
	e.pool.Release(s)
	e.attend(r)
}

// PytestArgs are the arguments for pytest: with xdist, where it is installed, told not to
// distribute: that is ours to do, and its workers would leave us no items.
func (r *Request) PytestArgs() []string {
	var more []string
	if r.plugin("xdist") {
		more = append(more, "-n0", "--dist=no")
	}
	if r.Cover != nil {
		more = append(more, r.withoutCov()...)
	}
	if r.Debugged != nil {
		more = append(more, r.undisturbed()...)
	}
	if len(more) == 0 {
		return r.Args
	}
	at := slices.Index(r.Args, "--")
	if at < 0 {
		at = len(r.Args)
	}
	return slices.Concat(r.Args[:at], more, r.Args[at:])
}

func (r *Request) plugin(name string) bool {
	return slices.ContainsFunc(r.Env.Plugins, func(p pyenv.Plugin) bool { return p.Name == name })
}
